"""A trained run of a few steps, shared by the tests of this system."""

import numpy as np
import pytest

from tfav.io.encoding import write_video
from tfav.systems.next_frame import Config, train

SMALL = {
    "mnist": "small",
    "filters": (4,),
    "kernel_sizes": (3,),
    "train_sequences": 10,
    "val_sequences": 4,
    "test_sequences": 7,
    "batch_size": 4,
    "epochs": 2,
}


@pytest.fixture(scope="session")
def small_config():
    return Config.preset("demo", **SMALL)


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory, small_config):
    """A forecaster that knows nothing, and has everything."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(small_config, folder, verbose=0)
    return folder


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """Three colour videos of 23, 10 and 34 frames, 48 x 32, each frame of one grey value of its own."""
    folder = tmp_path_factory.mktemp("videos") / "my vidéos"
    for name, num_frames in (("a", 23), ("b", 10), ("c", 34)):
        frames = np.stack([np.full((32, 48, 3), 20 + 6 * number, np.uint8) for number in range(num_frames)])
        write_video(folder / f"{name}.mp4", frames, 10)
    return folder
