"""What happens behind the page on which a person records themself: takes arrive, are checked apart, and are filed."""

import asyncio
import contextlib
import secrets
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

from tfav.app.job_queue import DONE, JobQueue
from tfav.app.uploads import Limits, check_upload, sniff
from tfav.errors import MediaError, TfavError
from tfav.io.atomic_write import DiskFullError, is_disk_full
from tfav.io.faces import FaceDetector
from tfav.io.progress import Progress, no_progress
from tfav.speech.corpus import MAX_SECONDS
from tfav.speech.enrolment import Enrolment, Slot
from tfav.speech.take_check import TakeCheck, check_take
from tfav.systems import SYSTEMS

_LOOK_SEC = 0.1
_OWNER = ("enrol", "enrol")  # whose jobs these are
_SUFFIXES = {"matroska": ".webm", "mp4": ".mp4"}  # what browsers record


class TakeChecker:
    """As `worker.SystemModels`, for the process in which takes are looked at: no TensorFlow, and one thing to do."""

    def __init__(self):
        self._detector: FaceDetector | None = None

    def prepare(self) -> None:
        """There is nothing that takes long to start."""

    def __call__(self, system: str, arguments: dict) -> Callable[..., dict]:
        """A function from a recording and its prompt to what was found."""
        self._detector = self._detector or FaceDetector()
        return self._look

    def _look(self, path: str, *, text: str, progress: Progress = no_progress) -> dict:
        return check_take(path, text, self._detector, progress=progress)._asdict()


class Verdict(NamedTuple):
    """What a person is told of a take.

    Attributes:
        is_good: It was filed.
        lines: What was found, or what went wrong, a line each.
        status: HTTP's number for it.
    """

    is_good: bool
    lines: list[str]
    status: int = 200


class EnrolStation:
    """Takes in the recordings of one speaker.

    Args:
        enrolment: Where they go.
        limits: Of a recording.
        folder: Private, for what is not filed yet.
        jobs: Where they are looked at; its models are `TakeChecker`.
    """

    def __init__(self, enrolment: Enrolment, limits: Limits, folder: Path, jobs: JobQueue):
        self.enrolment, self._limits, self._folder, self._jobs = enrolment, limits, folder, jobs
        self._checking = 0
        self._filing = threading.Lock()
        folder.mkdir(exist_ok=True)

    def state(self, after: Slot | None = None) -> dict:
        """What the page shows, JSON-ready.

        Args:
            after: A prompt that is passed over.

        Returns:
            `speaker`, `done` and `total` takes, the `next` one (`number`, `take`, `text`) or None, how many are being
            `checking`, `max_sec` of a take, the lines that are no prompts (`refused`), and what to do `then`.
        """
        enrolment = self.enrolment
        slot = enrolment.next_slot(after)
        readers = [name for name, system in SYSTEMS.items() if system.kind == "sentences"]
        return {
            "speaker": enrolment.speaker,
            "done": len(enrolment.filed()),
            "total": enrolment.takes * len(enrolment.prompts.texts),
            "next": None if slot is None else {**slot._asdict(), "text": enrolment.text(slot)},
            "checking": self._checking,
            "max_sec": min(MAX_SECONDS, self._limits.max_sec),
            "refused": list(enrolment.prompts.refused),
            "then": f"tfav prepare {readers[0]} --source {enrolment.folder.parent} --out mouths",
        }

    async def receive(self, slot: Slot, body: AsyncIterator[bytes]) -> Verdict:
        """Takes a recording in as it comes, has it checked, and files it if it is good.

        It goes on when nobody waits for the answer any more: a page that is loaded anew finds the take.
        """
        folder = self._folder / secrets.token_hex(16)
        self._checking += 1
        try:
            text = self.enrolment.text(slot)
            folder.mkdir(mode=0o700)
            path = await self._store(folder / slot.name, body)
            await asyncio.to_thread(check_upload, path, self._limits)
            return await self._look(slot, text, path)
        except DiskFullError:
            kept = len(self.enrolment.filed())
            return Verdict(
                False, [f"The disk is full: this take is not kept, the {kept} others are. Free some space."], 507
            )
        except TfavError as error:
            return Verdict(False, [str(error)], 400)
        finally:
            self._checking -= 1
            shutil.rmtree(folder, ignore_errors=True)

    async def _store(self, path: Path, body: AsyncIterator[bytes]) -> Path:
        size = 0
        try:
            with path.open("wb") as file:
                async for chunk in body:
                    size += len(chunk)
                    if size > self._limits.max_bytes:
                        raise MediaError("the take", f"larger than {self._limits.max_mb:g} MB", "Stop sooner.")
                    file.write(chunk)
        except OSError as error:
            if is_disk_full(error):
                raise DiskFullError(path) from error
            raise
        with path.open("rb") as file:
            suffix = _SUFFIXES.get(sniff(file.read(4096)), ".webm")  # another kind is refused by the next look
        return path.rename(path.with_suffix(suffix))

    async def _look(self, slot: Slot, text: str, path: Path) -> Verdict:
        job_folder, results = path.parent / "job", path.parent / "results"
        job_folder.mkdir()
        job = self._jobs.submit(_OWNER, {}, path, {"text": text}, folder=job_folder, results=results)
        while not job.look().ended:
            await asyncio.sleep(_LOOK_SEC)
        if job.state != DONE:
            return Verdict(False, [job.message.replace(f"{path.parent}/", "")], 400)
        check = TakeCheck(**job.row)
        if check.faults:
            return Verdict(False, [*check.faults, *check.advice])
        await asyncio.to_thread(self._file, slot, path, check)
        return Verdict(True, list(check.advice))

    def _file(self, slot: Slot, path: Path, check: TakeCheck) -> None:
        with self._filing:
            self.enrolment.file(slot, path, check)


@contextlib.contextmanager
def open_station(enrolment: Enrolment, limits: Limits, folder: Path, scratch: Path, environment: dict, make_models):
    """A station and the process that looks at its takes, while the page runs."""
    jobs = JobQueue(make_models=make_models, scratch=scratch, environment=environment)
    try:
        yield EnrolStation(enrolment, limits, folder, jobs)
    finally:
        jobs.close()
