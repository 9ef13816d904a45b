"""Scores of predicted frames as the field's benchmark, OpenSTL, defines them: per predicted step, and the mean of all.

Conventions: `truth` and `prediction` are `[N, T, H, W, C]` float, 0-1; `T` counts the predicted frames.

mse, mae    Summed over the pixels and channels of a frame, mean over sequences. The prediction is taken as it is.
ssim        scikit-image's, uniform window of 7 x 7; the prediction is cut to 0-1 first.
psnr        In dB, of each frame by itself, mean over sequences; the prediction is cut to 0-1 first.

OpenSTL gives SSIM no data range and pins scikit-image to 0.19.3 or older, which for float pictures then took the range
of the type, -1 to 1. So published figures stand on a data range of 2, and so does `ssim` here; `SSIM_DATA_RANGE` is the
place to look. With a range of 1, which the pictures have, SSIM is lower.

Reference:
    C. Tan et al., "OpenSTL: a comprehensive benchmark of spatio-temporal predictive learning", NeurIPS 2023.
"""

import numpy as np
from skimage import metrics

from tfav.errors import UsageError

NAMES = ("mse", "mae", "ssim", "psnr")
LOWER_IS_BETTER = {"mse": True, "mae": True, "ssim": False, "psnr": False}
SSIM_DATA_RANGE = 2.0
PSNR_MAX_DB = 100.0  # of a frame that is exactly right, so that a mean stays finite
_RESAMPLES = 1000


def validate(truth: np.ndarray, prediction: np.ndarray) -> None:
    """Refuses arrays that are not two equally shaped sets of frames from 0 to 1.

    Raises:
        UsageError: Saying what is wrong, and guessing the mistake where it is a common one.
    """
    if truth.ndim != 5 or truth.shape != prediction.shape or not truth.size:
        raise UsageError(
            f"truth and prediction must be [N, T, H, W, C] alike. Received: {truth.shape} and {prediction.shape}"
        )
    for name, frames in (("truth", truth), ("prediction", prediction)):
        if not np.issubdtype(frames.dtype, np.floating):
            raise UsageError(f"{name} must be float, 0-1; divide uint8 frames by 255. Received: {frames.dtype}")
        if not np.isfinite(frames).all():
            raise UsageError(f"{name} has values that are not finite numbers (NaN or infinite).")
    low, high = float(truth.min()), float(truth.max())
    if low < 0 or high > 1:
        raise UsageError(f"truth must be 0-1; are these 0-255? Received: {low:g} to {high:g}")


def per_frame(truth: np.ndarray, prediction: np.ndarray) -> dict[str, np.ndarray]:
    """All scores of every frame.

    Returns:
        Each of `NAMES` to `[N, T]` float64.

    Raises:
        UsageError: As in `validate`.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    validate(truth, prediction)
    error = prediction.astype(np.float64) - truth
    cut = np.clip(prediction, 0, 1)
    scores = {"mse": (error**2).sum((2, 3, 4)), "mae": np.abs(error).sum((2, 3, 4))}
    scores["ssim"] = _each_frame(_ssim, truth, cut)
    scores["psnr"] = _each_frame(_psnr, truth, cut)
    return scores


def summarize(scores: dict[str, np.ndarray]) -> dict:
    """What `per_frame` gave, averaged.

    Args:
        scores: Name to `[N, T]`.

    Returns:
        Each name to its mean over all frames; `per_step`: each name to a list of `T` means over sequences; `intervals`:
        each name to the 95 % interval of its mean, from resampled sequences (bootstrap, percentiles).
    """
    means = {name: float(values.mean()) for name, values in scores.items()}
    return means | {
        "per_step": {name: values.mean(0).tolist() for name, values in scores.items()},
        "intervals": {name: interval(values.mean(1)) for name, values in scores.items()},
    }


def evaluate(truth: np.ndarray, prediction: np.ndarray) -> dict:
    """All scores at once, JSON-ready; see `summarize`.

    Raises:
        UsageError: As in `validate`.
    """
    return summarize(per_frame(truth, prediction))


def copy_last_frame(inputs: np.ndarray, num_frames: int) -> np.ndarray:
    """The floor to beat: the last frame seen, again and again.

    Args:
        inputs: `[N, T, H, W, C]`, the frames seen.
        num_frames: Frames to predict.

    Returns:
        `[N, num_frames, H, W, C]`, of the same type.
    """
    return np.repeat(inputs[:, -1:], num_frames, axis=1)


def interval(values: np.ndarray, seed: int = 0) -> list[float]:
    """The 95 % interval of the mean of `values` `[N]`, from resampled ones (bootstrap, percentiles)."""
    chosen = np.random.default_rng(seed).integers(0, len(values), (_RESAMPLES, len(values)))
    return [float(bound) for bound in np.percentile(values[chosen].mean(1), (2.5, 97.5))]


def _each_frame(score, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return np.array(
        [
            [score(true, predicted) for true, predicted in zip(*pair, strict=True)]
            for pair in zip(truth, prediction, strict=True)
        ]
    )


def _ssim(truth: np.ndarray, prediction: np.ndarray) -> float:
    if truth.shape[-1] == 1:  # the same number as with a channel axis of one, in half the time
        return metrics.structural_similarity(truth[..., 0], prediction[..., 0], data_range=SSIM_DATA_RANGE)
    return metrics.structural_similarity(truth, prediction, data_range=SSIM_DATA_RANGE, channel_axis=-1)


def _psnr(truth: np.ndarray, prediction: np.ndarray) -> float:
    if np.array_equal(truth, prediction):
        return PSNR_MAX_DB
    return min(PSNR_MAX_DB, float(metrics.peak_signal_noise_ratio(truth, prediction, data_range=1.0)))
