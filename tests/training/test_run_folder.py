"""The run folder: who may go on in it, who may not, and what they are told."""

import dataclasses
import importlib
import json
import multiprocessing

import pytest

from tfav.errors import TfavError, UsageError
from tfav.io.lock import locked_folder
from tfav.systems import SYSTEMS
from tfav.training import run_folder
from tfav.training.config import CONFIG_VERSION, RunConfig, defaults

CONFIG = {"epochs": 3, "seed": 0, "data_dir": "a"}
METADATA = {"labels": ["x", "y"]}


def test_start_load_and_go_on(tmp_path):
    started = run_folder.start(tmp_path / "r", "cnn_lstm", CONFIG, METADATA)
    assert started.metadata == METADATA
    again = run_folder.start(tmp_path / "r", "cnn_lstm", {**CONFIG, "epochs": 9, "data_dir": "moved"}, METADATA)
    assert again.config == CONFIG
    assert run_folder.load(tmp_path / "r").environment["packages"]["keras"].startswith("3.")


@pytest.mark.parametrize(
    ("system", "config", "metadata", "message"),
    [
        ("lipnet", CONFIG, METADATA, "a run of cnn_lstm, not of lipnet"),
        ("cnn_lstm", {**CONFIG, "seed": 1}, METADATA, "other settings: seed .*was 0, now 1"),
        ("cnn_lstm", CONFIG, {"labels": ["x", "z"]}, "other labels"),
    ],
)
def test_another_run_is_refused(tmp_path, system, config, metadata, message):
    run_folder.start(tmp_path, "cnn_lstm", CONFIG, METADATA)
    with pytest.raises(UsageError, match=message) as raised:
        run_folder.start(tmp_path, system, config, metadata)
    assert str(tmp_path) in str(raised.value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grown(RunConfig):
    """A configuration that has fields more than the run of before."""

    epochs: int = 3
    data_dir: str = "a"
    first_axis: str = "auto"
    sizes: tuple[int, ...] = (2, 3)


def test_a_field_that_came_later_had_its_default(tmp_path):
    run_folder.start(tmp_path, "cnn_lstm", CONFIG, METADATA)
    run_folder.check(tmp_path, "cnn_lstm", Grown(), METADATA)
    assert run_folder.start(tmp_path, "cnn_lstm", Grown(epochs=9), METADATA).config == CONFIG
    with pytest.raises(UsageError, match=r'other settings: first_axis \(first_axis was "auto", now "frame"\)'):
        run_folder.start(tmp_path, "cnn_lstm", Grown(first_axis="frame"), METADATA)
    with pytest.raises(UsageError, match=r"sizes was \[2, 3\], now \[2\]"):
        run_folder.start(tmp_path, "cnn_lstm", Grown(sizes=(2,)), METADATA)
    run_folder.start(tmp_path / "new", "cnn_lstm", Grown(), METADATA)
    run_folder.check(tmp_path / "new", "cnn_lstm", Grown(), METADATA)


def test_every_configuration_has_defaults_that_json_holds(tmp_path):
    for system in SYSTEMS:
        config = importlib.import_module(f"tfav.systems.{system}.config").Config()
        assert defaults(type(config)) == config.to_dict()


@pytest.mark.parametrize(("version", "words"), [(None, "an older"), (1, "an older"), (CONFIG_VERSION + 1, "another")])
def test_a_run_of_another_version_is_refused_in_one_line(tmp_path, version, words):
    run_folder.start(tmp_path, "cnn_lstm", CONFIG, METADATA)
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    assert stored.pop("version") == CONFIG_VERSION
    path.write_text(json.dumps(stored | ({} if version is None else {"version": version})))
    with pytest.raises(UsageError, match=f"written by {words} version of tfav") as raised:
        run_folder.load(tmp_path)
    assert str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)
    with pytest.raises(UsageError, match="Train again into a new folder"):
        run_folder.start(tmp_path, "cnn_lstm", CONFIG, METADATA)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_configuration_without_a_preset_names_none(system):
    assert importlib.import_module(f"tfav.systems.{system}.config").Config().preset_name == ""


def test_other_folders_are_no_runs(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        run_folder.load(tmp_path / "gone")
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        run_folder.start(tmp_path, "cnn_lstm", CONFIG, METADATA)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(TfavError, match=r"config\.json"):
        run_folder.load(tmp_path)


def _try_lock(folder, queue):
    try:
        with locked_folder(folder):
            queue.put("entered")
    except UsageError as error:
        queue.put(str(error))


def test_a_second_process_is_kept_out_and_let_in_afterwards(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with locked_folder(tmp_path):
        context.Process(target=_try_lock, args=(tmp_path, queue)).start()
        assert "another run" in queue.get(timeout=30)
    context.Process(target=_try_lock, args=(tmp_path, queue)).start()
    assert queue.get(timeout=30) == "entered"


def test_finished_counts_epochs(tmp_path):
    assert not run_folder.is_finished(tmp_path, 3)
    run_folder.mark_finished(tmp_path, 3)
    assert run_folder.is_finished(tmp_path, 3) and not run_folder.is_finished(tmp_path, 4)
