"""Frame scores: known answers, and the numbers of scikit-image and scikit-video."""

import numpy as np
import pytest
from skimage import metrics as skimage_metrics

from tfav.errors import UsageError
from tfav.metrics import frame_quality
from tfav.old_packages import import_skvideo


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    truth = rng.random((2, 3, 32, 40, 1), dtype=np.float32)
    return truth, np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1).astype(np.float32)


def test_known_answers():
    truth = np.zeros((2, 3, 8, 8, 1), np.float32)
    prediction = truth.copy()
    prediction[:, 1] = 0.5
    prediction[0, 2, 0, 0, 0] = 1.0
    result = frame_quality.evaluate(truth, prediction)
    assert result["per_step"]["mse"] == [0.0, 16.0, 0.5]
    assert result["per_step"]["mae"] == [0.0, 32.0, 0.5]
    assert result["mse"] == pytest.approx(16.5 / 3)
    one = 10 * np.log10(64)  # a single wrong pixel of 64
    assert result["per_step"]["psnr"] == pytest.approx([100, 10 * np.log10(4), (one + 100) / 2])
    assert result["per_step"]["ssim"][0] == pytest.approx(1)
    assert result["per_step"]["ssim"][1] == pytest.approx(0.0004 / (0.25 + 0.0004), rel=1e-4)  # two flat pictures


def test_values_beyond_the_range_are_cut_for_ssim_and_psnr_only(frames):
    truth, prediction = frames
    beyond = np.where(prediction == 1, 1.5, prediction).astype(np.float32)
    assert (beyond != prediction).any()
    kept, cut = frame_quality.evaluate(truth, beyond), frame_quality.evaluate(truth, prediction)
    assert kept["ssim"] == cut["ssim"] and kept["psnr"] == cut["psnr"]
    assert kept["mse"] > cut["mse"] and kept["mae"] > cut["mae"]


def test_ssim_is_what_old_scikit_image_gave_float_pictures(frames):
    truth, prediction = frames
    expected = skimage_metrics.structural_similarity(truth[0, 0], prediction[0, 0], data_range=2, channel_axis=-1)
    assert frame_quality.per_frame(truth, prediction)["ssim"][0, 0] == pytest.approx(expected, abs=1e-6)
    lower = skimage_metrics.structural_similarity(truth[0, 0], prediction[0, 0], data_range=1, channel_axis=-1)
    assert lower < expected


def test_colour_is_the_mean_over_channels(frames):
    truth, prediction = (np.concatenate([one, one[..., ::-1, :], one**2], axis=-1) for one in frames)
    whole = frame_quality.per_frame(truth, prediction)
    parts = [frame_quality.per_frame(truth[..., c : c + 1], prediction[..., c : c + 1]) for c in range(3)]
    np.testing.assert_allclose(whole["mse"], sum(part["mse"] for part in parts))
    np.testing.assert_allclose(whole["ssim"], np.mean([part["ssim"] for part in parts], axis=0), atol=1e-6)


def test_scikit_video_says_the_same():
    measure = import_skvideo("measure")
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, (4, 48, 64, 1), np.uint8)
    prediction = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
    scores = frame_quality.per_frame(truth[None] / 255, prediction[None] / 255)
    np.testing.assert_allclose(scores["psnr"][0], measure.psnr(truth, prediction), atol=1e-4)
    np.testing.assert_allclose(scores["mse"][0], measure.mse(truth, prediction) * 48 * 64 / 255**2, rtol=1e-5)
    np.testing.assert_allclose(scores["mae"][0], measure.mae(truth, prediction) * 48 * 64 / 255, rtol=1e-5)


def test_scikit_videos_ssim_is_scikit_images_with_a_gaussian_window():
    measure = import_skvideo("measure")
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, (2, 48, 64), np.uint8)
    prediction = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
    theirs = measure.ssim(truth, prediction, scaleFix=False)
    ours = [
        skimage_metrics.structural_similarity(
            one.astype(float), other.astype(float), gaussian_weights=True, use_sample_covariance=False, data_range=255
        )
        for one, other in zip(truth, prediction, strict=True)
    ]
    np.testing.assert_allclose(theirs, ours, atol=2e-3)


def test_copying_the_last_frame():
    inputs = np.arange(2 * 3 * 4.0).reshape(2, 3, 2, 2, 1)
    copied = frame_quality.copy_last_frame(inputs, 5)
    assert copied.shape == (2, 5, 2, 2, 1)
    assert (copied == inputs[:, 2:3]).all()


FRAMES = np.zeros((1, 2, 8, 8, 1), np.float32)


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (FRAMES, FRAMES[:, :1], "alike"),
        (FRAMES[0], FRAMES[0], "alike"),
        (FRAMES[:0], FRAMES[:0], "alike"),
        (FRAMES + 2, FRAMES, "are these 0-255"),
        (FRAMES - 1, FRAMES, "truth must be 0-1"),
        (FRAMES, FRAMES * np.nan, "prediction has values that are not finite"),
        (FRAMES * np.nan, FRAMES, "truth has values that are not finite"),
        (FRAMES.astype(np.uint8), FRAMES, "divide uint8 frames by 255"),
    ],
)
def test_bad_frames(truth, prediction, message):
    with pytest.raises(UsageError, match=message):
        frame_quality.evaluate(truth, prediction)
