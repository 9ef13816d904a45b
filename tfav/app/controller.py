"""What happens when a person uploads, starts, cancels or leaves: all of the page that needs no browser."""

import asyncio
import os
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from tfav.app.job_queue import CANCELLED, DONE, WAITING, Job, JobQueue
from tfav.app.rendering import brief, status
from tfav.app.tabs import Tab, render
from tfav.app.uploads import Limits, check_upload
from tfav.errors import TfavError

_LOOK_SEC = 0.2
_KEEP_SEC = 3600.0  # results, where the page stays open for so long


Values = Mapping[str, float]  # of the controls, by name


class View(NamedTuple):
    """What the page shows: `status` and `result` as HTML, and whether work goes on."""

    status: str
    result: str
    busy: bool


class Controller:
    """Serves all people who have the page open.

    Args:
        jobs: Where the work is done.
        limits: Of uploads.
        folder: Private; uploads arrive in `served/`, from which alone the browser can fetch.
        predictors: From each system that can be used to the arguments of its `open_predictor`.
    """

    def __init__(self, jobs: JobQueue, limits: Limits, folder: Path, predictors: Mapping[str, dict]):
        self.jobs, self.limits, self.predictors = jobs, limits, predictors
        self.served = folder / "served"
        self._folder = folder / "jobs"
        self.served.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(exist_ok=True)
        self._lock = threading.Lock()
        self._uploads: dict[tuple[str, str], Path] = {}
        self._results: dict[str, list[Path]] = {}

    def receive(self, session: str, system: str, path: str | None) -> tuple[str, bool]:
        """Looks at a file as soon as it is uploaded, so that a wrong one is told before anybody waits.

        Returns:
            The status line as HTML, and whether the file can be used; one that cannot is deleted.
        """
        if path is None:
            self.forget(session, system)
            return status("idle", "Choose a video, or record one."), True
        try:
            self._hold(session, system, Path(path))
            found = check_upload(path, self.limits)
        except TfavError as error:
            self.forget(session, system)
            return status("wrong", str(error)), False
        return status("idle", f"Ready: {found.duration_sec:.1f} seconds, {found.width} x {found.height}."), True

    async def work(self, session: str, tab: Tab, path: str | None, values: Values) -> AsyncIterator[View]:
        """Has a system look at an upload, and tells how that goes; the upload is deleted at the end, good or bad."""
        if path is None:
            yield View(status("wrong", "Choose a video first, or record one."), "", False)
            return
        job, started = None, time.monotonic()
        try:
            self._hold(session, tab.system, Path(path))
            yield View(status("busy", "Checking the file.", 0.0), "", True)
            await asyncio.to_thread(check_upload, path, self.limits)
            job = self._submit(session, tab, Path(path), values)
            shown = None
            while not job.look().ended:
                now = self._progress(job)
                if now != shown:
                    yield View(now, "", True)
                    shown = now
                await asyncio.sleep(_LOOK_SEC)
            if job.state == DONE:
                result = render(tab, job.row, self._link)
                text = f"Done in {time.monotonic() - started:.1f} seconds"
                text += f": {brief(job.row)}." if brief(job.row) else "."
                yield View(status("done", text), result, False)
            else:
                kind = "idle" if job.state == CANCELLED else "wrong"
                yield View(status(kind, _without_folders(job)), "", False)
        except TfavError as error:  # refused before it got into the queue
            yield View(status("wrong", str(error)), "", False)
        finally:
            if job is not None and not job.ended:  # the browser is gone
                self.jobs.cancel(session, tab.system)
            self.forget(session, tab.system)

    def cancel(self, session: str, system: str) -> str:
        """Stops what a person started in a tab; the status line as HTML."""
        self.jobs.cancel(session, system)
        return status("idle", "Cancelled.")

    def leave(self, session: str) -> None:
        """A person has closed the page: stops their work, deletes what is theirs."""
        self.jobs.cancel(session, reason="The page was closed.")
        self.forget(session)
        with self._lock:
            folders = self._results.pop(session, [])
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def forget(self, session: str, system: str | None = None) -> None:
        """Deletes a person's uploads, of one tab or of all, unless somebody else sent the very same file."""
        with self._lock:
            for key in [key for key in self._uploads if key[0] == session and system in (None, key[1])]:
                path = self._uploads.pop(key)
                if path not in self._uploads.values():
                    shutil.rmtree(path.parent, ignore_errors=True)

    def _hold(self, session: str, system: str, path: Path) -> None:
        path = path.resolve()
        # An upload lies alone in a folder of its own, which goes with it: nothing else may be named here.
        if path.parent.parent != self.served.resolve():
            raise TfavError(f"{path.name}: not an upload of this page.")
        if self._uploads.get((session, system)) != path:
            self.forget(session, system)
            with self._lock:
                self._uploads[session, system] = path

    def _submit(self, session: str, tab: Tab, path: Path, values: Values) -> Job:
        token = secrets.token_hex(16)
        folder, results = self._folder / token, self.served / f"results-{token}"
        folder.mkdir(mode=0o700)
        results.mkdir(mode=0o700)
        self._keep_results(session, results)
        mine = folder / path.name
        try:
            os.link(path, mine)  # so that nobody who sent the same file can take it away
        except OSError:
            shutil.copyfile(path, mine)
        options = tab.options(values, results)
        owner, predictor_args = (session, tab.system), self.predictors[tab.system]
        return self.jobs.submit(owner, predictor_args, mine, options, folder=folder, results=results)

    def _keep_results(self, session: str, folder: Path) -> None:
        oldest = time.time() - _KEEP_SEC
        with self._lock:
            for folders in self._results.values():
                for old in [old for old in folders if old.exists() and old.stat().st_mtime < oldest]:
                    shutil.rmtree(old, ignore_errors=True)
                    folders.remove(old)
            self._results.setdefault(session, []).append(folder)

    def _progress(self, job: Job) -> str:
        if job.state == WAITING:
            ahead = self.jobs.ahead(job)
            others = "1 video comes" if ahead == 1 else f"{ahead} videos come"
            return status("busy", f"Waiting: {others} first." if ahead else "Waiting.", 0.0)
        return status("busy", f"{job.what}.", job.share)

    def _link(self, path) -> str:
        return f"gradio_api/file={quote(str(path))}"


def _without_folders(job: Job) -> str:
    """A message for the person, who knows the file by its name alone, and need not know where runs lie."""
    message = job.message
    for path in (job.path, *map(Path, job.predictor_args.values())):
        if path.is_absolute():
            message = message.replace(f"{path.parent}{os.sep}", "")
    return message
