"""The queue: videos wait in it, bounded, and are worked on one at a time in a process that can be ended.

A `Job` is plain state to look at. Whoever wants it goes on looking, since one that nobody looks at is stopped: the tab
was closed, or the network is gone.
"""

import collections
import contextlib
import itertools
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tfav.app import worker
from tfav.errors import TfavError
from tfav.io import subprocesses

WAITING, RUNNING, DONE, REFUSED, FAILED, CANCELLED = "waiting", "running", "done", "refused", "failed", "cancelled"
_POLL_SEC = 0.1
_EXIT_SEC = 2.0
_LACKING = "The server lacks a file that this needs, and cannot fetch it. Its log says which."
_BROKEN = "Something went wrong inside; the server's log says what. Other videos are not affected."


class BusyError(TfavError):
    """The queue is full."""


class Job:
    """One video to be worked on.

    Attributes:
        owner: Who it is for: session and system.
        state: `waiting`, `running`, or how it ended: `done`, `refused`, `failed`, `cancelled`.
        share: How much is done, 0-1.
        what: What is being done.
        row: What the system's predictor gave, once `done`.
        message: A line for the person, where it did not end well.
    """

    def __init__(
        self, number: int, owner: tuple[str, str], predictor_args: dict, path: Path, options: dict, folders: tuple
    ):
        self.number, self.owner, self.predictor_args = number, owner, predictor_args
        self.path, self.options = path, options
        self.state, self.share, self.what = WAITING, 0.0, "Waiting"
        self.row: dict | None = None
        self.message = ""
        self.stop = ""  # why it is to stop, as a line for the person
        self.seen_sec = time.monotonic()
        self.folder, self.results = folders

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in (WAITING, RUNNING)

    def look(self) -> "Job":
        """Says that somebody still wants it; to be called every few seconds."""
        self.seen_sec = time.monotonic()
        return self


class JobQueue:
    """Takes jobs, works on them in order, can stop each.

    Args:
        limit: Jobs that may wait beside the one worked on.
        make_models: What `worker.main` works with; a function that can be imported.
        grace_sec: Time a job has to stop by itself before its process is ended.
        job_sec: The longest a job may take.
        unseen_sec: A job that nobody looks at for so long is stopped.
        scratch: Folder for the temporary files of the process, which leaves some when it is ended; None: the system's.
        environment: Variables that the process has beside this one's.
    """

    def __init__(
        self,
        limit: int = 8,
        make_models: Callable = worker.SystemModels,
        *,
        grace_sec: float = 3.0,
        job_sec: float = 1800.0,
        unseen_sec: float = 60.0,
        scratch: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ):
        self._limit, self._make_models, self._scratch = limit, make_models, scratch
        self._environment = dict(environment or {})
        self._grace_sec, self._job_sec, self._unseen_sec = grace_sec, job_sec, unseen_sec
        self._waiting: collections.deque[Job] = collections.deque()
        self._running: Job | None = None
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._closed = False
        self._process = self._connection = None
        self._thread = threading.Thread(target=self._work, name="tfav-jobs", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the process that works at present."""
        return self._process.pid if self._process else None

    def submit(
        self, owner: tuple[str, str], predictor_args: dict, path: Path, options: dict, *, folder: Path, results: Path
    ) -> Job:
        """Puts a video into the queue.

        Args:
            owner: Session and system.
            predictor_args: Of the system's `open_predictor`.
            path: The video, inside `folder`.
            options: Of the predictor, beside `progress`.
            folder: Removed when the job has ended.
            results: Removed when it has not ended well.

        Raises:
            BusyError: The queue is full.
        """
        with self._changed:
            # The first one waiting is as good as worked on where none is.
            if len(self._waiting) + (self._running is not None) > self._limit or self._closed:
                shutil.rmtree(folder, ignore_errors=True)
                shutil.rmtree(results, ignore_errors=True)
                raise BusyError(
                    f"The page is busy: {len(self._waiting)} videos are waiting, and it takes no more than "
                    f"{self._limit}. Try again in a few minutes."
                )
            job = Job(next(self._numbers), owner, predictor_args, path, options, (folder, results))
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def ahead(self, job: Job) -> int:
        """How many others come first."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._running is not None)

    def cancel(self, session: str, system: str | None = None, reason: str = "Cancelled.") -> int:
        """Stops the jobs of a session, of one system or of all; returns how many."""
        with self._changed:
            jobs = [*self._waiting, *([self._running] if self._running else [])]
            jobs = [job for job in jobs if job.owner[0] == session and system in (None, job.owner[1])]
            for job in jobs:
                job.stop = job.stop or reason
            self._drop_unwanted()
            return len(jobs)

    def close(self) -> None:
        """Stops everything, the process included."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        try:
            while not self._closed:
                if self._process is None:  # so that nobody waits for its start; one that dies of it waits for a job
                    with contextlib.suppress(OSError):  # no memory now; a job tries again, and is told
                        self._living()
                with self._changed:
                    self._drop_unwanted()
                    if not self._waiting:
                        self._changed.wait(1.0)
                        continue
                    job = self._running = self._waiting.popleft()
                    job.state, job.what = RUNNING, "Starting"
                try:
                    self._follow(job)
                finally:
                    self._running = None
        finally:
            with self._changed:
                for job in self._waiting:
                    _end(job, CANCELLED, "The server is stopping.")
                self._waiting.clear()
            self._end_process()

    def _drop_unwanted(self) -> None:
        now = time.monotonic()
        for job in list(self._waiting):
            if job.stop or now - job.seen_sec > self._unseen_sec:
                self._waiting.remove(job)
                _end(job, CANCELLED, job.stop or "Nobody waited for it.")

    def _follow(self, job: Job) -> None:
        """Sends a job to the process and sees to its end."""
        started_sec, stopped_sec = time.monotonic(), None
        try:
            connection = self._living()
        except OSError as error:
            print(f"the process cannot be started: {error}", file=sys.stderr)
            _end(job, FAILED, "This machine has too little memory left at the moment. Try again in a few minutes.")
            return
        try:
            connection.send((job.number, job.owner[1], job.predictor_args, str(job.path), job.options))
            while True:
                if connection.poll(_POLL_SEC):
                    number, kind, content = connection.recv()
                    if number == job.number and self._take(job, kind, content):
                        return
                now = time.monotonic()
                self._look_for_reasons(job, now, started_sec)
                if job.stop and stopped_sec is None:
                    connection.send(job.number)
                    stopped_sec = now
                elif stopped_sec is not None and now - stopped_sec > self._grace_sec:
                    self._end_process()
                    _end(job, CANCELLED, job.stop)
                    return
        except (EOFError, OSError):
            self._process.join(_EXIT_SEC)  # it is on its way out; how it leaves is worth knowing
            code = self._end_process()
            if job.stop:
                _end(job, CANCELLED, job.stop)
            else:
                _end(
                    job,
                    FAILED,
                    f"The work broke off (its process ended, code {code}): the file is damaged in a way that no check "
                    "found, or too large for this machine. Try a shorter or smaller one.",
                )

    def _take(self, job: Job, kind: str, content) -> bool:
        """Takes in an answer of the process; whether it was the last."""
        if kind == "progress":
            job.share, job.what = content
            return False
        if kind == "done":
            job.row = content
            _end(job, DONE)
        elif kind == "refused":
            _end(job, REFUSED, content)
        elif kind == "stopped":
            _end(job, CANCELLED, job.stop)
        else:
            print(content, file=sys.stderr)
            _end(job, FAILED, _LACKING if kind == "lacking" else _BROKEN)
        return True

    def _look_for_reasons(self, job: Job, now: float, started_sec: float) -> None:
        if job.stop:
            return
        if self._closed:
            job.stop = "The server is stopping."
        elif now - job.seen_sec > self._unseen_sec:
            job.stop = "Nobody waited for it."
        elif now - started_sec > self._job_sec:
            job.stop = f"It took longer than {self._job_sec / 60:.0f} minutes, the limit. Give a shorter video."

    def _living(self):
        """The connection to the process, which is started where there is none."""
        if self._process is None or not self._process.is_alive():
            self._end_process()
            context = multiprocessing.get_context("spawn")  # a fork would take the server's threads and locks along
            ours, theirs = context.Pipe()
            arguments = theirs, self._make_models, self._scratch, self._environment
            process = context.Process(target=worker.main, args=arguments, name="tfav-worker")
            try:
                with subprocesses.safe_start():
                    process.start()
            except OSError:
                ours.close()
                raise
            finally:
                theirs.close()
            self._process, self._connection = process, ours
        return self._connection

    def _end_process(self) -> int | None:
        """Ends the process and all that it started; returns its exit code."""
        if self._process is None:
            return None
        self._connection.close()  # an idle one leaves by itself
        if self._running is None:
            self._process.join(_EXIT_SEC)
        code = self._process.exitcode
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it leads a group of its own
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        code = self._process.exitcode if code is None else code
        self._process = self._connection = None
        return code


def _end(job: Job, state: str, message: str = "") -> None:
    shutil.rmtree(job.folder, ignore_errors=True)
    if state != DONE:
        shutil.rmtree(job.results, ignore_errors=True)
    job.message = message
    job.state = state
