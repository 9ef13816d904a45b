"""A video file through both streams in one pass: decode, flow, windows, scores.

Memory does not grow with the length of the video: frames and flow live only as long as a window needs them. The flow of
the windows to come is computed in other processes while the networks run. What is kept are the scores.
"""

import collections
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import joblib
import numpy as np

from tfav.errors import MediaError, UsageError
from tfav.io import images
from tfav.io.optical_flow import FLOW_BOUND, METHODS, iter_flow, quantize_flow
from tfav.io.progress import Progress, no_progress, with_progress
from tfav.io.sampling import frames_between, median_interval_sec
from tfav.io.video import iter_frames, probe
from tfav.live import Window
from tfav.metrics.late_fusion import EQUAL, Fusion, fuse
from tfav.systems.two_stream.demo_video import Moment
from tfav.systems.two_stream.stream import Stream
from tfav.training.timelines import Windows

_BATCH_SIZE = 8
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
        fusion: How both become one answer.
    """

    path: Path
    times_sec: np.ndarray
    spatial: np.ndarray
    motion: np.ndarray
    warnings: list[str]
    fusion: Fusion = EQUAL

    def fused(self) -> np.ndarray:
        """`[N - L, K]`: both streams' answer for each frame that has a stack of flow."""
        return fuse(self.spatial[: len(self.motion)], self.motion, self.fusion)

    def whole(self, first: int = 0, stop: int | None = None) -> np.ndarray:
        """`[K]`: both streams' answer for the video, or for some of its frames that have a stack.

        It is the fusion of each stream's mean over them, since a fusion is chosen on such means.
        """
        means = [rows[: len(self.motion)][first:stop].mean(axis=0) for rows in (self.spatial, self.motion)]
        return fuse(*means, self.fusion)

    def windows(self, every_sec: float, window_sec: float) -> Windows:
        """What both say of each window, as of that stretch alone: of its frames whose stacks lie in it.

        A last window that the video ends in counts if half of it is there. One shorter than a stack has the one that
        begins with it.
        """
        duration_sec = float(self.times_sec[-1]) + median_interval_sec(self.times_sec)
        count = max(1, math.floor((duration_sec - window_sec / 2) / every_sec + 1e-6) + 1)
        num_stacks, length = len(self.motion), len(self.times_sec) - len(self.motion)
        rows = []
        for start_sec in np.arange(count) * every_sec:
            first, stop = frames_between(self.times_sec, start_sec, start_sec + window_sec)
            first = min(first, num_stacks - 1)
            rows.append(self.whole(first, max(first + 1, stop - length)))
        return Windows(np.stack(rows), duration_sec, self.warnings)


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
    fusion: Fusion = EQUAL,
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
        fusion: How both become one answer.

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
            motion_batches.add(_stack(window))
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
    return VideoScores(path, np.array(source.times_sec), *scores, warnings, fusion)


class WindowScorer:
    """Scores the newest window of a live source, again and again, as `score_video` scores a video of these frames.

    What a window has in common with the one before is not computed anew.

    Args:
        spatial: The spatial stream.
        motion: The motion stream.
        flow: How flow is made.
        fusion: How both become one answer.
    """

    def __init__(self, spatial: Stream, motion: Stream, flow: FlowSettings, fusion: Fusion = EQUAL):
        self._streams, self._flow, self._fusion = (spatial, motion), flow, fusion
        self._scorers = spatial.build_scorer(), motion.build_scorer()
        for stream, score in zip(self._streams, self._scorers, strict=True):  # so that the first is quick
            score(np.zeros((1, *stream.model.input_shape[1:]), np.uint8))
        self._known: dict[tuple, np.ndarray] = {}  # by frames: rows of one, flow of two, rows of L + 1

    def kept(self, frame: np.ndarray) -> np.ndarray:
        """What it needs of a frame: smaller, where both streams see smaller ones anyway."""
        config = self._streams[0].config
        return images.shrink(frame, self._flow.size if config and config.frames_size == self._flow.size else 0)

    def __call__(self, window: Window) -> VideoScores:
        """The scores of a window whose frames are as `kept` gives them.

        Raises:
            MediaError: It has fewer than L + 1 frames.
        """
        spatial, motion = self._streams
        numbers, length = tuple(window.numbers), motion.stack_length
        if len(numbers) <= length:
            raise MediaError(
                "the live source",
                f"{len(numbers)} frames in a window, and a stack of {length} flow pictures needs {length + 1}",
                "Give a longer --window-sec.",
            )
        singles, pairs = [("frame", number) for number in numbers], _pairs(numbers)
        stacks = [("stack", *numbers[i : i + length + 1]) for i in range(len(numbers) - length)]
        known = {key: self._known[key] for key in (*singles, *pairs, *stacks) if key in self._known}
        new = [place for place, key in enumerate(singles) if key not in known]
        self._score(0, known, [singles[i] for i in new], (fit_square(window.frames[i], spatial) for i in new))
        first = next((place for place, pair in enumerate(pairs) if pair not in known), len(pairs))
        frames = [images.shrink(frame, self._flow.size) for frame in window.frames[first:]]
        convert = functools.partial(quantize_flow, bound=self._flow.bound, wrap=self._flow.wrap)
        flows = iter_flow(frames, self._flow.method, workers=0, convert=convert) if len(frames) > 1 else ()
        for pair, levels in zip(pairs[first:], flows, strict=True):
            known[pair] = np.stack([fit_square(levels[..., side], motion) for side in (0, 1)])
        new = [stack for stack in stacks if stack not in known]
        self._score(1, known, new, (_stack([known[pair] for pair in _pairs(stack[1:])]) for stack in new))
        self._known = known
        rows = [np.stack([known[key] for key in keys]) for keys in (singles, stacks)]
        return VideoScores(Path("live"), window.times_sec, *rows, [], self._fusion)

    def _score(self, side: int, known: dict, keys: list, pictures: Iterator[np.ndarray]) -> None:
        batches = _Batches(self._scorers[side], _BATCH_SIZE)
        for picture in pictures:
            batches.add(picture)
        if keys:
            known.update(zip(keys, batches.finish(), strict=True))


def _pairs(numbers: Sequence[int]) -> list[tuple]:
    return [("flow", *pair) for pair in itertools.pairwise(numbers)]


def _stack(pairs: list[np.ndarray]) -> np.ndarray:
    """`[S, S, 2 L]`: all of u before all of v, of L pictures `[2, S, S]`."""
    return np.stack([pair[side] for side in (0, 1) for pair in pairs], axis=-1)


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
