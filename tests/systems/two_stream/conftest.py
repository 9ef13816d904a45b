"""Made videos, and both streams trained on them for a moment: small, and the same for all tests here."""

import pytest

from tfav.data import synthetic
from tfav.systems.two_stream import Config, build_model, train

SMALL = {
    "backbone": "small",
    "batch_norm_momentum": 0.9,
    "image_size": 32,
    "stack_length": 3,
    "flow_method": "dis",
    "flow_bound": 8.0,
    "frames_size": 32,
    "augmentation": "none",
    "flip": False,
    "samples_per_video": 4,
    "batch_size": 16,
    "schedule": "cosine",
    "learning_rate": 3e-3,
}


@pytest.fixture(scope="session")
def videos_dir(tmp_path_factory):
    """Six classes, 3 groups: 18 clips of 10 frames, 48 x 48."""
    folder = tmp_path_factory.mktemp("shapes") / "videos"
    return synthetic.moving_shapes(folder, num_groups=3, clips_per_group=1, num_frames=10, size=48)


@pytest.fixture(scope="session")
def small_config(videos_dir, tmp_path_factory):
    """A function that makes the configuration of a stream on the made videos."""
    cache_dir = tmp_path_factory.mktemp("cache")

    def make(stream="motion", **fields):
        settings = SMALL | {"data_dir": str(videos_dir), "cache_dir": str(cache_dir), "val_fraction": 0.34} | fields
        return Config(stream=stream, **settings)

    return make


@pytest.fixture(scope="session")
def run_dirs(small_config, tmp_path_factory):
    """Run folders of both streams: `{"spatial": ..., "motion": ...}`."""
    folder = tmp_path_factory.mktemp("runs")
    for stream, epochs in (("spatial", 1), ("motion", 3)):
        train(small_config(stream, epochs=epochs, train_samples=2), folder / stream, verbose=0)
    return {stream: folder / stream for stream in ("spatial", "motion")}


@pytest.fixture(scope="session")
def model_files(tmp_path_factory):
    """Untrained streams of five classes as `.keras` files, L = 10: `{"spatial": ..., "motion": ...}`."""
    folder = tmp_path_factory.mktemp("models")
    files = {}
    for stream in ("spatial", "motion"):
        config = Config(stream=stream, backbone="small", image_size=32, num_classes=5)
        files[stream] = folder / f"{stream}.keras"
        build_model(config).save(files[stream])
    return files
