"""The loop: a thread reads frames into the newest window, and the system is asked about it again and again.

The thread never waits for the system, and holds one window. A system that is slow sees fewer windows and none late.
"""

import collections
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tfav.errors import MediaError
from tfav.io.isolate_errors import failure_of
from tfav.live.sources import open_source, shown_name

_TICK_SEC = 1e-6  # times are equal below this
_POLL_SEC = 0.1
_JOIN_SEC = 2.0


class Window(NamedTuple):
    """The newest frames of a source.

    Attributes:
        frames: As `Live.keep` gave them.
        times_sec: `[T]` float64, start of each after the source's first frame.
        numbers: Of each frame, counted from the source's first; where frames were lost, numbers are missing.
    """

    frames: list[np.ndarray]
    times_sec: np.ndarray
    numbers: Sequence[int]


@dataclasses.dataclass(frozen=True)
class Live:
    """A system as live sources need it.

    Attributes:
        window_sec: Length of the windows it looks at.
        answer: From a `Window` to a row, as of `predict_files`, without `path`.
        keep: From a frame `[H, W, 3]` uint8 RGB to what `answer` needs of it; the smaller, the less is held.
    """

    window_sec: float
    answer: Callable[[Window], dict]
    keep: Callable[[np.ndarray], np.ndarray] = lambda frame: frame


class Report(NamedTuple):
    """What a live run was like.

    Attributes:
        frames: Frames that came.
        windows: Windows that were looked at.
        dropped_share: Share of the frames that were in none of them.
        delay_p50_sec: Median time from a window's last frame to its answer; None without windows.
        delay_p95_sec: 95 % of the answers came sooner.
        seconds: How long it ran.
        error: Why it ended, where that was none of the user's doing.
    """

    frames: int
    windows: int
    dropped_share: float
    delay_p50_sec: float | None
    delay_p95_sec: float | None
    seconds: float
    error: str = ""


def look(
    source: str,
    live: Live,
    emit: Callable[[dict], None],
    *,
    stall_sec: float = 10.0,
    show: Callable[[np.ndarray, dict | None], bool] | None = None,
) -> Report:
    """Looks at a live source until it ends, fails, is closed, or Ctrl-C is pressed.

    Args:
        source: As in `sources.open_source`.
        live: The system.
        emit: Is given each row: `time_sec` of its newest frame, `start_sec` and `end_sec` of the window, `delay_sec`,
            and the system's answer.
        stall_sec: So long without a frame, and the source counts as stalled.
        show: Is given the newest frame, uint8 RGB, and the last row; returns False when it was closed.

    Returns:
        A `Report`; errors of the source are in it.

    Raises:
        TfavError: The system cannot answer.
    """
    reader = _Reader(source, live, stall_sec)
    delays, seen, last, row, error = [], 0, -1, None, ""
    started = time.monotonic()
    reader.start()
    try:
        while True:
            found = reader.wait_newest(last)
            if found is None:
                if reader.ended:
                    error = str(reader.error or "")
                    break
                if time.monotonic() - reader.last_arrival > stall_sec:
                    remedy = "Check the camera and the network, then run the same command."
                    error = str(MediaError(shown_name(source), f"no frame for {stall_sec:g} s", remedy))
                    break
                continue
            window, arrived, picture = found
            answer = live.answer(window)
            delays.append(time.monotonic() - arrived)
            seen += sum(number > last for number in window.numbers)
            last = window.numbers[-1]
            row = _times_of(window) | {"delay_sec": round(delays[-1], 4)} | answer
            emit(row)
            if show is not None and not show(picture, row):
                break
    except KeyboardInterrupt:
        pass
    finally:
        reader.stop()
    p50, p95 = (round(float(np.percentile(delays, share)), 4) if delays else None for share in (50, 95))
    dropped = round(1 - seen / reader.count, 4) if reader.count else 0.0
    seconds = round(time.monotonic() - started, 2)
    return Report(reader.count, len(delays), dropped, p50, p95, seconds, error)


def _times_of(window: Window) -> dict:
    times_sec = window.times_sec
    interval_sec = (times_sec[-1] - times_sec[0]) / max(1, len(times_sec) - 1)
    times = {"time_sec": times_sec[-1], "start_sec": times_sec[0], "end_sec": times_sec[-1] + interval_sec}
    return {name: round(float(value), 4) for name, value in times.items()}


class _Held(NamedTuple):
    number: int
    time_sec: float
    arrived: float
    frame: np.ndarray


class _Reader(threading.Thread):
    """Reads a source; holds the frames of the newest window."""

    def __init__(self, source: str, live: Live, stall_sec: float):
        super().__init__(name="live frames", daemon=True)
        self.count, self.ended, self.error = 0, False, None
        self.last_arrival = time.monotonic()
        self._source, self._live, self._stall_sec = source, live, stall_sec
        self._held: collections.deque[_Held] = collections.deque()
        self._picture: np.ndarray | None = None
        self._news, self._stop_asked = threading.Condition(), threading.Event()
        self._answered = False

    def wait_newest(self, after: int) -> tuple[Window, float, np.ndarray] | None:
        """The newest window, when its last frame came, and that frame; None if none comes soon with one after this."""
        with self._news:
            self._news.wait_for(lambda: self.ended or self._is_new(after), _POLL_SEC)
            if not self._held or self._held[-1].number <= after or not (self._is_whole() or self.ended):
                return None
            held = list(self._held)
            self._answered = True
        window = Window([h.frame for h in held], np.array([h.time_sec for h in held]), [h.number for h in held])
        return window, held[-1].arrived, self._picture

    def stop(self) -> None:
        self._stop_asked.set()
        self.join(_JOIN_SEC)  # one that hangs in a read is a daemon, and goes with the process

    def run(self) -> None:
        try:
            with open_source(self._source, self._stall_sec) as (shots, is_file):
                for number, (time_sec, arrived, read) in enumerate(self._paced(shots) if is_file else _arrived(shots)):
                    if self._stop_asked.is_set():
                        break
                    self.count, self.last_arrival = number + 1, time.monotonic()
                    if read is not None:
                        picture = read()
                        self._hold(_Held(number, time_sec, arrived, self._live.keep(picture)), picture)
        except Exception as error:
            self.error = failure_of(shown_name(self._source), error)
        finally:
            with self._news:
                self.ended = True
                self._news.notify_all()

    def _hold(self, held: _Held, picture: np.ndarray) -> None:
        with self._news:
            self._held.append(held)
            self._picture = picture
            while self._held[0].time_sec <= held.time_sec - self._live.window_sec + _TICK_SEC:
                self._held.popleft()
            self._news.notify_all()

    def _is_new(self, after: int) -> bool:
        return bool(self._held) and self._held[-1].number > after and self._is_whole()

    def _is_whole(self) -> bool:
        """Whether frames fill a window; one that was filled once stays so, however slow the source becomes."""
        span_sec = self._held[-1].time_sec - self._held[0].time_sec
        interval_sec = span_sec / max(1, len(self._held) - 1)
        return self._answered or span_sec + interval_sec >= self._live.window_sec - _TICK_SEC

    def _paced(self, shots) -> Iterator[tuple]:
        """Frames of a file when they are due; one that is late when the next one is due is passed over."""
        started, before_sec = None, 0.0
        for time_sec, read in shots:
            started = time.monotonic() if started is None else started
            wait_sec = started + time_sec - time.monotonic()
            if wait_sec > 0:
                self._stop_asked.wait(wait_sec)
            is_late = -wait_sec > time_sec - before_sec > 0
            before_sec = time_sec
            yield time_sec, started + time_sec, None if is_late else read


def _arrived(shots) -> Iterator[tuple]:
    for time_sec, read in shots:
        yield time_sec, time.monotonic(), read
