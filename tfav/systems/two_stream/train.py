"""Training, evaluation and prediction: thin functions over Keras' own, each usable alone."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from tfav import training
from tfav.data.class_folders import Example
from tfav.data.classification import check_class_count, check_known_classes, make_split, part_of
from tfav.errors import UsageError
from tfav.io.atomic_write import write_json
from tfav.io.flow_extraction import extract_flow
from tfav.io.isolate_errors import row_of
from tfav.io.output_names import as_paths, check_target
from tfav.io.parallel import PrepareReport
from tfav.io.progress import Progress, no_progress
from tfav.metrics import classification
from tfav.metrics.ranking import describe_scores, ranking
from tfav.systems.two_stream import dataset, fusion, fusion_run, predict, sampling, stream_features
from tfav.systems.two_stream import model as models
from tfav.systems.two_stream.config import SYSTEM, Config
from tfav.systems.two_stream.stream import agree_on_labels, load_stream, read_labels
from tfav.training import callbacks as training_callbacks
from tfav.training import checkpoints
from tfav.training import run_folder as runs
from tfav.training.optimizers import make_optimizer, schedule_callback

_FLOW_NAMES = {"tvl1": "TVL1", "dis": "DIS", "farneback": "Farneback"}


def compile_args(config: Config) -> dict:
    """Arguments for `model.compile`: Adam, cross-entropy, accuracy (of samples; `evaluate` scores whole videos)."""
    return {
        "optimizer": make_optimizer(config.learning_rate),
        "loss": keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        "metrics": ["accuracy"],
    }


def callbacks(config: Config, run_dir: Path | str, extra: Sequence = ()) -> list[keras.callbacks.Callback]:
    """The callbacks of a run: its folder, schedule, best checkpoint, TensorBoard, metrics, resume.

    The best checkpoint goes by validation accuracy; without a validation part it is the last epoch's.
    """
    return training_callbacks.standard(
        run_dir,
        start=functools.partial(start_run, config, run_dir),
        monitor="val_accuracy" if config.has_val else None,
        patience=config.patience,
        schedule=schedule_callback(
            config.schedule,
            config.learning_rate,
            config.epochs,
            monitor="val_loss" if config.has_val else "loss",
            plateau_patience=config.plateau_patience,
        ),
        extra=extra,
    )


def start_run(config: Config, run_dir: Path | str) -> None:
    """Makes the run folder, or opens the one that is there; for the fusion, chooses the streams' weight.

    Raises:
        UsageError: The folder belongs to another run.
        DataError: The data set cannot be used as it stands.
    """
    found = sampling.find_examples(config)
    labels = check_class_count(found.labels, config)
    if config.stream == "fusion":
        fusion_run.check_streams(config, labels)
    runs.start(run_dir, SYSTEM, config, {"labels": labels})
    if config.stream == "fusion" and not (Path(run_dir) / fusion_run.FUSION_FILE).exists():
        split = make_split(found.examples, config)
        write_json(
            Path(run_dir) / fusion_run.FUSION_FILE, fusion_run.choose_weight(config, split.val or split.train, labels)
        )


def train(
    config: Config, run_dir: Path | str, *, devices: str | None = None, verbose: str | int = "auto"
) -> list[dict]:
    """Trains a stream, or the fusion, into a run folder, or goes on with the run that is there.

    For the fusion, the weight of each stream's probabilities is chosen on the validation part as well.

    Args:
        config: What to train on and how.
        run_dir: The run folder.
        devices: As in `tfav.strategy`.
        verbose: As in `model.fit`.

    Returns:
        One row per epoch: losses, accuracies, seconds.

    Raises:
        UsageError: The folder belongs to another run, or the streams of a fusion cannot be opened.
        DataError: The data set cannot be used as it stands.
    """
    training.prepare_devices(devices)  # before the data sets start TensorFlow
    start_run(config, run_dir)
    keras.utils.set_random_seed(config.seed)
    train_set, val_set, _ = dataset.build_datasets(config)
    with training.strategy(devices):
        model = models.build_model(config)
        model.compile(**compile_args(config))
    return training.fit(
        model,
        train_set,
        val_set,
        epochs=config.epochs,
        callbacks=callbacks(config, run_dir),
        run_dir=run_dir,
        verbose=verbose,
    )


def evaluate(
    run_dir: Path | str,
    data_dir: Path | str | None = None,
    *,
    part: str = "all",
    progress: bool = True,
) -> dict:
    """Scores videos: the mean over each one's samples against its class.

    Args:
        run_dir: A trained run: a stream, or the fusion.
        data_dir: Folder of `CLASS/VIDEO`, or a prepared one; None: the run's own.
        part: `all` videos of it, or the `train`, `val` or `test` part of the run's split.
        progress: Show a bar.

    Returns:
        As `tfav.metrics.classification.evaluate`, and `videos` (each with its ranked classes), `failed` (videos that
        cannot be used, with the reason), `seconds`. For the fusion also `streams`: the same scores of spatial, motion,
        average, weighted (with `spatial_weight`).

    Raises:
        UsageError: No run, or an unknown part.
        DataError: A class the model does not know, or not one usable video.
    """
    started = time.monotonic()
    run, config = open_run(run_dir)
    if data_dir is not None:
        config = dataclasses.replace(config, data_dir=str(data_dir))
    labels = run.metadata["labels"]
    examples = _examples_of(config, part, labels)
    is_fusion = config.stream == "fusion"
    streams = stream_features.both_streams(config) if is_fusion else [load_stream(run.dir, config.stream)]
    examples, stored, failed = stream_features.compute_usable(streams, config, examples, progress=progress)
    scores = _fusion_scores(run.dir, config, stored) if is_fusion else {}
    main = scores["recurrent"] if is_fusion else stored[config.stream].probabilities
    truth = np.array([labels.index(example.label) for example in examples])
    result = classification.evaluate(truth, main, labels)
    result["videos"] = [
        {"path": str(example.path), "label": example.label, "ranking": ranking(row, labels)}
        for example, row in zip(examples, main, strict=True)
    ]
    if scores:
        result["streams"] = {
            name: _brief(classification.evaluate(truth, rows, labels)) for name, rows in scores.items()
        }
        result["spatial_weight"] = fusion_run.stored_weight(run.dir)
    return result | {"failed": failed, "part": part, "seconds": round(time.monotonic() - started, 2)}


def evaluate_fusion(
    spatial, motion, config: Config, *, part: str = "all", spatial_weight: float = 0.5, progress: bool = True
) -> dict:
    """Scores two streams alone and fused by their mean, without a fusion run.

    Args:
        spatial: Run folder or `.h5` file of the spatial stream.
        motion: Of the motion stream.
        config: Where the videos are, their split, and how many samples each gives.
        part: As in `evaluate`.
        spatial_weight: Weight of the spatial stream.
        progress: Show a bar.

    Returns:
        `spatial`, `motion` and `fused`, each with `count`, `top1`, `top1_interval`, `top5`; and `failed`, as in
        `evaluate`.
    """
    streams = load_stream(spatial, "spatial"), load_stream(motion, "motion")
    labels = agree_on_labels(*streams)
    examples, stored, failed = stream_features.compute_usable(
        streams, config, _examples_of(config, part, labels), progress=progress
    )
    rows = {kind: answers.probabilities for kind, answers in stored.items()}
    rows["fused"] = fusion.fuse(rows["spatial"], rows["motion"], spatial_weight)
    truth = np.array([labels.index(example.label) for example in examples])
    scores = {name: _brief(classification.evaluate(truth, values, labels)) for name, values in rows.items()}
    return scores | {"failed": failed}


def predict_streams(
    spatial,
    motion,
    files: Sequence[Path | str] | Path | str,
    *,
    labels: Sequence[str] | Path | str | None = None,
    demo: Path | str | None = None,
    top: int = 5,
    flow_method: str | None = None,
    stack_length: int | None = None,
    wrap: bool = False,
    workers: int | None = None,
) -> dict:
    """Says what both streams see in video files, frame by frame and on the whole.

    Args:
        spatial: Run folder or legacy `.h5` file of the spatial stream.
        motion: Of the motion stream.
        files: Video files, or one path; one that cannot be read gives its error and stops no other.
        labels: Class names, or a file of them, one a line; None: those of the runs, or UCF101's where there are 101.
        demo: Also write the annotated video to this .mp4 file; for one video file at a time.
        top: Classes in each ranking.
        flow_method: `tvl1`, `dis` or `farneback`; None: what the motion stream was trained on.
        stack_length: L of the motion stream, where a `.h5` file's is not 10.
        wrap: Let flow beyond 20 pixels wrap, as the notebook's demo did by mistake.
        workers: Processes for the flow; None is one per core.

    Returns:
        JSON-ready `{"files": [...], "labels"}`; each file has `path` and either `error`, or `num_frames`, `ranking`
        (both streams' mean), `spatial`, `motion`, `frames` (per frame `index`, `time_sec` and the three rankings, of
        which the last L frames have only `spatial`), `warnings`, and `demo` where one was written.

    Raises:
        UsageError: The streams cannot be used or do not go together, the class list does not fit, or several files are
            to share one demo.
        WeightsError: A `.h5` file that is none.
    """
    files = as_paths(files)
    if demo is not None and len(files) != 1:
        raise UsageError(f"demo goes with one video file. Received: {len(files)} files")
    if demo is not None and Path(demo).suffix.lower() not in (".mp4", ".m4v", ".mov"):
        raise UsageError(f"{demo}: the demo video is written as .mp4, .m4v or .mov; choose such a name.")
    check_target(demo, files, "--demo")
    predict_file, names = _open_streams(spatial, motion, labels, flow_method, stack_length, wrap, workers)
    return {"files": [row_of(path, predict_file, demo=demo, top=top) for path in files], "labels": names}


def open_predictor(run_dir: Path | str | None = None, *, spatial=None, motion=None) -> Callable[..., dict]:
    """Opens two streams once, to ask them about one video after the other.

    Args:
        run_dir: A fusion run.
        spatial: Without `run_dir`: run folder or legacy `.h5` file of the spatial stream.
        motion: Without `run_dir`: of the motion stream.

    Returns:
        A function `(path, *, demo=None, top=5, progress=...)` from a video to its row as in `predict_streams`. It
        raises `MediaError` for a video that cannot be read, and whatever `progress` raises.

    Raises:
        UsageError: The streams cannot be used or do not go together, or the run is one stream alone.
    """
    if run_dir is not None:
        spatial, motion = _streams_of(run_dir)
    return _open_streams(spatial, motion)[0]


def predict_files(run_dir: Path | str | None, files: Sequence[Path | str] | Path | str, **options) -> dict:
    """As `predict_streams`, with the two streams of a fusion run, or with `spatial` and `motion` among the options.

    Raises:
        UsageError: The run is one stream alone.
    """
    if run_dir is None:
        if not {"spatial", "motion"} <= set(options):
            raise UsageError("two_stream needs --run-dir of a fusion, or --spatial and --motion.")
        return predict_streams(files=files, **options)
    spatial, motion = _streams_of(run_dir)
    return predict_streams(**{"spatial": spatial, "motion": motion, **options}, files=files)


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    flow_method: str = "tvl1",
    **options,
) -> PrepareReport:
    """Extracts frames and flow of all videos; options as in `tfav.io.flow_extraction.extract_flow`."""
    return extract_flow(source, out, method=flow_method, **options)


def describe_evaluation(result: dict) -> str:
    """The scores as text: a row per class, totals; for the fusion a row per way of fusing."""
    lines = [describe_scores(result)]
    for name, scores in result.get("streams", {}).items():
        lines.append(f"{name:<10}top-1 {scores['top1']:6.1%}  top-5 {scores['top5']:6.1%}")
    return "\n".join(lines)


def open_run(run_dir: Path | str) -> tuple[runs.Run, Config]:
    """Reads a run folder of this system."""
    run = runs.load(run_dir, SYSTEM)
    return run, Config.from_dict(run.config, str(run.dir / "config.json"))


def _streams_of(run_dir: Path | str) -> tuple[str, str]:
    _, config = open_run(run_dir)
    if config.stream != "fusion":
        raise UsageError(
            f"{run_dir}: one stream alone. Give both: tfav predict two_stream --spatial RUN --motion RUN FILE"
        )
    return config.spatial, config.motion


def _open_streams(spatial, motion, labels=None, flow_method=None, stack_length=None, wrap=False, workers=None):
    """The function from one video to its row, and the class names."""
    if isinstance(labels, str | Path):
        labels = read_labels(labels)
    streams = load_stream(spatial, "spatial"), load_stream(motion, "motion", stack_length=stack_length)
    names = agree_on_labels(*streams, labels)
    flow = predict.FlowSettings.of(streams[1], flow_method, wrap)

    def predict_file(path, *, demo=None, top: int = 5, progress: Progress = no_progress) -> dict:
        return _predict_file(path, streams, flow, names, demo, top, workers, progress)

    return predict_file, names


def _predict_file(path, streams, flow, labels, demo, top, workers, progress: Progress) -> dict:
    share = 1.0 if demo is None else 0.8  # drawing is the rest
    options = {"flow": flow, "workers": workers, "progress": lambda part, what: progress(share * part, what)}
    if demo is None:
        scores = predict.score_video(path, *streams, **options)
    else:
        with predict.Spool() as spool:
            scores = predict.score_video(path, *streams, keep=spool.add, **options)
            progress(share, "Drawing the video")
            predict.draw_demo(demo, scores, spool, labels, flow_name=_FLOW_NAMES[flow.method])
    fused = scores.fused()
    frames = []
    for index, (time_sec, row) in enumerate(zip(scores.times_sec, scores.spatial, strict=True)):
        frame = {"index": index, "time_sec": round(float(time_sec), 6), "spatial": ranking(row, labels, top)}
        if index < len(fused):
            frame |= {
                "motion": ranking(scores.motion[index], labels, top),
                "ranking": ranking(fused[index], labels, top),
            }
        frames.append(frame)
    return {
        "path": str(path),
        "num_frames": len(frames),
        "ranking": ranking(fused.mean(axis=0), labels, top),
        "spatial": ranking(scores.spatial.mean(axis=0), labels, top),
        "motion": ranking(scores.motion.mean(axis=0), labels, top),
        "frames": frames,
        "warnings": scores.warnings,
    } | ({"demo": str(demo)} if demo is not None else {})


def _fusion_scores(run_dir: Path, config: Config, stored: dict[str, stream_features.Stored]) -> dict[str, np.ndarray]:
    spatial, motion = stored["spatial"].probabilities, stored["motion"].probabilities
    both = np.concatenate([stored["spatial"].features, stored["motion"].features], axis=-1)
    recurrent = checkpoints.read_model(run_dir / "best.keras").predict(both, batch_size=config.batch_size, verbose=0)
    return {
        "spatial": spatial,
        "motion": motion,
        "average": fusion.fuse(spatial, motion),
        "weighted": fusion.fuse(spatial, motion, fusion_run.stored_weight(run_dir)),
        "recurrent": recurrent,
    }


def _examples_of(config: Config, part: str, labels: Sequence[str]) -> list[Example]:
    found = sampling.find_examples(config)
    check_known_classes(config.data_dir, found.labels, labels)
    return part_of(found.examples, config, part)


def _brief(result: dict) -> dict:
    return {key: result[key] for key in ("count", "top1", "top1_interval", "top5")}
