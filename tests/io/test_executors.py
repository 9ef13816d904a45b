"""Clusters: the same work on two Dask workers, one of them killed in mid-run; on Ray; what cannot be used."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.io.test_parallel import die_or_square, is_squared, square
from tfav.errors import UsageError
from tfav.io import executors
from tfav.io.atomic_write import partial_file
from tfav.io.parallel import Unit, run_units

PROJECT = Path(__file__).resolve().parents[2]


def slow_square(out_dir, number):
    """Write a number's square after a while, and log who began and who wrote it when."""
    with (Path(out_dir) / "log" / f"{os.getpid()}-{time.monotonic_ns()}").open("w") as log:
        log.write(f"{number} ")
        log.flush()
        time.sleep(0.1)
        with partial_file(Path(out_dir, f"{number}.txt")) as partial:
            partial.write_text(str(number**2))
        log.write("written")


@pytest.fixture(scope="module")
def dask_cluster():
    """The address of a scheduler, and the processes of its two workers: a thread each, and nobody to restart them."""
    pytest.importorskip("distributed")
    environment = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s", "PYTHONPATH": str(PROJECT)}
    started = []

    def start(*command):
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    from distributed import Client
    from distributed.utils import open_port

    address = f"tcp://127.0.0.1:{open_port()}"
    start("dask_scheduler", "--host", "127.0.0.1", "--port", address.rsplit(":", 1)[1], "--no-dashboard")
    workers = [
        start("dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        for _ in range(2)
    ]
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with Client(address, timeout=5, set_as_default=False) as client:
                    client.wait_for_workers(2, timeout=90)
                break
            except OSError:
                assert time.monotonic() < deadline
        yield address, workers
    finally:
        for process in started:
            process.kill()
            process.wait()


def is_squared_3(out_dir, number, victim):
    """As `is_squared`."""
    return is_squared(out_dir, number)


def square_or_be_killed(out_dir, number, victim):
    """As `slow_square`; one process dies at its fourth unit, half-way."""
    mine = list((Path(out_dir) / "log").glob(f"{os.getpid()}-*"))
    if os.getpid() == victim and len(mine) == 3:
        (Path(out_dir) / "log" / f"{os.getpid()}-{time.monotonic_ns()}").write_text(f"{number} ")
        (Path(out_dir) / f".partial-x-{number}.txt").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    slow_square(out_dir, number)


def test_failures_and_warnings_come_back_from_a_dask_cluster(dask_cluster, tmp_path):
    address, _ = dask_cluster
    units = [Unit(f"unit {number}", (str(tmp_path), number)) for number in (6, 7, 13)]
    report = run_units(square, units, tmp_path, is_done=is_squared, backend="dask", address=address, quiet=True)
    assert report.done == ["unit 6", "unit 7"]
    assert report.failed == {"unit 13": "13.avi: unlucky. Skip it."}
    assert report.warnings == ["unit 7: looks odd"]
    with pytest.raises(UsageError, match=r"does not see .*storage that all machines share"):
        executors.DaskPool(address, tmp_path / "elsewhere" / "lock")


def test_a_dask_worker_killed_in_mid_run_loses_nothing_and_does_nothing_twice(dask_cluster, tmp_path):
    address, (victim, survivor) = dask_cluster
    (tmp_path / "log").mkdir()
    # The victim kills itself, without a word to anyone, at its fourth unit.
    units = [Unit(str(number), (str(tmp_path), number, victim.pid)) for number in range(24)]
    report = run_units(
        square_or_be_killed, units, tmp_path, is_done=is_squared_3, backend="dask", address=address, quiet=True
    )
    assert victim.wait(10) == -signal.SIGKILL
    assert report.ok and report.done == [str(number) for number in range(24)]
    assert all((tmp_path / f"{number}.txt").read_text() == str(number**2) for number in range(24))
    logs = {path.name.split("-")[0]: 0 for path in (tmp_path / "log").iterdir()}
    assert set(logs) == {str(victim.pid), str(survivor.pid)}
    written = [path.read_text() for path in (tmp_path / "log").iterdir() if path.read_text().endswith("written")]
    begun = [path.read_text().split()[0] for path in (tmp_path / "log").iterdir()]
    assert len(written) == len(set(written)) == 24  # each result was written once
    assert len(begun) == 25  # and one unit was begun again: the one that the victim was at
    assert not list(tmp_path.rglob(".partial-*"))
    # A second run does only what is missing.
    (tmp_path / "5.txt").unlink()
    again = run_units(
        slow_square,
        [Unit(str(n), (str(tmp_path), n)) for n in range(24)],
        tmp_path,
        is_done=is_squared,
        backend="dask",
        address=address,
        quiet=True,
    )
    assert (again.done, len(again.skipped)) == (["5"], 23)


@pytest.mark.slow  # Ray starts half a dozen processes of its own
def test_ray(tmp_path):
    pytest.importorskip("ray", reason="Ray is an extra: pip install 'tfav[ray]'")
    units = [Unit(str(number), (str(tmp_path), number, 4, 99)) for number in range(6)]
    report = run_units(die_or_square, units, tmp_path, backend="ray", workers=1, quiet=True)
    assert list(report.failed) == ["4"] and "killed twice" in report.failed["4"]
    assert report.done == ["0", "1", "2", "3", "5"]
    assert len(list(tmp_path.glob("died-*"))) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "slurm"}, "no such backend; choose one of loky, dask, ray"),
        ({"backend": "dask"}, "needs the scheduler's address"),
        ({"backend": "dask", "address": "tcp://127.0.0.1:9"}, "no Dask scheduler answers"),
        ({"address": "tcp://127.0.0.1:9"}, "an address needs backend=dask"),
        ({"workers": -1}, "workers must be 0 or more"),
    ],
)
def test_what_cannot_be_used(tmp_path, monkeypatch, options, words):
    if options.get("backend") == "dask":
        pytest.importorskip("distributed")
    monkeypatch.setattr(executors, "_CONNECT_SEC", 1)
    with pytest.raises(UsageError, match=words) as caught:
        run_units(square, [Unit("1", (str(tmp_path), 1))], tmp_path, quiet=True, **options)
    assert "\n" not in str(caught.value)


def test_nothing_to_do_asks_no_cluster(tmp_path):
    square(tmp_path, 1)
    report = run_units(
        square, [Unit("1", (str(tmp_path), 1))], tmp_path, is_done=is_squared, backend="dask", address="tcp://nowhere:1"
    )
    assert report.skipped == ["1"]


@pytest.fixture
def fake_ray(monkeypatch):
    """A Ray that runs calls at once, since the real one takes half a minute to start: what it was told, in order."""
    told = []
    ray = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda address, **options: told.append((address, options)),
        shutdown=lambda: told.append("shutdown"),
        remote=lambda **_: lambda call: SimpleNamespace(remote=call),
        get=lambda answer: answer,
        cluster_resources=lambda: {"CPU": 6.0, "memory": 1e9},
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(executors, "_ONE_THREAD", {})
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return ray, told


def test_only_a_ray_that_was_started_here_is_ended(tmp_path, fake_ray):
    ray, told = fake_ray
    executors.RayPool(None, 1, Path(__file__)).close()
    assert len(told) == 2 and told[1] == "shutdown"
    with pytest.raises(UsageError, match="Ray worker a worker does not see"):
        executors.RayPool(None, 1, tmp_path / "elsewhere" / "lock")
    assert len(told) == 4 and told[3] == "shutdown"
    ray.is_initialized = lambda: True
    executors.RayPool(None, 1, Path(__file__)).close()
    assert len(told) == 4


@pytest.mark.parametrize("variable", [None, "10.0.0.1:6379"])
@pytest.mark.parametrize("address", [None, "local", "ray://there:10001"])
def test_ray_is_started_with_so_many_processors_or_a_cluster_is_joined_as_it_is(
    monkeypatch, fake_ray, address, variable
):
    """Ray refuses a number of processors for a cluster that runs; its workers' output would spoil the progress bar."""
    if variable:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    assert executors.RayPool(address, 3, Path(__file__)).workers == 6  # as many as Ray says there are
    ((joined, options),) = fake_ray[1]
    assert joined == address and options["log_to_driver"] is False
    starts = {
        (None, None),
        ("local", None),
        ("local", variable),
    }  # Ray starts one for "local" whatever the variable says
    assert options.get("num_cpus") == (3 if (address, variable) in starts else None)
