"""The benchmark's figures of a run, next to copying the last frame and to what others have published."""

import dataclasses
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from tfav.data.mnist import load_digits
from tfav.errors import UsageError
from tfav.io.atomic_write import partial_file
from tfav.metrics import frame_quality
from tfav.metrics import perceptual as perceptual_scores
from tfav.systems.next_frame import dataset
from tfav.systems.next_frame.config import SYSTEM, Config
from tfav.systems.next_frame.model import load_model
from tfav.systems.next_frame.rollout import predict_next
from tfav.training.run_folder import is_shipped, open_run

EXAMPLES_NAME = "evaluation_examples.npz"
_NUM_EXAMPLES = 5
_NUM_WORST = 3
# Moving MNIST, 10 frames after 10, the 10,000 sequences of mnist_test_seq.npy: OpenSTL's table.
PUBLISHED = (
    {"name": "ConvLSTM, 200 epochs (OpenSTL)", "mse": 29.80, "ssim": 0.9288},
    {"name": "ConvLSTM, 2000 epochs (OpenSTL)", "mse": 22.41},
    {"name": "best of OpenSTL's table", "mse": 14.07},
)


class _Kept(NamedTuple):
    """Sequences with their forecasts behind them, `[T, H, W, C]` float, 0-1: the first ones, and `(mse, those)`."""

    first: list[np.ndarray]
    worst: list[tuple[float, np.ndarray]]

    def add(self, sequences: np.ndarray, errors: np.ndarray) -> None:
        self.first.extend(sequences[: _NUM_EXAMPLES - len(self.first)])
        self.worst.extend(zip(errors.tolist(), sequences, strict=True))
        self.worst.sort(key=lambda pair: -pair[0])
        del self.worst[_NUM_WORST:]

    def write(self, path: Path, config: Config) -> None:
        arrays = {"worst_mse": np.array([error for error, _ in self.worst])}
        for prefix, sequences in (("", self.first), ("worst_", [sequence for _, sequence in self.worst])):
            pixels = np.rint(np.stack(sequences) * 255).astype(np.uint8)
            parts = np.split(pixels, [config.input_frames, config.num_frames], axis=1)
            arrays |= {prefix + name: part for name, part in zip(("input", "truth", "prediction"), parts, strict=True)}
        with partial_file(path) as partial:
            np.savez_compressed(partial, **arrays)


def evaluate(
    run_dir: Path | str,
    data_dir: Path | str | None = None,
    *,
    part: str = "all",
    progress: bool = True,
    perceptual: bool = False,
    **changes,
) -> dict:
    """Scores a run's forecasts per predicted step and over all.

    The first five examples and the three worst are kept in the run folder, for its report.

    Args:
        run_dir: A trained run, or `pretrained`.
        data_dir: A `.npy` of sequences such as `mnist_test_seq.npy`, or a folder of videos; None: the test set that
            belongs to the run.
        part: Without `data_dir`: `test`, or of data on disk also `train`, `val` or `all`. Of Moving MNIST the test set
            is all there is.
        progress: Show a bar.
        perceptual: Score by `tfav.metrics.perceptual` as well, which takes about 3 s for each sequence.
        **changes: Fields of the configuration that say what is scored, such as `mnist`, `test_sequences`
            and `first_axis`; None leaves one as it is.

    Returns:
        `scores` and `copy_last`, each as from `tfav.metrics.frame_quality.summarize`; `perceptual`, the means of both
        by `tfav.metrics.perceptual`; `one_step_bce` of a notebook model; `published`; `data` and `count`; `failed`,
        videos of a folder that cannot be used, with the reason. JSON-ready.

    Raises:
        UsageError: The data are not there.
        DataError: The data cannot be used as they stand.
    """
    started = time.monotonic()
    run, config = open_run(run_dir, SYSTEM, Config)
    changes = {name: value for name, value in changes.items() if value is not None}
    if data_dir is not None:
        changes = {"first_axis": "auto"} | changes  # of other data the run knows nothing
    config = dataclasses.replace(config, **changes)
    failed: dict[str, str] = {}
    batches, count, source = _sequences(config, data_dir, part, failed)
    model = load_model(run.dir, config)
    ours, copied, bce, kept = [], [], [], _Kept([], [])
    seen_as = {"scores": [], "copy_last": []}
    with tqdm(total=count, desc="evaluate", unit="sequence", disable=None if progress else True) as bar:
        for sequences in batches:
            seen, truth = np.split(sequences, [config.input_frames], axis=1)
            forecast = predict_next(model, seen, config.output_frames, cut=False)
            last = frame_quality.copy_last_frame(seen, config.output_frames)
            ours.append(frame_quality.per_frame(truth, forecast))
            copied.append(frame_quality.per_frame(truth, last))
            if perceptual:
                seen_as["scores"].append(perceptual_scores.per_sequence(truth, forecast))
                seen_as["copy_last"].append(perceptual_scores.per_sequence(truth, last))
            if config.model == "notebook":
                bce += _one_step_bce(model, sequences).tolist()
            kept.add(np.concatenate([sequences, np.clip(forecast, 0, 1)], axis=1), ours[-1]["mse"].mean(1))
            bar.update(len(sequences))
    if not is_shipped(run_dir):
        kept.write(run.dir / EXAMPLES_NAME, config)
    result = {
        "data": source,
        "count": count,
        "input_frames": config.input_frames,
        "output_frames": config.output_frames,
        "scores": frame_quality.summarize(_joined(ours)),
        "copy_last": frame_quality.summarize(_joined(copied)),
        "published": list(PUBLISHED),
        "failed": [{"path": path, "reason": reason} for path, reason in failed.items()],
        "seconds": round(time.monotonic() - started, 2),
    }
    if perceptual:
        result["perceptual"] = {side: _means(parts) for side, parts in seen_as.items()}
    if bce:
        result["one_step_bce"] = float(np.mean(bce))
    return result


def describe_evaluation(result: dict) -> str:
    """The figures as text: the run, copying the last frame, the published rows; then each step."""
    rows = [("this run", result["scores"]), ("copying the last frame", result["copy_last"])]
    rows += [(row["name"], row) for row in result["published"]]
    width = max(len(name) for name, _ in rows)
    lines = [
        f"{result['count']} sequences ({result['data']}), {result['input_frames']} frames seen, "
        f"{result['output_frames']} predicted",
        " " * width + "".join(f"{name.upper():>9}" for name in frame_quality.NAMES),
    ]
    lines += [f"{name:<{width}}" + "".join(_cell(name_, row) for name_ in frame_quality.NAMES) for name, row in rows]
    per_step = result["scores"]["per_step"]["mse"]
    lines.append("MSE by step: " + " ".join(f"{value:.1f}" for value in per_step))
    for name, title in {"ms_ssim": "MS-SSIM", "st_rred": "ST-RRED"}.items() if "perceptual" in result else ():
        ours, copied = (result["perceptual"][side][name] for side in ("scores", "copy_last"))
        lines.append(f"{title}: this run {ours:.4g}, copying the last frame {copied:.4g}")
    if "one_step_bce" in result:
        lines.append(f"one step ahead, true frames as input: binary cross-entropy {result['one_step_bce']:.4f}")
    lines += [f"failed: {row['path']}: {row['reason']}" for row in result["failed"]]
    lines.append(
        "MSE and MAE are summed over a frame's pixels in 0-1. Published rows: two digits, 10 frames after 10, on the "
        "10,000 sequences of mnist_test_seq.npy."
    )
    return "\n".join(lines)


def _sequences(
    config: Config, data_dir: Path | str | None, part: str, failed: dict[str, str]
) -> tuple[Iterable[np.ndarray], int, str]:
    """Batches of whole sequences `[B, T, H, W, C]` float32, 0-1; how many; what they are, in words.

    A part of the run's own data is cut off by counting, so that all of them must be there; else videos that cannot be
    used go into `failed`.
    """
    if data_dir is None and config.is_made:
        if part not in ("all", "test"):
            raise UsageError(f"of Moving MNIST the test set is scored; leave part out. Received: part={part}")
        digits = load_digits(config.mnist)
        source = f"Moving MNIST made of test digits, {digits.source}, {config.num_digits} on the canvas"
        return dataset.made_test_set(config, digits).as_numpy_iterator(), config.test_sequences, source
    if data_dir is None and part != "all":
        data = dataset.open_data(config)
        sequences, numbers = data.sequences[0], data.numbers(part)
    else:
        sequences, _ = dataset.read_sequences(config, data_dir or config.data_dir, failed=failed)
        numbers = np.arange(len(sequences))
    groups = np.array_split(numbers, -(-len(numbers) // config.batch_size))
    batches = (sequences[group, : config.num_frames].astype(np.float32) / 255 for group in groups)
    return batches, len(numbers), str(data_dir or f"{part} of {config.data_dir}")


def _one_step_bce(model: keras.Model, sequences: np.ndarray) -> np.ndarray:
    predicted = model.predict_on_batch(sequences[:, :-1])
    return keras.ops.convert_to_numpy(keras.losses.binary_crossentropy(sequences[:, 1:], predicted)).mean((1, 2, 3))


def _joined(parts: list[dict]) -> dict:
    return {name: np.concatenate([part[name] for part in parts]) for name in frame_quality.NAMES}


def _means(parts: list[dict]) -> dict[str, float]:
    return {name: float(np.concatenate([part[name] for part in parts]).mean()) for name in perceptual_scores.NAMES}


def _cell(name: str, row: dict) -> str:
    if name not in row:
        return f"{'-':>9}"
    return f"{row[name]:9.4f}" if name == "ssim" else f"{row[name]:9.2f}"
