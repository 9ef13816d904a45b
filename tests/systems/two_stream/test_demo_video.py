"""The demo's picture: what is where, and that nothing of the frame before stays."""

import numpy as np
import pytest

from tfav.systems.two_stream.demo_video import DemoCanvas

LABELS = ["running", "jumping", "standing still", "waving both hands", "turning", "a b"]


@pytest.fixture(scope="module")
def canvas():
    return DemoCanvas("clip.avi", LABELS[:3], LABELS, (48, 64))


def draw(canvas, red=255, scores=(0.5, 0.2, 0.1, 0.1, 0.05, 0.05)):
    rgb = np.full((48, 64, 3), (red, 0, 0), np.uint8)
    levels = np.tile(np.arange(64, dtype=np.uint8), (48, 1))
    return canvas.draw(rgb, levels, levels.T[:48, :48], [np.array(scores)] * 3)


def count(image, color):
    return int((image == np.array(color, np.uint8)).all(-1).sum())


def test_size_and_panels(canvas):
    image = draw(canvas)
    assert (image.shape, image.dtype) == ((864, 1152, 3), np.uint8)
    height, width = canvas.picture_size
    assert width / height == pytest.approx(64 / 48, rel=0.03)
    assert image[330, 200].tolist() == [255, 0, 0]  # inside the first picture
    assert count(draw(canvas, red=7), (7, 0, 0)) == height * width


def test_bars_are_as_high_as_the_scores(canvas):
    def yellow(score):
        return count(draw(canvas, scores=(score, 0, 0, 0, 0, 0)), (255, 255, 0))

    half, full = yellow(0.5), yellow(1.0)
    assert full > half > 0.4 * full
    assert yellow(0.0) == 0
    assert yellow(3.0) == full  # never beyond its chart


def test_nothing_of_the_frame_before_stays(canvas):
    first = draw(canvas)
    draw(canvas, red=3, scores=(0.0, 0.1, 0.9, 0.0, 0.0, 0.0))
    np.testing.assert_array_equal(draw(canvas), first)


def test_names_are_written_over_the_bars(canvas):
    with_ink = draw(canvas, scores=(1, 0, 0, 0, 0, 0))
    blank = DemoCanvas("clip.avi", LABELS[:3], [" "] * 6, (48, 64))
    without = draw(blank, scores=(1, 0, 0, 0, 0, 0))
    changed = np.flatnonzero((with_ink != without).any(axis=(1, 2)))
    assert changed.min() > 560 and changed.max() < 830  # in the charts only


def test_still_flow_and_large_pictures_are_drawn(canvas):
    still = np.full((480, 640), 127, np.uint8)
    image = canvas.draw(np.zeros((480, 640, 3), np.uint8), still, still, [np.full(6, 1 / 6)] * 3)
    assert image.shape == (864, 1152, 3)
    assert draw(DemoCanvas("x", LABELS[:3], LABELS[:2] * 3, (9, 16), dpi=50)).shape == (600, 800, 3)
