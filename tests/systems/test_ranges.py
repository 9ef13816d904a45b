"""Every number of every system's settings has a range beside it, and is held to it."""

import dataclasses
import importlib
import math
import typing

import numpy as np
import pytest

from tfav.errors import UsageError
from tfav.ranges import Range, kinds_of, range_of
from tfav.systems import SYSTEMS

CONFIGS = {name: importlib.import_module(f"tfav.systems.{name}.config") for name in SYSTEMS}


def numeric_fields():
    for system, module in CONFIGS.items():
        hints = typing.get_type_hints(module.Config)
        for field in dataclasses.fields(module.Config):
            if kinds := kinds_of(hints[field.name]):
                yield pytest.param(module, field, kinds, id=f"{system}.{field.name}")


def outside(declared: Range, whole: bool) -> list:
    """Numbers just outside, and those that no setting may have."""
    step = 1 if whole else 1e-6
    wrong = [] if whole else [math.nan, math.inf, -math.inf]
    wrong += [declared.ge - step] if declared.ge is not None else []
    wrong += [declared.gt] if declared.gt is not None else []
    wrong += [declared.le + step] if declared.le is not None else []
    wrong += [declared.lt] if declared.lt is not None else []
    return [value for value in wrong if value not in declared.also] + [2.5 if whole else "a lot", None, True]


@pytest.mark.parametrize(("module", "field", "kinds"), list(numeric_fields()))
def test_every_number_has_a_range_and_keeps_to_it(module, field, kinds):
    declared = range_of(field)
    assert declared is not None, "declare it: name: int = ranged(default, ge=...)"
    has_bound = {declared.ge, declared.gt} != {None} or {declared.le, declared.lt} != {None}
    assert has_bound, "a range without a bound is none"
    for value in outside(declared, float not in kinds):
        given = value
        if tuple in kinds:
            default = field.default or (1,)
            given = (*default[:-1], value)
        with pytest.raises(UsageError, match=rf"^{field.name} must be ") as told:
            module.Config.preset(list(module.PRESETS)[-1], **{field.name: given})
        text = str(told.value)
        assert str(declared) in text and f"Received: {field.name}=" in text and "\n" not in text
    if tuple in kinds and declared.count != 0:
        with pytest.raises(UsageError, match=f"^{field.name} must be "):
            module.Config.preset(list(module.PRESETS)[-1], **{field.name: ()})


@pytest.mark.parametrize("name", SYSTEMS)
def test_numbers_of_numpy_are_taken_and_survive_json(name):
    import json

    cls = CONFIGS[name].Config
    config = cls.preset("demo", seed=np.int64(7), val_fraction=np.float32(0.25), batch_size=np.uint8(4))
    assert json.loads(json.dumps(config.to_dict()))["seed"] == 7
    assert (config.val_fraction, config.batch_size) == (0.25, 4) and type(config.seed) is int


def test_a_list_is_taken_for_several_numbers():
    assert CONFIGS["cnn_lstm"].Config.preset("demo", cnn_filters=[4, 4], cnn_depths=[1, 1]).cnn_filters == (4, 4)


@pytest.mark.parametrize("name", SYSTEMS)
def test_fractions_leave_something_to_train_on(name):
    with pytest.raises(UsageError, match="leave something to train on"):
        CONFIGS[name].Config.preset("demo", val_fraction=0.5, test_fraction=0.5)


def test_a_stored_number_out_of_range_names_its_file():
    config = CONFIGS["cnn_lstm"].Config
    with pytest.raises(UsageError, match=r"^run/config.json: dropout must be 0 or more and below 1"):
        config.from_dict({"dropout": 50.0}, "run/config.json")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("cnn_lstm", {"num_classes": 3, "image_size": 8, "shift_px": 0, "num_frames": 1}),
        ("two_stream", {"num_classes": 3, "image_size": 32, "stack_length": 1}),
        ("next_frame", {"input_frames": 1, "output_frames": 1}),
        *(("lipnet", {"crop_size": (16, 16), "model": m, "word_loss_weight": 0.0}) for m in ("conv3d", "paper")),
        ("lipnet", {"crop_size": (1, 1), "model": "resnet", "filters": (4, 4, 4, 4)}),
        ("av_words", {"num_classes": 2, "crop_size": (1, 1)}),
    ],
    ids=str,
)
def test_a_network_can_be_built_with_the_least_that_is_taken(name, fields):
    from tfav.systems import load

    assert load(name).build_model(CONFIGS[name].Config.preset("demo", **fields)).count_params() > 0
