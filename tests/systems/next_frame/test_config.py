"""Settings: presets, the round trip, and values that contradict one another."""

import pytest

from tfav.errors import UsageError
from tfav.systems.next_frame import PRESETS, Config


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = Config.preset(name, seed=3)
    assert config.preset_name == name and config.seed == 3
    assert Config.from_dict(config.to_dict()) == config


def test_notebook_is_the_notebooks():
    config = Config.preset("notebook")
    assert (config.train_sequences, config.val_sequences, config.batch_size, config.epochs) == (900, 100, 5, 20)
    assert (config.loss, config.schedule, config.plateau_patience, config.patience) == ("bce", "plateau", 5, 10)
    assert (config.num_frames, config.learning_rate) == (20, 1e-3)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("demoo", {}, "unknown preset 'demoo'. Did you mean 'demo'"),
        ("demo", {"epoch": 3}, "unknown field 'epoch'. Did you mean 'epochs'"),
        ("demo", {"output_frames": 0}, "output_frames must be 1 or more"),
        ("demo", {"loss": "l2"}, "loss must be one of"),
        ("demo", {"channels": 2, "data_dir": "d"}, r"channels must be 1 \(grey\) or 3"),
        ("demo", {"kernel_sizes": (3, 3)}, "one number per layer"),
        ("demo", {"patch_size": 5}, "multiple of patch_size"),
        ("notebook", {"patch_size": 4}, "is of the models forecaster and simvp"),
        ("cpu", {"optimizer": "muon"}, "optimizer=muon is for model=simvp"),
        ("demo", {"channels": 3}, "Moving MNIST is 64 x 64 and grey"),
        ("demo", {"image_size": 32}, "Moving MNIST is 64 x 64 and grey"),
        ("demo", {"val_fraction": 0.6, "test_fraction": 0.4}, "leave something to train on"),
    ],
)
def test_bad_settings(name, fields, message):
    with pytest.raises(UsageError, match=message):
        Config.preset(name, **fields)
