"""The models: parameters, what they look at, saving, colour, precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfav.systems.next_frame import Config, build_model
from tfav.systems.next_frame.convlstm import to_frame, to_patches

SMALL = {
    "forecaster": {"model": "forecaster", "filters": (6, 5), "kernel_sizes": (3, 3), "patch_size": 4, "loss": "bce"},
    "notebook": {"model": "notebook", "filters": (4, 4), "kernel_sizes": (3, 1)},
}
SIZES = {"data_dir": "some", "image_size": 16, "input_frames": 4, "output_frames": 3}


def small(name, **fields):
    return Config(**{**SIZES, **SMALL[name], **fields})


def frames_of(config, num_frames, batch=2, seed=0):
    size = config.image_size
    return np.random.default_rng(seed).random((batch, num_frames, size, size, config.channels), np.float32)


def test_notebook_has_the_notebooks_parameters():
    model = build_model(Config.preset("notebook"))
    assert model.count_params() == 746_689
    assert [layer.__class__.__name__ for layer in model.layers[1:]] == [
        "ConvLSTM2D",
        "BatchNormalization",
        "ConvLSTM2D",
        "BatchNormalization",
        "ConvLSTM2D",
        "Conv3D",
    ]


def test_published_size():
    model = build_model(Config.preset("convlstm"))
    cells = [(16 + 128), *[128 + 128] * 3]
    assert model.count_params() == sum(512 * (25 * channels + 1) for channels in cells) + 128 * 16 + 16 + 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_model_trains_saves_and_loads(tmp_path, name, channels, precision):
    config = small(name, channels=channels, precision=precision)
    model = build_model(config)
    model.compile("adam", "mse", jit_compile=False)
    frames = frames_of(config, config.num_frames)
    inputs = frames if name == "forecaster" else frames[:, :-1]
    before = [weight.numpy() for weight in model.trainable_weights]
    model.fit(inputs, frames[:, 1:], epochs=1, verbose=0)
    assert all((old != new).any() for old, new in zip(before, model.trainable_weights, strict=True))
    expected = model.predict(inputs, verbose=0)
    assert expected.shape == (2, 6, 16, 16, channels) and expected.dtype == np.float32
    assert expected.min() >= 0 and expected.max() <= 1
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    np.testing.assert_allclose(again.predict(inputs, verbose=0), expected, atol=1e-5)


def test_forecaster_never_looks_at_what_it_predicts():
    config = small("forecaster", sampling_epochs=3)
    model = build_model(config)
    frames = frames_of(config, 7)
    others = np.concatenate([frames[:, :4], frames_of(config, 3, seed=1)], axis=1)
    expected = model(frames, training=False).numpy()
    np.testing.assert_array_equal(model(others, training=False), expected)
    np.testing.assert_array_equal(model(frames[:, :4], training=False), expected)
    assert np.abs(model(frames[:, ::-1], training=False) - expected).max() > 1e-4


def test_scheduled_sampling_takes_true_frames_in_training_only():
    config = small("forecaster", sampling_epochs=3)
    model = build_model(config)
    layer = model.get_layer("forecaster")
    frames = frames_of(config, 7)
    others = np.concatenate([frames[:, :4], frames_of(config, 3, seed=1)], axis=1)

    def differ():
        return np.abs(model(frames, training=True) - model(others, training=True)).max((2, 3, 4))

    assert (differ()[:, 4:] > 1e-5).all() and (differ()[:, :4] == 0).all()  # the first prediction is before them
    layer.teacher_forcing_ratio.assign(0.0)
    assert (differ() == 0).all()
    np.testing.assert_allclose(model(frames, training=True), model(frames, training=False), atol=1e-6)


def test_patches_and_back():
    frame = tf.random.stateless_uniform((2, 12, 8, 3), (0, 1))
    patches = to_patches(frame, 4)
    assert patches.shape == (2, 3, 2, 48)
    np.testing.assert_array_equal(tf.reshape(patches[0, 1, 1], (4, 4, 3)), frame[0, 4:8, 4:8])
    np.testing.assert_array_equal(to_frame(patches, 4), frame)
