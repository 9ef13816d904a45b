"""Pictures of forecasts: what stands where, and in which colour."""

import numpy as np

from tfav.report import forecasts


def test_error_is_white_red_and_blue():
    truth = np.array([0, 100, 255], np.uint8).reshape(1, 1, 3, 1)
    prediction = np.array([255, 100, 0], np.uint8).reshape(1, 1, 3, 1)
    np.testing.assert_array_equal(
        forecasts.error_picture(truth, prediction)[0, 0], [[255, 0, 0], [255, 255, 255], [0, 0, 255]]
    )


def test_strip_has_a_row_for_each_and_a_column_for_each_step():
    seen = np.full((3, 8, 8, 1), 50, np.uint8)
    truth = np.full((2, 8, 8, 1), 100, np.uint8)
    prediction = np.full((2, 8, 8, 1), 200, np.uint8)
    picture = forecasts.strip(seen, truth, prediction)
    rows, columns = [48 + 100 * n for n in range(4)], [48 + 100 * n for n in range(3)]
    assert picture[np.ix_(rows, columns)][..., 0].tolist() == [
        [50, 50, 50],
        [100, 100, 255],
        [200, 200, 255],
        [255] * 3,
    ]
    assert picture[rows[3], columns[0], 2] < 255  # too bright: red


def test_animation_shows_the_last_frame_seen_beside_each_step():
    seen = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (10, 20)])
    truth, prediction = seen + 100, seen + 200
    frames = forecasts.moving(seen, truth, prediction)
    middles = [80 + 164 * n for n in range(3)]
    assert frames[:, 80, middles, 0].tolist() == [[10, 10, 0], [20, 20, 0], [20, 110, 210], [20, 120, 220]]
