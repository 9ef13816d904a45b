"""Starting and stopping the page."""

import contextlib
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tfav.app.enrol_station import TakeChecker, open_station
from tfav.app.job_queue import JobQueue
from tfav.app.tabs import TABS, predictor_args
from tfav.app.uploads import Limits
from tfav.errors import UsageError
from tfav.ranges import check_number
from tfav.speech.enrolment import Enrolment
from tfav.training import run_folder as runs

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_NO_PROXIES = ("no_proxy", "NO_PROXY")
_PREFIX = "tfav-page-"


def serve(
    run_dirs: Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    max_mb: float = 200,
    max_sec: float = 60,
    queue: int = 8,
    enrolment: Enrolment | None = None,
) -> None:
    """Serves the page until it is interrupted.

    Args:
        run_dirs: `SYSTEM=RUN` each; systems that are not named use the weights they ship, if any.
        host: Address to bind to.
        port: To listen on.
        max_mb: Largest upload in megabytes.
        max_sec: Longest video in seconds.
        queue: How many videos may wait.
        enrolment: Takes that a person is to record on the page.

    Raises:
        UsageError: A run that is none, a number out of range, Gradio is not installed, or the port is taken.
    """
    check_number("max_mb", max_mb, gt=0)
    check_number("max_sec", max_sec, gt=0)
    check_number("queue", queue, whole=True, ge=0)
    check_number("port", port, whole=True, ge=0, le=65535)
    predictors = find_runs(run_dirs)
    limits = Limits(max_mb, max_sec)
    with running(predictors, limits=limits, queue=queue, host=host, port=port, enrolment=enrolment) as address:
        print(f"The page is at {address} (Ctrl-C ends it).", flush=True)
        if host not in ("127.0.0.1", "localhost", "::1"):
            print("Whoever reaches this address can use it: there is no password.", flush=True)
        if enrolment is not None:
            print(f"Record yourself at {address}enrol/. {enrolment.describe()}.", flush=True)
        _wait()


@contextlib.contextmanager
def running(
    predictors: dict[str, dict],
    *,
    limits: Limits | None = None,
    queue: int = 8,
    host: str = "127.0.0.1",
    port: int = 7860,
    make_models: Callable | None = None,
    enrolment: Enrolment | None = None,
    make_checker: Callable = TakeChecker,
) -> Iterator[str]:
    """The page while it runs.

    Args:
        predictors: From each system that can be used to the arguments of its `open_predictor`.
        limits: Of uploads.
        queue: How many videos may wait.
        host: Address to bind to.
        port: To listen on; 0 takes any that is free.
        make_models: As in `tfav.app.worker.main`.
        enrolment: Takes that a person is to record on the page.
        make_checker: Likewise, of the process that looks at takes.

    Yields:
        The page's address.

    Raises:
        UsageError: Gradio is not installed, or the port is taken.
    """
    _remove_left_over()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))  # readable by this user alone
    scratch = folder / "scratch"
    scratch.mkdir()
    proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    options = {"make_models": make_models} if make_models else {}
    jobs = JobQueue(queue, scratch=scratch, environment=proxies, **options)
    page, stations = None, contextlib.ExitStack()
    try:
        station = None
        if enrolment is not None:
            places = folder / "takes", scratch
            station = stations.enter_context(
                open_station(enrolment, limits or Limits(), *places, proxies, make_checker)
            )
        with _without_proxies():
            page, address = _launch(jobs, limits or Limits(), folder, predictors, host, port, station)
        yield address
    finally:
        if page is not None:
            page.close(verbose=False)
        stations.close()
        jobs.close()
        shutil.rmtree(folder, ignore_errors=True)


def find_runs(run_dirs: Sequence[str]) -> dict[str, dict]:
    """From `SYSTEM=RUN` to what `open_predictor` takes; systems not named that ship weights use those.

    Raises:
        UsageError: An unknown system, not a run, or a run of another system.
    """
    tabs, predictors = {tab.system: tab for tab in TABS}, {}
    for given in run_dirs:
        system, _, run = given.partition("=")
        if system not in tabs or not run:
            raise UsageError(f"--run-dir takes SYSTEM=RUN. Systems: {', '.join(tabs)}. Received: {given}")
        predictors[system] = predictor_args(tabs[system], run)
    for system in tabs:
        if system not in predictors:
            with contextlib.suppress(UsageError):  # it ships none
                runs.load(runs.PRETRAINED, system)
                predictors[system] = {"run_dir": runs.PRETRAINED}
    return predictors


def _launch(jobs: JobQueue, limits: Limits, folder: Path, predictors: dict, host: str, port: int, station=None):
    # Read by Gradio when it is imported and when it builds the page.
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", GRADIO_TEMP_DIR=str(folder / "served"))
    try:
        from tfav.app.page import build_page, look
    except ImportError as error:
        raise UsageError(f"the page needs Gradio ({error}). Install it: pip install 'tfav[app]'") from error
    from tfav.app.controller import Controller
    from tfav.app.enrol_routes import EnrolRoutes
    from tfav.app.security_headers import KeepInside

    examples = folder / "examples"
    examples.mkdir()
    page = build_page(Controller(jobs, limits, folder, predictors), TABS, examples, enrols=station is not None)
    middleware = [KeepInside.as_middleware(), *([EnrolRoutes.as_middleware(station)] if station else [])]
    page.queue(default_concurrency_limit=None)
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port or None,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            inbrowser=False,
            ssr_mode=False,
            footer_links=[],
            run_history=False,
            max_file_size=limits.max_bytes,
            app_kwargs={"middleware": middleware},
            **look(),
        )
    except ValueError as error:  # Gradio asks itself whether it is there
        reason = " ".join(str(error).split())[:150]
        raise UsageError(
            f"the page cannot be reached at {host}:{port} from this machine ({reason}). Check its proxy and firewall, "
            "or choose another --host."
        ) from error
    except OSError as error:
        raise UsageError(f"{host}:{port} cannot be used ({error}). Choose another --port or --host.") from error
    return page, address


@contextlib.contextmanager
def _without_proxies() -> Iterator[None]:
    """Lets the page ask itself whether it is there without a proxy in between, which knows nothing of this machine.

    A SOCKS proxy would want a package that Gradio does not bring along. Nothing else is fetched by the page; its
    process for the work, which may fetch models, is given the proxies.
    """
    names = (*_PROXIES, *_NO_PROXIES)
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ.update(dict.fromkeys(_NO_PROXIES, "*"))
    try:
        yield
    finally:
        for name in _NO_PROXIES:
            os.environ.pop(name, None)
        os.environ.update(before)


def _remove_left_over() -> None:
    """Deletes what servers that were killed have left: other people's videos."""
    for old in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(ValueError, OSError):
            pid = int(old.name.removeprefix(_PREFIX).split("-")[0])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                shutil.rmtree(old, ignore_errors=True)


def _wait() -> None:
    """Until Ctrl-C, or a polite kill."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with contextlib.suppress(KeyboardInterrupt):
        while not ended.wait(1.0):
            pass
