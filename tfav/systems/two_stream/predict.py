"""A video file through both streams in one pass: decode, flow, windows, scores; and the rows that `tfav predict` gives.

Memory does not grow with the length of the video: frames and flow live only as long as a window needs them. The flow of
the windows to come is computed in other processes while the networks run. For the demo, whose title tells the average
over the whole video, small pictures of frames and flow wait in a temporary file.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import joblib
import numpy as np

from tfav.errors import MediaError, UsageError
from tfav.io import images
from tfav.io.isolate_errors import row_of
from tfav.io.optical_flow import FLOW_BOUND, METHODS, iter_flow, quantize_flow
from tfav.io.output_names import as_paths, check_target
from tfav.io.progress import Progress, no_progress, with_progress
from tfav.io.video import iter_frames, probe
from tfav.metrics.ranking import ranking
from tfav.systems.two_stream.config import SYSTEM, Config
from tfav.systems.two_stream.demo_video import Moment, Spool, draw_demo
from tfav.systems.two_stream.fusion import fuse, stored_weight
from tfav.systems.two_stream.stream import Stream, agree_on_labels, load_stream, read_labels
from tfav.training.run_folder import open_run

_BATCH_SIZE = 8
_FLOW_NAMES = {"tvl1": "TVL1", "dis": "DIS", "farneback": "Farneback"}
_STILL = 127  # the grey level of no motion


@dataclasses.dataclass(frozen=True)
class FlowSettings:
    """How the flow for a motion stream is made.

    Attributes:
        method: A name of `tfav.io.optical_flow.METHODS`.
        bound: Motion in pixels that becomes white.
        size: Shorter side of the frames it is computed on, in pixels, never enlarged; 0 keeps the video's.
        wrap: As the notebook's demo does, by mistake; see `tfav.io.optical_flow.quantize_flow`.
    """

    method: str = "tvl1"
    bound: float = FLOW_BOUND
    size: int = 0
    wrap: bool = False

    @classmethod
    def of(cls, motion: Stream, method: str | None = None, wrap: bool = False) -> "FlowSettings":
        """What a stream was trained on: its run's settings, or for a file those of the released network."""
        if method is not None and method not in METHODS:
            raise UsageError(f"unknown flow method {method!r}. Valid: {', '.join(METHODS)}.")
        config = motion.config
        if config is None:
            return cls(method or "tvl1", wrap=wrap)
        return cls(method or config.flow_method, config.flow_bound, config.frames_size, wrap)


class VideoScores(NamedTuple):
    """What both streams say of a video.

    Attributes:
        path: The file.
        times_sec: `[N]` float64, start of each frame.
        spatial: `[N, K]` float32 probabilities of each frame.
        motion: `[N - L, K]` float32, row `i` of the L flow pictures that begin with frame `i`.
        warnings: One line each: damage, a picture that never moves.
        spatial_weight: Of the spatial stream in their mean, 0-1.
    """

    path: Path
    times_sec: np.ndarray
    spatial: np.ndarray
    motion: np.ndarray
    warnings: list[str]
    spatial_weight: float = 0.5

    def fused(self) -> np.ndarray:
        """`[N - L, K]`: both streams' weighted mean for each frame that has a stack of flow."""
        return fuse(self.spatial[: len(self.motion)], self.motion, self.spatial_weight)


def score_video(
    path,
    spatial: Stream,
    motion: Stream,
    *,
    flow: FlowSettings | None = None,
    workers: int | None = None,
    batch_size: int = _BATCH_SIZE,
    keep: Callable[[Moment], None] | None = None,
    progress: Progress = no_progress,
    spatial_weight: float = 0.5,
) -> VideoScores:
    """Scores every frame of a video with both streams, in one pass.

    Args:
        path: The file.
        spatial: The spatial stream.
        motion: The motion stream; a stack of its L flow pictures begins with every frame but the last L.
        flow: How flow is made; None: as for this motion stream's training.
        workers: As in `tfav.io.optical_flow.iter_flow`.
        batch_size: Frames, or stacks, that go through a network at a time.
        keep: Called with each frame and its flow, in order; must not hold on to them for the memory to stay bounded.
        progress: Told frame by frame; see `tfav.io.progress`.
        spatial_weight: Of the spatial stream in the mean of both.

    Raises:
        MediaError: The file cannot be read, or has fewer than L + 1 frames. Damage that leaves so many is a warning.
    """
    path, flow = Path(path), flow or FlowSettings.of(motion)
    source = _Source(path, flow.size)
    convert = functools.partial(quantize_flow, bound=flow.bound, wrap=flow.wrap)
    busy = (joblib.cpu_count() if METHODS[flow.method].in_processes else 1) if workers is None else workers
    # Enough pairs in work to last while both networks take a batch.
    flows = iter_flow(source, flow.method, workers=workers, convert=convert, ahead=batch_size + 2 * busy)
    spatial_batches = _Batches(spatial.build_scorer(), batch_size)
    motion_batches = _Batches(motion.build_scorer(), batch_size)
    length, moves = motion.stack_length, False
    window = collections.deque(maxlen=length)
    count = probe(path, exact=False).num_frames - 1 if progress is not no_progress else 0
    for levels in with_progress(flows, count, progress, "Looking at frames and motion"):
        frame = source.waiting.popleft()
        if keep is not None:
            keep(Moment(frame, levels[..., 0], levels[..., 1]))
        moves = moves or bool((levels != _STILL).any())
        spatial_batches.add(fit_square(frame, spatial))
        window.append([fit_square(levels[..., side], motion) for side in (0, 1)])
        if len(window) == length:
            motion_batches.add(np.stack([pair[side] for side in (0, 1) for pair in window], axis=-1))
    if len(source.times_sec) <= length:
        raise MediaError(
            path,
            f"{len(source.times_sec)} frames can be read, and a stack of {length} flow pictures needs {length + 1}",
            "Give a longer clip.",
        ) from source.error
    for frame in source.waiting:  # the last frame has no flow of its own
        spatial_batches.add(fit_square(frame, spatial))
    warnings = [] if source.error is None else [f"{source.error} The scores are of these frames."]
    if not moves:
        warnings.append(f"{path}: nothing moves in it, so the motion stream has nothing to go by.")
    scores = spatial_batches.finish(), motion_batches.finish()
    return VideoScores(path, np.array(source.times_sec), *scores, warnings, spatial_weight)


class _Source:
    """Frames for the flow; each also waits, as filmed, until its flow comes back."""

    def __init__(self, path: Path, size: int):
        self.waiting: collections.deque[np.ndarray] = collections.deque()
        self.times_sec: list[float] = []
        self.error: MediaError | None = None
        self._path, self._size = path, size

    def __iter__(self) -> Iterator[np.ndarray]:
        try:
            for _, time_sec, frame in iter_frames(self._path):
                self.times_sec.append(time_sec)
                self.waiting.append(frame)
                yield images.shrink(frame, self._size)
        except MediaError as error:
            if not self.times_sec:
                raise
            self.error = error  # damaged, and told only after the frames that it has


class _Batches:
    """Collects pictures, runs the network on so many at a time, keeps the scores."""

    def __init__(self, score: Callable[[np.ndarray], np.ndarray], batch_size: int):
        self._score, self._batch_size = score, batch_size
        self._pictures: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []

    def add(self, picture: np.ndarray) -> None:
        self._pictures.append(picture)
        if len(self._pictures) == self._batch_size:
            self._run()

    def finish(self) -> np.ndarray:
        if self._pictures:
            self._run()
        return np.concatenate(self._scores)

    def _run(self) -> None:
        self._scores.append(self._score(np.stack(self._pictures)))
        self._pictures.clear()


def fit_square(picture: np.ndarray, stream: Stream) -> np.ndarray:
    """Stretches a frame, or a picture of its flow, to what a stream takes.

    Args:
        picture: `[H, W]` or `[H, W, 3]` uint8.
        stream: Of a run: as its training's pictures were made. Of a file: cubic as the notebook does, unless it is so
            much smaller that pixels would be left out.

    Returns:
        `[S, S]` or `[S, S, 3]` uint8.
    """
    size = stream.image_size
    if stream.config is not None:
        return images.resize(images.shrink(picture, stream.config.frames_size), size, size)
    if picture.shape[:2] == (size, size):
        return picture
    much_smaller = min(picture.shape[:2]) > 1.5 * size
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if much_smaller else cv2.INTER_CUBIC)


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
    spatial_weight: float = 0.5,
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
        spatial_weight: Of the spatial stream in the mean of both.

    Returns:
        JSON-ready `{"files": [...], "labels"}`; each file has `path` and either `error`, or `num_frames`, `ranking`
        (both streams' weighted mean), `spatial`, `motion`, `frames` (per frame `index`, `time_sec` and the three
        rankings, of which the last L frames have only `spatial`), `warnings`, and `demo` where one was written.

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
    predict_file, names = _open_streams(
        spatial, motion, labels, flow_method, stack_length, wrap, workers, spatial_weight
    )
    return {"files": [row_of(path, predict_file, demo=demo, top=top) for path in files], "labels": names}


def open_predictor(run_dir: Path | str | None = None, *, spatial=None, motion=None) -> Callable[..., dict]:
    """Opens two streams once, to ask them about one video after the other.

    Args:
        run_dir: A fusion run; the weight that its training chose for each stream holds.
        spatial: Without `run_dir`: run folder or legacy `.h5` file of the spatial stream.
        motion: Without `run_dir`: of the motion stream.

    Returns:
        A function `(path, *, demo=None, top=5, progress=...)` from a video to its row as in `predict_streams`. It
        raises `MediaError` for a video that cannot be read, and whatever `progress` raises.

    Raises:
        UsageError: The streams cannot be used or do not go together, or the run is one stream alone.
    """
    if run_dir is not None:
        return _open_streams(**_streams_of(run_dir))[0]
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
    return predict_streams(**_streams_of(run_dir) | options, files=files)


def _streams_of(run_dir: Path | str) -> dict:
    run, config = open_run(run_dir, SYSTEM, Config)
    if config.stream != "fusion":
        raise UsageError(
            f"{run_dir}: one stream alone. Give both: tfav predict two_stream --spatial RUN --motion RUN FILE"
        )
    return {"spatial": config.spatial, "motion": config.motion, "spatial_weight": stored_weight(run.dir)}


def _open_streams(
    spatial, motion, labels=None, flow_method=None, stack_length=None, wrap=False, workers=None, spatial_weight=0.5
):
    """The function from one video to its row, and the class names."""
    if isinstance(labels, str | Path):
        labels = read_labels(labels)
    streams = load_stream(spatial, "spatial"), load_stream(motion, "motion", stack_length=stack_length)
    names = agree_on_labels(*streams, labels)
    flow = FlowSettings.of(streams[1], flow_method, wrap)

    def predict_file(path, *, demo=None, top: int = 5, progress: Progress = no_progress) -> dict:
        return _predict_file(path, streams, flow, names, demo, top, workers, progress, spatial_weight)

    return predict_file, names


def _predict_file(path, streams, flow, labels, demo, top, workers, progress: Progress, spatial_weight) -> dict:
    share = 1.0 if demo is None else 0.8  # drawing is the rest
    options = {"flow": flow, "workers": workers, "progress": lambda part, what: progress(share * part, what)}
    options["spatial_weight"] = spatial_weight
    if demo is None:
        scores = score_video(path, *streams, **options)
    else:
        with Spool() as spool:
            scores = score_video(path, *streams, keep=spool.add, **options)
            progress(share, "Drawing the video")
            draw_demo(demo, scores, spool, labels, flow_name=_FLOW_NAMES[flow.method])
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
