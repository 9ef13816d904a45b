"""The step that displaces frames: what it fetches, what it measures, and that untrained it compensates motion."""

import keras
import numpy as np
import pytest

from tfav.data import moving_mnist
from tfav.data.mnist import load_digits
from tfav.errors import UsageError
from tfav.systems.next_frame import Config, build_model
from tfav.systems.next_frame.convlstm import to_frame, to_patches
from tfav.systems.next_frame.pixel_advection import MotionStep
from tfav.systems.next_frame.rollout import predict_next

SMALL = {"model": "forecaster", "step": "motion", "filters": (6, 5), "kernel_sizes": (3, 3), "patch_size": 4}
SIZES = {"data_dir": "some", "image_size": 16, "input_frames": 4, "output_frames": 3, "loss": "frame_mse"}


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def built_step(channels, size=16):
    step = MotionStep((6, 5), (3, 3), 4)
    step.build((None, size, size, channels))
    return step


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_is_met_by_its_neighbours(channels):
    step, picture = built_step(channels), pictures(2, 16, 16, channels)
    shifted = step._shifted(to_patches(keras.ops.convert_to_tensor(picture), 4)).numpy()
    around = np.pad(picture, [(0, 0), (4, 4), (4, 4), (0, 0)])
    for number, (down, across) in enumerate(np.ndindex(9, 9)):
        expected = around[:, down : down + 16, across : across + 16]
        patches = shifted[..., number]  # [B, h, w, C, p * p]
        patches = np.swapaxes(patches, -1, -2).reshape(2, 4, 4, 16 * channels)
        np.testing.assert_array_equal(to_frame(keras.ops.convert_to_tensor(patches), 4).numpy(), expected)


@pytest.mark.parametrize("velocity", [(0, 0), (2, -3), (-4, 4), (1, 0)])
def test_measured_motion_peaks_at_the_motion(velocity):
    step = built_step(1, size=64)
    first = np.zeros((1, 64, 64, 1), np.float32)
    first[:, 20:44, 20:44] = pictures(1, 24, 24, 1)
    second = np.roll(first, velocity, axis=(1, 2))
    before = step._shifted(to_patches(keras.ops.convert_to_tensor(first), 4))
    motion = step._correlation(to_patches(keras.ops.convert_to_tensor(second), 4), before).numpy()
    down, across = divmod(motion[0, 7, 7].argmax(), 9)
    assert (4 - down, 4 - across) == velocity  # a pixel comes from where the motion points away from
    assert motion[0, 7, 7].max() == pytest.approx(1, abs=0.05)


def test_untrained_it_already_moves_what_moved():
    keras.utils.set_random_seed(0)
    model = build_model(Config.preset("cpu", mnist="small", precision="float32"))
    digits = load_digits("small").test
    frames = next(iter(moving_mnist.sequences(digits, seed=0, num_digits=1, batch_size=16))).numpy()
    seen, truth = frames[:, :10], frames[:, 10]
    error = np.square(predict_next(model, seen, 1)[:, 0] - truth).sum((1, 2, 3)).mean()
    copying = np.square(seen[:, -1] - truth).sum((1, 2, 3)).mean()
    assert error < 0.8 * copying  # 0.70; without the measured motion 0.95


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_model_trains_saves_and_loads(tmp_path, channels, precision):
    config = Config(**SIZES, **SMALL, channels=channels, precision=precision)
    model = build_model(config)
    model.compile("adam", "mse", jit_compile=False)
    frames = pictures(2, 7, 16, 16, channels)
    before = [weight.numpy() for weight in model.trainable_weights]
    model.fit(frames, frames[:, 1:], epochs=1, verbose=0)
    unmoved = [w.path for old, w in zip(before, model.trainable_weights, strict=True) if (old == w.numpy()).all()]
    assert not unmoved
    expected = model.predict(frames[:, :4], verbose=0)
    assert expected.shape == (2, 6, 16, 16, channels) and expected.dtype == np.float32
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    np.testing.assert_array_equal(again.predict(frames[:, :4], verbose=0), expected)


def test_rollout_keeps_the_state():
    model = build_model(Config(**SIZES, **SMALL))
    frames = pictures(2, 4, 16, 16, 1)
    np.testing.assert_allclose(
        predict_next(model, frames, 3, cut=False), model.predict(frames, verbose=0)[:, -3:], atol=1e-5
    )


@pytest.mark.parametrize("fields", [{"filters": (6,), "kernel_sizes": (3,)}, {"image_size": 20}])
def test_two_scales_are_needed(fields):
    with pytest.raises(UsageError, match="step=motion"):
        Config(**{**SIZES, **SMALL, **fields})
