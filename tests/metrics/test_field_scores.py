"""Scores of fields by hand and by other programs; missing cells count nowhere; yardsticks with known answers."""

import numpy as np
import pytest
from skimage import metrics

from tfav.data.synthetic import drifting_field
from tfav.errors import UsageError
from tfav.metrics import field_scores

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(2, 3, 12, 15, 2))
GUESS = TRUTH + RNG.normal(size=TRUTH.shape) * [0.1, 0.4]
RANGE = np.ptp(TRUTH, axis=(0, 1, 2, 3))


def test_scores_are_those_of_scikit_image():
    scores = field_scores.per_frame(TRUTH, GUESS, RANGE)
    np.testing.assert_allclose(scores["mae"], np.abs(TRUTH - GUESS).mean((2, 3)))
    pair = TRUTH[1, 2, :, :, 1], GUESS[1, 2, :, :, 1]
    assert scores["mse"][1, 2, 1] == pytest.approx(metrics.mean_squared_error(*pair))
    assert scores["ssim"][1, 2, 1] == pytest.approx(metrics.structural_similarity(*pair, data_range=RANGE[1]))
    assert scores["psnr"][1, 2, 1] == pytest.approx(metrics.peak_signal_noise_ratio(*pair, data_range=RANGE[1]))


def test_missing_cells_count_nowhere():
    truth = TRUTH.copy()
    truth[:, :, :5, 3:9] = np.nan
    truth[0, 1, :, :, 0] = np.nan  # nothing to compare
    wild = np.where(np.isnan(truth), 1e9, GUESS)
    found, other = (field_scores.per_frame(truth, guess, RANGE) for guess in (GUESS, wild))
    for name in field_scores.NAMES:
        np.testing.assert_array_equal(found[name], other[name])
        assert np.isnan(found[name]).sum() == 1 and np.isnan(found[name][0, 1, 0])
    seen = ~np.isnan(truth[1, 0, :, :, 1])
    np.testing.assert_allclose(found["mse"][1, 0, 1], ((truth - GUESS)[1, 0, :, :, 1][seen] ** 2).mean())
    whole = metrics.structural_similarity(TRUTH[1, 0, :, :, 1], GUESS[1, 0, :, :, 1], data_range=RANGE[1], full=True)[1]
    expected = np.mean(
        [whole[r, c] for r in range(3, 9) for c in range(3, 12) if seen[r - 3 : r + 4, c - 3 : c + 4].all()]
    )
    assert found["ssim"][1, 0, 1] == pytest.approx(expected)
    summary = field_scores.summarize({name: values[..., 0] for name, values in found.items()})
    assert summary["rmse"] == pytest.approx(np.sqrt(np.nanmean(found["mse"][..., 0])))
    low, high = summary["intervals"]["rmse"]
    assert low <= summary["rmse"] <= high and len(summary["per_step"]["psnr"]) == 3
    counts = field_scores.contingency(truth, wild, [0.5])
    assert counts.shape == (3, 2, 1, 3) and (counts == field_scores.contingency(truth, GUESS, [0.5])).all()


def test_events_by_hand():
    truth = np.array([0, 1, 2, 3, np.nan]).reshape(1, 1, 1, 5, 1)
    guess = np.array([2, 0, 2, 3, 9.0]).reshape(1, 1, 1, 5, 1)
    counts = field_scores.contingency(truth, guess, [1, 5])
    assert counts[0, 0].tolist() == [[2, 1, 1], [0, 0, 0]]
    assert field_scores.threshold_scores(counts[0, 0]) == {"csi": [0.5, None], "far": [1 / 3, None]}


def test_advection_foresees_what_only_drifts():
    field = drifting_field(10, speed=(1.0, -2.0), diffusion=0.0)[None]
    seen, truth = field[:, :4], field[:, 4:]
    inside = (slice(None), slice(None), slice(12, -12), slice(16, -16))
    moved, still = field_scores.advect(seen, 6), np.repeat(seen[:, -1:], 6, axis=1)
    error, copied = ((frames - truth)[inside] ** 2 for frames in (moved, still))
    by_step = field_scores.skill(error.mean((2, 3, 4)), copied.mean((2, 3, 4)))
    assert min(by_step) > 0.9
    np.testing.assert_array_equal(field_scores.advect(seen[:, :1], 2), np.repeat(seen[:, :1], 2, axis=1))
    assert field_scores.skill(np.ones((2, 2)), np.full((2, 2), 2.0)) == [0.5, 0.5]


@pytest.mark.parametrize(("guess", "message"), [(GUESS[:, :1], "alike"), (np.full_like(TRUTH, np.nan), "not finite")])
def test_what_cannot_be_scored(guess, message):
    with pytest.raises(UsageError, match=message):
        field_scores.per_frame(TRUTH, guess, RANGE)
