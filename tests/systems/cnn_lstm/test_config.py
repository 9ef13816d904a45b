"""Settings: presets, the round trip, and values that contradict one another."""

import pytest

from tfav.errors import UsageError
from tfav.systems.cnn_lstm import PRESETS, Config


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = Config.preset(name, seed=3)
    assert config.preset_name == name and config.seed == 3
    assert Config.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("transfr", {}, "unknown preset 'transfr'. Did you mean 'transfer'"),
        ("demo", {"epoch": 3}, "unknown field 'epoch'. Did you mean 'epochs'"),
        ("demo", {"epochs": 0}, "epochs must be 1 or more"),
        ("demo", {"num_classes": 1}, "num_classes must be 2 or more"),
        ("demo", {"split": "random"}, "split must be one of"),
        ("demo", {"split": "lists"}, "needs train_list"),
        ("demo", {"backbone_mode": "cached"}, "needs a pretrained backbone"),
        ("demo", {"views": ("change",)}, "need backbone_mode=cached"),
        ("demo", {"image_size": 7, "shift_px": 0}, "image_size must be 8 or more for backbone=cnn"),
        ("transfer", {"image_size": 31}, "image_size must be 32 or more for backbone=mobilenet_v2"),
        ("demo", {"shift_px": 48}, "shift_px must be below image_size"),
        ("demo", {"cnn_depths": (1,)}, "one number per stage"),
    ],
)
def test_bad_settings(name, fields, message):
    with pytest.raises(UsageError, match=message):
        Config.preset(name, **fields)


def test_class_count_needs_a_source():
    with pytest.raises(UsageError, match="num_classes is 0"):
        Config.preset("demo").class_count()


def test_configuration_of_a_newer_version():
    with pytest.raises(UsageError, match="tomorrow"):
        Config.from_dict({"tomorrow": 1})
