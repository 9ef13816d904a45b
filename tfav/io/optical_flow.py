"""Dense optical flow between neighbouring frames: TV-L1 as the reference, DIS and Farneback as fast modes.

Flow is `[H, W, 2]` float32: how far each pixel moves to the next frame, in pixels, right (`u`) and down (`v`). Pairs of
frames are independent of one another, so they are spread over processes and come back in order, a few at a time.
Folders of flow pictures are in `flow_extraction`.
"""

import collections
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import cv2
import joblib
import numpy as np

from tfav.errors import DataError, TfavError, UsageError
from tfav.io.executors import LokyPool, Pool
from tfav.io.tvl1 import compute_tvl1, equals_opencv, is_covered
from tfav.ranges import check_number

_TRIES = 2
FLOW_BOUND = 20.0  # pixels; what UCF101's published flow pictures, and every network trained on them, were cut at


class Method(NamedTuple):
    """A way to compute flow.

    Attributes:
        create: Makes an object with `calc(previous, following, None)`; one is kept for each thread and size.
        in_processes: Spread over processes; else over threads, where a pair costs less than its way to a process.
    """

    create: Callable
    in_processes: bool


class _Farneback:
    """`cv2.calcOpticalFlowFarneback`, with the settings of OpenCV's own tutorial, as an object like the others."""

    def calc(self, previous, following, flow):
        return cv2.calcOpticalFlowFarneback(previous, following, flow, 0.5, 3, 15, 3, 5, 1.2, 0)


class _Dis:
    """OpenCV's dense inverse search, for frames of any size: on sides below 16 it raises, or ends the process."""

    def __init__(self):
        self._opencv = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def calc(self, previous, following, flow):
        height, width = previous.shape
        more = [max(0, _LEAST_SIDE_OF_DIS - side) for side in (height, width)]
        if any(more):
            previous, following = (
                cv2.copyMakeBorder(frame, 0, more[0], 0, more[1], cv2.BORDER_REPLICATE)
                for frame in (previous, following)
            )
        return self._opencv.calc(previous, following, flow)[:height, :width]


class _Tvl1:
    """OpenCV's dual TV-L1 with its defaults; computed by `tvl1` where that is known to give the same, only sooner."""

    def __init__(self):
        if not hasattr(cv2, "optflow"):
            raise TfavError(
                "This OpenCV has no optflow, so no TV-L1: run tfav doctor --mend, or choose dis or farneback."
            )
        self._opencv = cv2.optflow.DualTVL1OpticalFlow_create()

    def calc(self, previous, following, flow):
        if is_covered(previous.shape) and equals_opencv():
            return compute_tvl1(previous, following)
        return self._opencv.calc(previous, following, flow)


METHODS: dict[str, Method] = {
    "tvl1": Method(_Tvl1, in_processes=True),
    "dis": Method(_Dis, in_processes=False),
    "farneback": Method(_Farneback, in_processes=False),
}

_LEAST_SIDE_OF_DIS = 16  # pixels
_of_this_thread = threading.local()


def to_gray(frame: np.ndarray) -> np.ndarray:
    """`[H, W, 3]` uint8 RGB (or `[H, W]` uint8 grey already) -> `[H, W]` uint8 grey, ITU-R 601 weights.

    Raises:
        UsageError: Neither of the two.
    """
    if getattr(frame, "dtype", None) != np.uint8 or frame.ndim not in (2, 3) or frame.shape[2:] not in ((), (3,)):
        got = f"shape={getattr(frame, 'shape', None)}, dtype={getattr(frame, 'dtype', None)}"
        raise UsageError(f"Flow needs frames [H, W, 3] uint8 RGB or [H, W] uint8 grey. Received: {got}")
    return frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def compute_flow(previous: np.ndarray, following: np.ndarray, method: str = "tvl1") -> np.ndarray:
    """Compute the flow from one frame to the next.

    Args:
        previous: `[H, W, 3]` uint8 RGB or `[H, W]` uint8 grey. Grey levels of 0-255 and of 0-1 give the same flow.
        following: The frame after it, of the same size.
        method: A name of `METHODS`. `tvl1` is OpenCV's dual TV-L1 with its defaults (0.3 s at 320x240), `dis` takes 8
            ms and `farneback` 16 ms.

    Returns:
        `[H, W, 2]` float32, pixels to the right and down.

    Raises:
        UsageError: An unknown method, or arrays that are no frames.
        DataError: The two differ in size.

    Reference:
        C. Zach, T. Pock, H. Bischof, "A duality based approach for realtime TV-L1 optical flow", DAGM 2007.
        T. Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016.
        G. Farnebäck, "Two-frame motion estimation based on polynomial expansion", SCIA 2003.
    """
    _check_method(method)
    previous, following = to_gray(previous), to_gray(following)
    _check_same_size(previous, following, 1)
    return _flow_of_pair(previous, following, method, None)


def iter_flow(
    frames: Iterable[np.ndarray],
    method: str = "tvl1",
    *,
    workers: int | None = None,
    convert: Callable[[np.ndarray], np.ndarray] | None = None,
    ahead: int | None = None,
) -> Iterator[np.ndarray]:
    """Compute the flow of each frame to the next, in order, holding a few frames at a time.

    The result is the same, bit for bit, whatever `workers` is.

    Args:
        frames: Frames as for `compute_flow`, any iterable of them; read only as far as `ahead` pairs in front.
        method: A name of `METHODS`.
        workers: Processes (TV-L1) or threads (the fast modes); None is one process per core, or one thread; 0 computes
            each pair when it is asked for, in the caller's own thread.
        convert: Applied to each flow where it was computed, e.g. `quantize_flow`, so that less has to travel back; at
            the top level of a module, or a `functools.partial` of such a function.
        ahead: Pairs in work before the first is handed over; None is two for each worker. They go on while the caller
            is busy with what it has.

    Yields:
        One fewer than there are frames: `[H, W, 2]` float32, or what `convert` made of it.

    Raises:
        UsageError: An unknown method, a negative number, or arrays that are no frames.
        DataError: A frame of another size than the one before.
    """
    _check_method(method)
    check_number("workers", workers, whole=True, ge=0)
    check_number("ahead", ahead, whole=True, ge=0)
    return _iter_flow(frames, method, workers, convert, ahead)


def quantize_flow(flow: np.ndarray, bound: float = FLOW_BOUND, *, wrap: bool = False) -> np.ndarray:
    """Flow as pictures: `-bound..bound` pixels become grey levels 0-255, no motion 127.

    Args:
        flow: Of any shape, float32, in pixels.
        bound: Motion of this many pixels is white, of as many to the other side black.
        wrap: False cuts off what lies beyond, as was done to the flow that the released networks were trained on. True
            does what the notebook's demo does by mistake: beyond the bound the levels start anew, -25 gives 225.

    Returns:
        Of the same shape, uint8.

    Raises:
        UsageError: A bound that is not positive.
    """
    if not bound > 0:
        raise UsageError(f"bound must be positive, in pixels. Received: bound={bound}")
    levels = 255 * (flow + bound) / (2 * bound)
    # By way of int32: what a negative float becomes as uint8 is up to the compiler.
    return levels.astype(np.int32).astype(np.uint8) if wrap else np.clip(levels, 0, 255).astype(np.uint8)


def _iter_flow(frames, method, workers, convert, ahead) -> Iterator[np.ndarray]:
    pending, previous = collections.deque(), None
    with _open_pool(method, workers) as pool:
        ahead = (2 * pool.workers if ahead is None else ahead) if pool else 0
        try:
            for number, frame in enumerate(frames):
                following = to_gray(frame)
                if previous is not None:
                    _check_same_size(previous, following, number)
                    task = (previous, following, method, convert)
                    pending.append((task, pool.submit(_flow_of_pair, *task) if pool else None))
                previous = following
                if len(pending) > ahead:
                    yield _take_result(pool, pending)
            while pending:
                yield _take_result(pool, pending)
        finally:
            for _, future in pending:  # the caller stopped early; a pair in work is left to end
                if future is not None:
                    future.cancel()


def _take_result(pool, pending: collections.deque) -> np.ndarray:
    """The flow of the first pair, which leaves `pending`; where a process was killed, all that went with it is redone.

    A pair whose processes were killed twice, likely for want of memory, is computed here.
    """
    for _ in range(_TRIES):
        task, future = pending[0]
        if future is None:
            break
        try:
            flow = future.result()
            pending.popleft()
            return flow
        except Exception as error:
            if not pool.is_death(error):
                raise
        pool.restart()  # a dying process takes along what the others were at
        for place, (task, future) in enumerate(pending):
            if not future.done() or future.cancelled() or future.exception() is not None:
                pending[place] = task, pool.submit(_flow_of_pair, *task)
    return _flow_of_pair(*pending.popleft()[0])


def _flow_of_pair(previous, following, method, convert) -> np.ndarray:
    """Compute one pair, in whichever process or thread; grey frames in."""
    kept = vars(_of_this_thread).setdefault("kept", {})
    # A new one for each size: TV-L1 lowers its number of scales for a small picture and never raises it again.
    if kept.get(method, (None,))[0] != previous.shape:
        kept[method] = previous.shape, METHODS[method].create()
    flow = kept[method][1].calc(previous, following, None)
    return flow if convert is None else convert(flow)


class _ThreadPool(Pool):
    """Threads of this process."""

    def __init__(self, workers: int):
        self.workers = workers
        self._executor = concurrent.futures.ThreadPoolExecutor(workers)

    def submit(self, function: Callable, *args) -> concurrent.futures.Future:
        return self._executor.submit(function, *args)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _open_pool(method: str, workers: int | None):
    if workers == 0:
        yield None
    elif METHODS[method].in_processes:
        yield LokyPool(workers or joblib.cpu_count())  # its processes stay for the next video, then leave
    else:
        pool = _ThreadPool(workers or 1)
        try:
            yield pool
        finally:
            pool.close()


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise UsageError(f"unknown flow method {method!r}. Valid: {', '.join(METHODS)}.")


def _check_same_size(previous: np.ndarray, following: np.ndarray, number: int) -> None:
    if previous.shape != following.shape:
        sizes = [f"{gray.shape[1]}x{gray.shape[0]}" for gray in (following, previous)]
        raise DataError(f"Flow needs frames of one size: frame {number} is {sizes[0]}, the one before {sizes[1]}.")
