"""Made videos and a trained run, shared by the tests of this system."""

import pytest

from tfav.data import synthetic
from tfav.systems.cnn_lstm import Config, train

SMALL = {"num_frames": 6, "image_size": 32, "cnn_filters": (4, 8), "cnn_depths": (1, 1), "lstm_units": 8, "epochs": 2}


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """Two clips of each of six classes in four groups."""
    return synthetic.moving_shapes(
        tmp_path_factory.mktemp("data") / "moving shapes é", num_groups=4, clips_per_group=1, num_frames=10, size=32
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def small_config(videos, cache):
    return Config.preset("demo", data_dir=str(videos), cache_dir=cache, val_fraction=0.25, batch_size=6, **SMALL)


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory, small_config):
    """A run of two epochs: it knows nothing, and has everything."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(small_config, folder, verbose=0)
    return folder
