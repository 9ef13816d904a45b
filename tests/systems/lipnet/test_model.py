"""Builders have their sizes, know true lengths, and are saved and loaded whole; the GRU is Keras' own."""

import dataclasses

import keras
import numpy as np
import pytest

from tfav.errors import UsageError
from tfav.layers import BidirectionalGRU
from tfav.systems.lipnet.config import PRESETS, Config
from tfav.systems.lipnet.model import build_model

TINY = {
    "filters": (2, 3, 4),
    "tokenizer": "compact",
    "words": "grid",
    "rnn_units": 4,
    "crop_size": (16, 32),
    "num_frames": 10,
    "precision": "float32",
}


def inputs(config, counts=(10, 7), seed=0):
    shape = (len(counts), config.num_frames, *config.crop_size, 1)
    frames = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    for clip, count in zip(frames, counts, strict=True):
        clip[count:] = 0
    return {"frames": frames, "frame_count": np.array(counts, np.int32)}


def test_the_notebook_has_its_parameters():
    model = build_model(Config.preset("notebook"))
    assert model.count_params() == 8_471_924
    assert model.output["labels"].shape == (None, 75, 41)


def test_a_small_gru_is_keras_own():
    x = np.random.default_rng(0).normal(size=(3, 9, 5)).astype(np.float32)
    mask = np.arange(9) < np.array([9, 6, 1])[:, None]
    ours = BidirectionalGRU(4, unroll=True)
    ours.build((None, 9, 5))
    for cell in (ours.forward_layer.cell, ours.backward_layer.cell):
        cell.bias.assign(np.random.default_rng(1).normal(size=(2, 12)))
    keras_own = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True))
    keras_own.build((None, 9, 5))
    keras_own.set_weights(ours.get_weights())
    for training in (False, True):  # one loop, and unrolled
        np.testing.assert_allclose(ours(x, training=training), keras_own(x), atol=1e-6)
        np.testing.assert_allclose(ours(x, mask=mask, training=training), keras_own(x, mask=mask), atol=1e-6)


FORMS = [
    ("notebook", {}),
    ("paper", {}),
    ("cpu", {"model": "conv3d"}),
    ("cpu", {"filters": (2, 3)}),
]


@pytest.mark.parametrize(("name", "options"), FORMS)
def test_padding_changes_nothing_and_ends_in_blanks(name, options):
    config = Config.preset(name, **{**TINY, "mel_loss_weight": 0.0, **options})
    model = build_model(config)
    batch = inputs(config)
    out = {key: np.asarray(value) for key, value in model(batch).items()}
    assert set(out) == ({"labels", "words"} if name == "cpu" else {"labels"})
    assert out["labels"].shape == (2, 10, config.symbols().num_classes)
    # A mask on an output would be applied once more by Keras' losses.
    assert all(
        getattr(value, "_keras_mask", None) is None for value in [*model.output.values(), *model(batch).values()]
    )
    assert (out["labels"][1, 7:].argmax(-1) == config.symbols().blank).all()
    if name == "notebook":  # runs over padding, as the notebook does
        return
    batch["frames"][1, 7:] = 0
    alone = model({"frames": batch["frames"][1:], "frame_count": batch["frame_count"][1:]})
    np.testing.assert_allclose(out["labels"][1], alone["labels"][0], atol=1e-5)


@pytest.mark.parametrize(("name", "options"), [*FORMS, *((name, {}) for name in PRESETS if name not in dict(FORMS))])
def test_saved_and_loaded_whole(name, options, tmp_path):
    config = Config.preset(name, **{**TINY, **options})
    model = build_model(config)
    batch = inputs(config)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    for key, value in model(batch).items():
        np.testing.assert_allclose(value, loaded(batch)[key], atol=1e-6)


def test_what_the_word_head_says_reaches_the_labels():
    options = {**TINY, "filters": (2, 3), "mel_loss_weight": 0.0}
    batch = inputs(Config.preset("cpu", **options))
    for changes, feedback in (({"model": "conv3d", "filters": (2, 3, 4)}, False), ({}, True)):
        model = build_model(Config.preset("cpu", **{**options, **changes}))
        before = np.asarray(model(batch)["labels"])[0]
        model.get_layer("words").bias.assign_add(keras.ops.arange(52, dtype="float32"))
        assert np.allclose(before, model(batch)["labels"][0]) is not feedback


@pytest.mark.slow
def test_sizes_of_the_other_models():
    cpu = Config.preset("cpu", tokenizer="compact", words="grid")
    assert build_model(cpu).count_params() == 2_256_320
    unheard = dataclasses.replace(cpu, mel_loss_weight=0.0)
    assert build_model(unheard).count_params() == 2_256_320 - 385 * 80
    conv3d = {"model": "conv3d", "filters": (32, 64, 96), "mel_loss_weight": 0.0}
    assert build_model(dataclasses.replace(cpu, **conv3d)).count_params() == 1_808_496
    assert Config.preset("paper").rnn_units == 256


@pytest.mark.parametrize("name", ["notebook", "paper", "conv3d"])
def test_a_picture_too_small_for_its_convolutions_is_refused_in_a_line(name):
    config = Config.preset("demo", model=name, word_loss_weight=0.0, crop_size=(15, 48))
    with pytest.raises(UsageError, match=r"both sides of crop_size must be 16 or more .*crop_size=\(15, 48\)"):
        build_model(config)
