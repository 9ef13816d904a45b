"""Presets and what a configuration refuses."""

import pytest

from tfav.errors import UsageError
from tfav.systems.two_stream import PRESETS, Config


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = Config.preset(name)
    assert Config.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stream": "flow"}, "stream must be one of spatial, motion, fusion"),
        ({"backbone": "resnet"}, "backbone must be one of xception, resnet50, vgg19, mobilenet_v2"),
        ({"image_size": 60}, "image_size must be 71 or more for xception"),
        ({"stack_length": 0}, "stack_length must be 1 or more"),
        ({"flow_method": "tv-l1"}, "flow_method must be one of tvl1"),
        ({"augmentation": "light"}, "none, simple, medium, heavy"),
        ({"num_classes": 1}, "num_classes"),
        ({"split": "lists"}, "train_list and test_list"),
    ],
)
def test_wrong_fields_are_named(fields, words):
    with pytest.raises(UsageError, match=words):
        Config(**fields)


def test_unknown_preset_and_field():
    with pytest.raises(UsageError, match="Valid presets: notebook, xception, cpu"):
        Config.preset("colab")
    with pytest.raises(UsageError, match="Did you mean 'stack_length'"):
        Config.preset("cpu", stack_lenght=5)
    with pytest.raises(UsageError, match="no data_dir to count them in"):
        Config().class_count()
