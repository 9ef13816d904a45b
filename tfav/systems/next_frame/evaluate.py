"""The benchmark's figures of a run, next to copying the last frame and to what others have published.

A run on an array is scored in the array's units. Both stand beside persistence, climatology and advection.
"""

import dataclasses
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from tfav.data.arrays import Scaling, fill_gaps
from tfav.data.mnist import load_digits
from tfav.errors import TfavError, UsageError
from tfav.io.atomic_write import partial_file
from tfav.metrics import field_scores, frame_quality
from tfav.metrics import perceptual as perceptual_scores
from tfav.systems.next_frame import dataset
from tfav.systems.next_frame.config import SYSTEM, Config
from tfav.systems.next_frame.model import load_model
from tfav.systems.next_frame.rollout import predict_next
from tfav.training.run_folder import is_shipped, open_run

EXAMPLES_NAME = "evaluation_examples.npz"
_PERCEPTUAL = {"this run": "scores", "persistence": "copy_last"}
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
    thresholds: Sequence[float] = (),
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
        thresholds: Values, of pictures in 0-1, at which events are counted: CSI and false alarms.
        **changes: Fields of the configuration that say what is scored, such as `mnist`, `test_sequences`,
            `first_axis` and `axes`; None leaves one as it is.

    Returns:
        `scores` and `copy_last`, each as from `tfav.metrics.frame_quality.summarize`, of an array as from
        `tfav.metrics.field_scores.summarize`; `yardsticks`, the same of climatology and advection, and `skill`, of the
        run against all three by step; `events`, a row for each threshold and channel; `channels` of an array that has
        several; `perceptual`, the means of both by `tfav.metrics.perceptual`; `one_step_bce` of a notebook model;
        `published`; `data` and `count`; `failed`, videos of a folder that cannot be used, with the reason. JSON-ready.

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
    if config.is_array:
        return _evaluate_array(run, config, data_dir, part, thresholds, progress, perceptual)
    failed: dict[str, str] = {}
    batches, count, source = _sequences(config, data_dir, part, failed)
    model = load_model(run.dir, config)
    ours, copied, bce, kept, beside = [], [], [], _Kept([], []), _Beside(thresholds, _climatology(config))
    seen_as = {"scores": [], "copy_last": []}
    with tqdm(total=count, desc="evaluate", unit="sequence", disable=None if progress else True) as bar:
        for sequences in batches:
            seen, truth = np.split(sequences, [config.input_frames], axis=1)
            forecast = predict_next(model, seen, config.output_frames, cut=False)
            last = frame_quality.copy_last_frame(seen, config.output_frames)
            ours.append(frame_quality.per_frame(truth, forecast))
            copied.append(frame_quality.per_frame(truth, last))
            for name, frames in beside.forecasts(seen, config.output_frames).items():
                error = frames.astype(np.float64) - truth
                errors = {"mse": (error**2).sum((2, 3, 4)), "mae": np.abs(error).sum((2, 3, 4))}
                beside.add(name, errors, truth, frames)
            beside.add("this run", {"mse": ours[-1]["mse"]}, truth, forecast)
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
    } | beside.result(frame_quality.summarize, ["grey"] if config.channels == 1 else ["red", "green", "blue"])
    if perceptual:
        result["perceptual"] = {side: _means(parts) for side, parts in seen_as.items()}
    if bce:
        result["one_step_bce"] = float(np.mean(bce))
    return result


def _evaluate_array(run, config: Config, data_dir, part: str, thresholds, progress: bool, perceptual: bool) -> dict:
    started = time.monotonic()
    scaling, names = dataset.scaling_of(run.metadata), run.metadata["array"]["names"]
    arrays = dataset.open_windows(config, dataset.open_file(config, data_dir), scaling)
    part = "all" if data_dir is not None else part
    windows = arrays.windows(part)
    model, beside = load_model(run.dir, config), _Beside(thresholds, _climatology(config))
    kept, warned = _Kept([], []), {}
    unit = np.ones(1) if len(names) == 1 else scaling.value_range
    sides: dict[str, list[dict]] = {}
    seen_as: dict[str, list[dict]] = {side: [] for side in _PERCEPTUAL.values()}
    with tqdm(total=len(windows), desc="evaluate", unit="window", disable=None if progress else True) as bar:
        for group in np.array_split(windows, -(-len(windows) // config.batch_size)):
            frames = np.stack([arrays.file.read(n, t, t + config.num_frames) for n, t in group.tolist()])
            warned |= {said.split(":")[1]: said for said in scaling.check(frames, arrays.file.path, names)}
            seen, truth = np.split(frames, [config.input_frames], axis=1)
            filled = fill_gaps(seen, scaling.mean if beside.climatology is None else beside.climatology)
            forecast = predict_next(model, seen, config.output_frames, scaling=scaling)
            for name, made in {"this run": forecast, **beside.forecasts(filled, config.output_frames)}.items():
                made = made.astype(np.float32)
                scores = field_scores.per_frame(truth, made, scaling.value_range)
                sides.setdefault(name, []).append(scores)
                beside.add(name, _over_channels(scores, unit), truth, made)
                if perceptual and (side := _PERCEPTUAL.get(name)):
                    seen_as[side].append(_perceptual_of_fields(truth, made, scaling))
            shown = np.concatenate([filled, np.nan_to_num(truth, nan=scaling.low[0]), forecast], axis=1) - scaling.low
            shown = np.clip(shown / scaling.value_range, 0, 1)[..., :1]
            kept.add(shown, np.nan_to_num(beside.scores["this run"][-1]["mse"]).mean(1))
            bar.update(len(group))
    if not is_shipped(run.dir):
        kept.write(run.dir / EXAMPLES_NAME, config)
    for said in warned.values():
        warnings.warn(said, stacklevel=3)
    found = {
        "data": str(data_dir or f"{part} of {config.data_dir}"),
        "count": len(windows),
        "input_frames": config.input_frames,
        "output_frames": config.output_frames,
        "units": "of the array" if len(names) == 1 else "shares of each channel's range in training",
        "scores": field_scores.summarize(_joined(beside.scores["this run"])),
        "copy_last": field_scores.summarize(_joined(beside.scores["persistence"])),
        "published": [],
        "failed": [],
        "seconds": round(time.monotonic() - started, 2),
        "peak_memory_mb": _peak_memory_mb(),
    } | beside.result(field_scores.summarize, names)
    if perceptual:
        found["perceptual"] = {side: _means(parts) for side, parts in seen_as.items()}
    if len(names) > 1:
        found["channels"] = {
            side: {
                name: field_scores.summarize({key: values[..., number] for key, values in _joined(parts).items()})
                for number, name in enumerate(names)
            }
            for side, parts in sides.items()
        }
    return found


def _perceptual_of_fields(truth: np.ndarray, made: np.ndarray, scaling: Scaling) -> dict[str, np.ndarray]:
    """Each channel as grey pictures over the range of the training part; missing cells are alike in both."""
    pair = (np.where(np.isnan(truth), scaling.low, frames) for frames in (truth, made))
    shown = (np.clip((frames - scaling.low) / scaling.value_range, 0, 1) for frames in pair)
    return perceptual_scores.per_sequence(*(np.concatenate(np.split(x, x.shape[-1], -1)) for x in shown))


class _Beside:
    """The yardsticks of an evaluation: their forecasts, their scores, what is counted at thresholds."""

    def __init__(self, thresholds: Sequence[float], climatology: np.ndarray | None):
        self.thresholds, self.climatology = tuple(thresholds), climatology
        self.scores: dict[str, list[dict]] = {}
        self.counts: dict[str, np.ndarray] = {}

    def forecasts(self, seen: np.ndarray, num_frames: int) -> dict[str, np.ndarray]:
        made = {
            "persistence": frame_quality.copy_last_frame(seen, num_frames),
            "advection": field_scores.advect(seen, num_frames),
        }
        if self.climatology is not None:
            made["climatology"] = np.broadcast_to(self.climatology, made["persistence"].shape)
        return made

    def add(self, name: str, scores: dict, truth: np.ndarray, forecast: np.ndarray) -> None:
        self.scores.setdefault(name, []).append(scores)
        self.counts[name] = self.counts.get(name, 0) + field_scores.contingency(truth, forecast, self.thresholds)

    def result(self, summarize: Callable[[dict], dict], names: Sequence[str]) -> dict:
        scores = {name: _joined(parts) for name, parts in self.scores.items()}
        ours = scores.pop("this run")["mse"]
        events = []
        for (number, threshold), (channel, name) in itertools.product(enumerate(self.thresholds), enumerate(names)):
            of = {side: counts[:, channel, number] for side, counts in self.counts.items()}
            by_side = {side: field_scores.threshold_scores(counts) for side, counts in of.items()}
            events.append({"threshold": float(threshold), "channel": name, "per_step": by_side})
            events[-1]["scores"] = {side: field_scores.threshold_scores(counts.sum(0)) for side, counts in of.items()}
        return {
            "yardsticks": {name: summarize(parts) for name, parts in scores.items() if name != "persistence"},
            "skill": {name: field_scores.skill(ours, parts["mse"]) for name, parts in scores.items()},
            "events": events,
        }


def _climatology(config: Config) -> np.ndarray | None:
    """The mean frame of what the run was trained on, where that is still there."""
    try:
        return dataset.open_data(config).climatology()
    except (TfavError, OSError) as error:
        warnings.warn(f"no climatology to compare with, which is the mean of the training part: {error}", stacklevel=3)
        return None


def _over_channels(scores: Mapping[str, np.ndarray], unit: np.ndarray) -> dict[str, np.ndarray]:
    """Scores `[N, T, C]` as `[N, T]`, errors in shares of `unit`."""
    sizes = {"mse": unit**2, "mae": unit}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of frames that have nothing to compare
        return {name: np.nanmean(values / sizes.get(name, 1), axis=-1) for name, values in scores.items()}


def _peak_memory_mb() -> float | None:
    """The most memory this process has had, in MB; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def describe_evaluation(result: dict) -> str:
    """The figures as text: the run, copying the last frame, the yardsticks, the published rows; then each step."""
    names = [name for name in ("rmse", *frame_quality.NAMES) if name in result["scores"]]
    rows = [("this run", result["scores"]), ("copying the last frame", result["copy_last"])]
    rows += list(result.get("yardsticks", {}).items()) + [(row["name"], row) for row in result["published"]]
    width = max(len(name) for name, _ in rows)
    lines = [
        f"{result['count']} sequences ({result['data']}), {result['input_frames']} frames seen, "
        f"{result['output_frames']} predicted",
        " " * width + "".join(f"{name.upper():>9}" for name in names),
    ]
    lines += [f"{name:<{width}}" + "".join(_cell(name_, row) for name_ in names) for name, row in rows]
    per_step = result["scores"]["per_step"][names[0]]
    form = "{:.1f}" if names[0] == "mse" else "{:.4g}"
    lines.append(f"{names[0].upper()} by step: " + " ".join(form.format(value) for value in per_step))
    for name, values in result.get("skill", {}).items():
        lines.append(f"skill against {name} by step: " + " ".join(f"{value:.2f}" for value in values))
    for side, channels in result.get("channels", {}).items():
        told = ", ".join(f"{name} {row['rmse']:.4g}" for name, row in channels.items())
        lines.append(f"RMSE of each channel, in its units, {side}: {told}")
    for row in result.get("events", ()):
        told = (f"{side} {_share(of['csi'])} / {_share(of['far'])}" for side, of in row["scores"].items())
        lines.append(f"CSI / false alarms, {row['channel']} at {row['threshold']:g} or more: {', '.join(told)}")
    for name, title in {"ms_ssim": "MS-SSIM", "st_rred": "ST-RRED"}.items() if "perceptual" in result else ():
        ours, copied = (result["perceptual"][side][name] for side in ("scores", "copy_last"))
        lines.append(f"{title}: this run {ours:.4g}, copying the last frame {copied:.4g}")
    if "one_step_bce" in result:
        lines.append(f"one step ahead, true frames as input: binary cross-entropy {result['one_step_bce']:.4f}")
    lines += [f"failed: {row['path']}: {row['reason']}" for row in result["failed"]]
    if "units" in result:
        peak = f" Peak memory: {result['peak_memory_mb']} MB." if result["peak_memory_mb"] else ""
        lines.append(f"RMSE and MAE: units {result['units']}. Cells that are missing count nowhere.{peak}")
    else:
        lines.append(
            "MSE and MAE are summed over a frame's pixels in 0-1. Published rows: two digits, 10 frames after 10, on "
            "the 10,000 sequences of mnist_test_seq.npy."
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
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _means(parts: list[dict]) -> dict[str, float]:
    return {name: float(np.concatenate([part[name] for part in parts]).mean()) for name in perceptual_scores.NAMES}


def _cell(name: str, row: dict) -> str:
    if name not in row:
        return f"{'-':>9}"
    if "rmse" in row and name in ("rmse", "mae"):
        return f"{row[name]:9.4g}"
    return f"{row[name]:9.4f}" if name == "ssim" else f"{row[name]:9.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
