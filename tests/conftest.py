"""Options and fixtures of every test: slow ones on request, real data where it lies, quiet TensorFlow."""

import os
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

PROJECT = Path(__file__).resolve().parent.parent
# Files that take longest, and are not divided among processes: begun last, one of them would be waited for alone.
LONGEST = ("training/test_epoch_order.py", "notebooks/test_notebooks.py", "training/test_multi_worker.py")


def pytest_addoption(parser):
    parser.addoption("--runslow", action="store_true", help="also run the tests marked slow")
    parser.addoption("--seed", type=int, default=0, help="of all that tests draw at random (0); others look for luck")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long (full-size models, long trainings); run with --runslow")
    # On a busy machine an example may take any time; pytest's own limit is the one that counts. The same examples in
    # every run, unless a seed asks for others.
    hypothesis.settings.register_profile("tfav", deadline=None, derandomize=not config.getoption("--seed"))
    hypothesis.settings.load_profile("tfav")


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))
    if config.getoption("--runslow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --runslow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _seeded(request):
    """Each test draws the same weights and numbers in every run, whichever tests ran before it."""
    import keras  # here, so that help and the collection of tests need not wait for it

    keras.utils.set_random_seed(request.config.getoption("--seed"))


def shared_root() -> Path:
    """Folder of the real data: `$TFAV_DATA`, else `../shared/data` beside the project."""
    return Path(os.environ.get("TFAV_DATA", PROJECT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data():
    """A function from a path below the real data to its place on disk; skips the test where it is absent."""

    def locate(relative: str) -> Path:
        path = shared_root() / relative
        if not path.exists():
            pytest.skip(f"real data {relative} not found (set TFAV_DATA to its folder)")
        return path

    return locate
