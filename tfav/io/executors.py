"""What runs the units of `parallel`: processes of this machine, this process itself, or a Dask or Ray cluster.

The processes are joblib's own (loky). Its `Parallel`, on any backend, ends the whole call with the first process that
dies, so the pools here keep to futures: one for each unit, which tells what became of that unit alone.
"""

import concurrent.futures
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import joblib
from joblib.externals import loky
from joblib.externals.loky.process_executor import ShutdownExecutorError

from tfav._version import __version__
from tfav.errors import UsageError
from tfav.io import subprocesses
from tfav.io.workers import Workers

# One process per core leaves no core for further threads: each library would otherwise start one per core in each.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "TFAV_DECODE_THREADS": "1",
}
# The second is what calls are told that wait when processes are ended after such a death.
_DEATHS = (concurrent.futures.BrokenExecutor, ShutdownExecutorError)
_IDLE_SEC = 30  # processes stay for the next call in the same session, then leave
_CONNECT_SEC = 15
_RECOUNT_SEC = 5  # clusters grow and shrink


class Pool:
    """What runs units of work, so many at a time; this one runs them in this process, one after the other.

    Attributes:
        workers: How many units run at a time.
        deaths_spread: Whether a process that dies takes along what the others were at.
    """

    deaths_spread = False
    workers = 1

    def submit(self, function: Callable, *args) -> concurrent.futures.Future:
        """Starts a call."""
        future = concurrent.futures.Future()
        with _environment(_ONE_THREAD):
            future.set_result(function(*args))
        return future

    def is_death(self, error: BaseException | None) -> bool:
        """Whether an error means that the process of the unit died, or was ended because another one did."""
        return False

    def restart(self) -> None:
        """Begins anew after a death; a cluster starts its workers by itself."""

    def kill(self) -> None:
        """Ends a run that failed."""
        self.close()

    def close(self) -> None:
        """Ends a run that did not fail."""


class LokyPool(Pool):
    """Processes on this machine, which stay for the next call after a run that did not fail.

    Args:
        workers: Processes.
    """

    deaths_spread = True

    def __init__(self, workers: int):
        self.workers = workers
        self._executor = None

    def submit(self, function: Callable, *args) -> concurrent.futures.Future:
        """Starts a call."""
        with subprocesses.safe_start():
            if self._executor is None:
                self._executor = loky.get_reusable_executor(
                    self.workers,
                    timeout=_IDLE_SEC,
                    env=_ONE_THREAD | subprocesses.ENVIRONMENT,  # for those that start later, too
                    initializer=_stay_with_parent,
                )
            try:
                return self._executor.submit(function, *args)
            except _DEATHS as error:  # it broke between two submissions
                future = concurrent.futures.Future()
                future.set_exception(error)
                return future

    def is_death(self, error: BaseException | None) -> bool:
        """Whether the process died, or was ended because another one did."""
        return isinstance(error, _DEATHS)

    def kill(self) -> None:
        """Ends all processes; the next call starts new ones."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None

    restart = kill


class DaskPool(Pool):
    """The workers of a running Dask cluster, as many units at a time as they have threads.

    Dask itself gives what a dead worker was at to another one, `distributed.scheduler.allowed-failures` times (three by
    default), before it calls a unit deadly; `run_units` then tries that unit once more.

    Args:
        address: Of the scheduler, such as `tcp://host:8786`.
        shared_file: A file that the workers must see as well.

    Raises:
        UsageError: No Dask here, no scheduler there, or workers without the same tfav or the same files.
    """

    def __init__(self, address: str | None, shared_file: Path):
        try:
            from distributed import Client, KilledWorker
        except ImportError as error:
            raise UsageError("backend=dask needs Dask. Install it with: pip install 'tfav[dask]'") from error
        if not address:
            raise UsageError("backend=dask needs the scheduler's address, such as --address tcp://host:8786.")
        self._killed = KilledWorker
        try:
            self._client = Client(address, timeout=_CONNECT_SEC, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(f"{address}: no Dask scheduler answers. Start one, or check the address.") from error
        try:
            _check_workers("Dask", self._client.run, shared_file)
        except BaseException:
            self._client.close()
            raise
        self._executor = self._client.get_executor(pure=False)  # two units with the same arguments are two units
        self._counted = (-float("inf"), 1)

    @property
    def workers(self) -> int:
        """Threads of the cluster's workers at present."""
        counted_at, count = self._counted
        if time.monotonic() - counted_at > _RECOUNT_SEC:
            count = max(1, sum(self._client.nthreads().values()))
            self._counted = (time.monotonic(), count)
        return count

    def submit(self, function: Callable, *args) -> concurrent.futures.Future:
        """Starts a call."""
        return self._executor.submit(_call_with_one_thread, function, *args)

    def is_death(self, error: BaseException | None) -> bool:
        """Whether the unit outlived too few of its workers."""
        return isinstance(error, self._killed)

    def kill(self) -> None:
        """Takes back what has not begun, and leaves the cluster."""
        with contextlib.suppress(Exception):  # the cluster may be the cause
            self._executor.shutdown(wait=False)
        self.close()

    def close(self) -> None:
        """Leaves the cluster."""
        with contextlib.suppress(Exception):
            self._client.close()


class RayPool(Pool):
    """The processors of a Ray cluster, or of Ray on this machine alone.

    Args:
        address: As in `ray.init`; None: `$RAY_ADDRESS`, else Ray is started here and ended afterwards.
        workers: Processors to start it with here; None is all.
        shared_file: A file that the workers must see as well.

    Raises:
        UsageError: No Ray here, no cluster there, or workers without the same tfav or the same files.
    """

    def __init__(self, address: str | None, workers: int | None, shared_file: Path):
        try:
            import ray
        except ImportError as error:
            raise UsageError("backend=ray needs Ray. Install it with: pip install 'tfav[ray]'") from error
        self._ray = ray
        here = address == "local" or (address is None and not os.environ.get("RAY_ADDRESS"))
        options = {"num_cpus": workers or joblib.cpu_count(), "include_dashboard": False} if here else {}
        self._started = not ray.is_initialized()
        try:
            if self._started:
                with subprocesses.safe_start():
                    ray.init(address, log_to_driver=False, logging_level="error", **options)
        except Exception as error:  # Ray raises plain ones where its processes do not come up
            target = f"at {address}" if address else "here"
            raise UsageError(
                f"Ray cannot be reached {target}. Start it with ray start, or check the address."
            ) from error
        # Dead units come back to `run_units`, which counts how often it tries.
        self._call = ray.remote(num_cpus=1, max_retries=0)(_call_with_one_thread)
        try:
            _check_workers("Ray", lambda *call: {"a worker": ray.get(self._call.remote(*call))}, shared_file)
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """Processors of the cluster at present."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def submit(self, function: Callable, *args) -> concurrent.futures.Future:
        """Starts a call."""
        return self._call.remote(function, *args).future()

    def is_death(self, error: BaseException | None) -> bool:
        """Whether the process or its machine died; what the unit itself raises never gets here as an error."""
        return isinstance(error, self._ray.exceptions.RayError)

    def close(self) -> None:
        """Leaves the cluster, which ends what was started from here."""
        if self._started:
            with contextlib.suppress(Exception):
                self._ray.shutdown()


def open_pool(workers: Workers, *, shared_file: Path, most: int) -> Pool:
    """The pool that was asked for.

    Args:
        workers: Processes here, or a cluster, which has as many as it has.
        shared_file: A file that every worker must see.
        most: Never more processes here than this, since there is no more work.

    Raises:
        UsageError: As `Workers.check`, or a cluster that cannot be used.
    """
    workers.check()
    if workers.workers == 0:
        return Pool()
    if workers.backend == "dask":
        return DaskPool(workers.address, shared_file)
    if workers.backend == "ray":
        return RayPool(workers.address, workers.workers, shared_file)
    return LokyPool(min(workers.workers or joblib.cpu_count(), max(1, most)))


def describe_worker(shared_file: str) -> tuple[str, bool]:
    """What a worker has: the version of tfav, and whether it sees a file."""
    return __version__, Path(shared_file).exists()


def _check_workers(name: str, run: Callable, shared_file: Path) -> None:
    """Refuses a cluster by what `run(describe_worker, ...)` gives of each worker."""
    try:
        described = run(describe_worker, str(shared_file))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{name}'s workers cannot run tfav ({reason}). Install tfav in their environment too."
        ) from error
    for worker, (version, sees) in described.items():
        if version != __version__:
            raise UsageError(f"{name} worker {worker} has tfav {version}, here it is {__version__}. Install the same.")
        if not sees:
            raise UsageError(
                f"{name} worker {worker} does not see {shared_file.parent}. Put source and out on storage that all "
                "machines share, under the same path."
            )


def _call_with_one_thread(function: Callable, *args):
    for name, value in _ONE_THREAD.items():
        os.environ.setdefault(name, value)  # the process is the cluster's, and may have been told otherwise
    return function(*args)


def _stay_with_parent() -> None:
    """Let a worker process leave Ctrl-C to its parent, and go within a second when its parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]):
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
