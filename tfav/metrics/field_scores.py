"""Scores of forecast fields in a user's units, where cells may be missing; and the yardsticks to hold them against.

Conventions: `truth` and `prediction` are `[N, T, H, W, C]` float; `T` counts the predicted frames. A cell whose truth
is NaN counts in no score. What is left is averaged channel by channel, since channels have units of their own.

mse, mae    Mean over the cells of a frame.
ssim        scikit-image's, uniform window of 7 x 7 (less on small frames), with the data's range; windows that hold a
            missing cell are left out.
psnr        In dB, by the data's range.
csi         Critical success index: hits / (hits + misses + false alarms) of "at least the threshold".
far         False-alarm ratio: false alarms / (hits + false alarms).

Yardsticks: persistence (the last frame again), climatology (the mean frame of the training part) and advection (the
last frame displaced, further and further, by the flow between the last two). The skill against one of them is
1 - MSE / MSE of the yardstick: 1 is perfect, 0 no better.
"""

import warnings
from collections.abc import Sequence

import cv2
import numpy as np
from scipy.ndimage import minimum_filter
from skimage import metrics

from tfav.errors import UsageError
from tfav.io.optical_flow import compute_flow
from tfav.metrics.frame_quality import PSNR_MAX_DB, interval

NAMES = ("mse", "mae", "ssim", "psnr")
_WINDOW = 7


def per_frame(truth: np.ndarray, prediction: np.ndarray, value_range: np.ndarray) -> dict[str, np.ndarray]:
    """All scores of every frame and channel.

    Args:
        truth: NaN where a cell is missing.
        prediction: Finite everywhere.
        value_range: Of the data, `[C]`.

    Returns:
        Each of `NAMES` to `[N, T, C]` float64; NaN where a frame has nothing to compare.

    Raises:
        UsageError: Arrays that are not alike, or a prediction that is not finite.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.ndim != 5 or truth.shape != prediction.shape:
        raise UsageError(
            f"truth and prediction must be [N, T, H, W, C] alike. Received: {truth.shape} and {prediction.shape}"
        )
    if not np.isfinite(prediction).all():
        raise UsageError("prediction has values that are not finite numbers (NaN or infinite).")
    seen = np.isfinite(truth)
    error = np.where(seen, prediction.astype(np.float64) - np.where(seen, truth, 0), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        count = seen.sum((2, 3))
        scores = {"mse": (error**2).sum((2, 3)) / count, "mae": np.abs(error).sum((2, 3)) / count}
        scores["psnr"] = np.minimum(PSNR_MAX_DB, 10 * np.log10(np.asarray(value_range) ** 2 / scores["mse"]))
    frames = np.ndindex(scores["mse"].shape)
    shown = np.where(seen, truth, 0), np.where(seen, prediction, 0), seen
    ssim = [_ssim(*(part[n, t, :, :, c] for part in shown), float(value_range[c])) for n, t, c in frames]
    return scores | {"ssim": np.reshape(ssim, scores["mse"].shape)}


def contingency(truth: np.ndarray, prediction: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Hits, misses and false alarms at each threshold, `[T, C, thresholds, 3]`, summed over sequences and cells."""
    seen, found = np.isfinite(truth), []
    for threshold in thresholds:
        is_there, is_told = seen & (truth >= threshold), seen & (prediction >= threshold)
        cells = (is_there & is_told, is_there & ~is_told, ~is_there & is_told)
        found.append(np.stack([cell.sum((0, 2, 3)) for cell in cells], axis=-1))
    return np.stack(found, axis=2) if found else np.zeros((truth.shape[1], truth.shape[-1], 0, 3), int)


def threshold_scores(counts: np.ndarray) -> dict[str, list]:
    """`csi` and `far` of counts `[..., 3]`, as lists; None where nothing was there or told."""
    hits, misses, alarms = np.moveaxis(counts.astype(float), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = {"csi": hits / (hits + misses + alarms), "far": alarms / (hits + alarms)}
    return {name: np.where(np.isfinite(values), values, None).tolist() for name, values in scores.items()}


def summarize(scores: dict[str, np.ndarray]) -> dict:
    """Scores `[N, T]`, averaged over what is not NaN; `mse` becomes `rmse`.

    Returns:
        `rmse`, `mae`, `ssim`, `psnr`; `per_step`, each a list of `T`; `intervals`, the 95 % interval of each from
        resampled sequences.
    """
    found: dict = {"per_step": {}, "intervals": {}}
    for name, values in scores.items():
        root = np.sqrt if name == "mse" else np.asarray
        name = "rmse" if name == "mse" else name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a step that has no frame to compare
            each = np.nanmean(values, axis=1)
            found[name] = float(root(np.nanmean(values)))
            found["per_step"][name] = root(np.nanmean(values, axis=0)).tolist()
        found["intervals"][name] = [float(root(bound)) for bound in interval(each[np.isfinite(each)])]
    return found


def skill(mse: np.ndarray, reference: np.ndarray) -> list[float]:
    """`1 - mse / reference` by step, of means over sequences; `[N, T]` each. 0 where both are exactly right."""
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore")
        ours, theirs = np.nanmean(mse, axis=0), np.nanmean(reference, axis=0)
        return np.where(ours == theirs, 0.0, 1 - ours / np.maximum(theirs, np.finfo(float).tiny)).tolist()


def advect(frames: np.ndarray, num_frames: int) -> np.ndarray:
    """Carries the last frame on by the optical flow (Farneback) between the last two, channel by channel.

    Args:
        frames: `[N, T, H, W, C]` float, finite. Of a single frame no motion is known: it stays.
        num_frames: Frames to predict.

    Returns:
        `[N, num_frames, H, W, C]` float32; what comes in from outside is the border's value.
    """
    count, length, height, width, channels = frames.shape
    made = np.repeat(frames[:, -1:], num_frames, axis=1).astype(np.float32)
    if length < 2:
        return made
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    for n, c in np.ndindex(count, channels):
        two = frames[n, -2:, :, :, c]
        low, high = float(two.min()), float(two.max())
        if low == high:
            continue
        before, last = np.rint((two - low) * (255 / (high - low))).astype(np.uint8)
        back = compute_flow(last, before, "farneback")  # from where each cell came
        for step in range(num_frames):
            far = (step + 1) * back
            made[n, step, :, :, c] = cv2.remap(
                np.ascontiguousarray(two[1], np.float32),
                columns + far[..., 0],
                rows + far[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
    return made


def _ssim(truth: np.ndarray, prediction: np.ndarray, seen: np.ndarray, value_range: float) -> float:
    side = min(_WINDOW, (min(truth.shape) - 1) // 2 * 2 + 1)
    whole = minimum_filter(seen, side)
    margin = side // 2
    whole = whole[margin : whole.shape[0] - margin, margin : whole.shape[1] - margin]
    if side < 3 or not whole.any():
        return float("nan")
    _, local = metrics.structural_similarity(truth, prediction, win_size=side, data_range=value_range, full=True)
    return float(local[margin : local.shape[0] - margin, margin : local.shape[1] - margin][whole].mean())
