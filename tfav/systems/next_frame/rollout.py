"""Predicting further and further: the model's own frames are fed back to it, and its state is kept.

`N` frames cost `N` steps. Feeding the ever longer sequence to the model anew would cost as many sequences, and gives
the same frames: a ConvLSTM's state after a frame is all it knows of the frames before.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfav.data.arrays import Scaling, fill_gaps
from tfav.errors import TfavError, UsageError
from tfav.systems.next_frame.model import FORECASTER, SIMVP

_TOLERANCE = 1e-3  # beyond 0-1, as resizing may leave it


class Stepper(NamedTuple):
    """A model, one step of time at a time.

    Attributes:
        initial: From a frame `[B, H, W, C]` to the states before it.
        step: From a frame and states to the next frame `[B, H, W, C]` float32 and new states.
    """

    initial: Callable
    step: Callable


def predict_next(
    model: keras.Model,
    frames: np.ndarray,
    num_frames: int,
    *,
    batch_size: int = 32,
    cut: bool = True,
    scaling: Scaling | None = None,
) -> np.ndarray:
    """Predicts the frames that follow.

    Args:
        model: From `build_model`, or loaded from a run folder.
        frames: `[B, T, H, W, C]` float, 0-1, the frames seen; with `scaling` in a user's units, NaN where a cell is
            missing.
        num_frames: Frames to predict.
        batch_size: Sequences at a time.
        cut: Cut what is returned to 0-1; what is fed back never is.
        scaling: Of a run on an array, `dataset.scaling_of(run.metadata)`; `predict.predict_array` looks it up.

    Returns:
        `[B, num_frames, H, W, C]` float32, 0-1 or in the user's units.

    Raises:
        UsageError: No frames are asked for, or the frames are of another shape than the model's, too few, beyond 0-1 or
            not numbers.
    """
    frames = check_frames(model, frames, any_values=scaling is not None)
    if num_frames < 1:
        raise UsageError(f"Ask for 1 frame or more. Received: {num_frames}")
    if scaling is not None:
        frames = fill_gaps(scaling.forward(frames))
    roll = rollout_function(model)
    parts = [
        roll(tf.constant(frames[first : first + batch_size]), num_frames) for first in range(0, len(frames), batch_size)
    ]
    made = np.concatenate([part.numpy() for part in parts])
    if scaling is not None:
        return scaling.inverse(made)
    return np.clip(made, 0, 1) if cut else made


def check_frames(model: keras.Model, frames: np.ndarray, *, any_values: bool = False) -> np.ndarray:
    """The frames as float32, or with `any_values` as they are, NaN among them.

    Raises:
        UsageError: As in `predict_next`.
    """
    frames = np.asarray(frames)
    size = tuple(model.input_shape[2:])
    if frames.ndim != 5 or not frames.size:
        raise UsageError(f"frames must be [B, T, H, W, C] with one or more of each. Received: {frames.shape}")
    if frames.shape[2:] != size:
        raise UsageError(
            f"the model was trained on frames of {_spell(size)}; resize these. Received: {_spell(frames.shape[2:])}"
        )
    least = least_frames(model)
    if frames.shape[1] < least:
        raise UsageError(f"the model looks at {least} frames and goes on from there. Received: {frames.shape[1]}")
    if any_values:
        if np.isinf(frames).any() or np.isnan(frames).all((2, 3, 4)).any():
            raise UsageError("frames have infinities, or a frame has no value at all. Give NaN for single cells only.")
        return frames
    if not np.issubdtype(frames.dtype, np.floating):
        raise UsageError(f"frames must be float, 0-1; divide uint8 by 255. Received: {frames.dtype}")
    if not np.isfinite(frames).all():
        raise UsageError("frames have values that are not finite numbers (NaN or infinite).")
    low, high = float(frames.min()), float(frames.max())
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise UsageError(f"frames must be 0-1; are these 0-255? Received: {low:g} to {high:g}")
    return frames.astype(np.float32)


def least_frames(model: keras.Model) -> int:
    """How many frames a model needs to see."""
    if model.name == SIMVP:
        return model.input_shape[1]
    return model.get_layer(FORECASTER).input_frames if model.name == FORECASTER else 1


def rollout_function(model: keras.Model) -> Callable:
    """The rollout as one graph, to be called as `roll(frames, num_frames)`; kept with the model.

    Returns:
        A function of `[B, T, H, W, C]` float32 and a number to `[B, num_frames, H, W, C]` float32.
    """
    if not hasattr(model, "_tfav_rollout"):
        layers = {layer.name: layer for layer in model.layers}
        pad, cut = layers.get("pad"), layers.get("cut")
        if model.name == SIMVP:
            model._tfav_rollout = _direct_rollout(model.get_layer(SIMVP), pad, cut)
            return model._tfav_rollout
        stepper = make_stepper(model)

        @tf.function(reduce_retracing=True)
        def advance(frame, states):
            return stepper.step(frame, states)

        def roll(frames, num_frames):
            frames = frames if pad is None else pad(frames)
            states, made = stepper.initial(frames[:, 0]), []
            for number in range(frames.shape[1]):
                next_frame, states = advance(frames[:, number], states)
            made.append(next_frame)
            while len(made) < num_frames:
                next_frame, states = advance(made[-1], states)
                made.append(next_frame)
            made = tf.stack(made, axis=1)
            return made if cut is None else cut(made)

        model._tfav_rollout = roll
    return model._tfav_rollout


def _direct_rollout(network: keras.Model, pad, cut) -> Callable:
    """Of a model that makes as many frames as it sees: what it made is what it sees next."""

    @tf.function(reduce_retracing=True)
    def advance(frames):
        return network(frames, training=False)

    def roll(frames, num_frames):
        length = network.input_shape[1]
        made = [frames[:, -length:] if pad is None else pad(frames[:, -length:])]
        while (len(made) - 1) * length < num_frames:
            made.append(advance(made[-1]))
        made = tf.concat(made[1:], axis=1)[:, :num_frames]
        return made if cut is None else cut(made)

    return roll


def make_stepper(model: keras.Model) -> Stepper:
    """Takes a model apart into what it does for one frame.

    Raises:
        TfavError: A model of another make.
    """
    if model.name == FORECASTER:
        recurrence = model.get_layer(FORECASTER)
        return Stepper(recurrence.initial_states, recurrence.step)
    if model.name == "notebook":
        return _notebook_stepper(model)
    raise TfavError(f"there is no rollout for a model named {model.name!r}. Use one of build_model's.")


def _notebook_stepper(model: keras.Model) -> Stepper:
    """The last layer's kernel covers three frames: the one before, the newest, and zeros in place of the one to come.

    So the features of the frame before are kept as a state beside those of the ConvLSTM layers.
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    *body, last = layers
    cells = [layer.cell for layer in body if isinstance(layer, keras.layers.ConvLSTM2D)]

    def initial(frame):
        batch, height, width = ops.shape(frame)[:3]
        states = [[ops.zeros((batch, height, width, cell.filters), cell.compute_dtype)] * 2 for cell in cells]
        return states, ops.zeros((batch, height, width, cells[-1].filters), "float32")

    def step(frame, states):
        (states, before), new_states = states, []
        x = ops.cast(frame, cells[0].compute_dtype)
        for layer in body:
            if isinstance(layer, keras.layers.ConvLSTM2D):
                x, state = layer.cell(x, states[len(new_states)], training=False)
                new_states.append(list(state))
            else:
                x = layer(x[:, None], training=False)[:, 0]  # it was built for sequences
        features = ops.cast(x, "float32")
        both = ops.concatenate([before, features], axis=-1)
        kernel = ops.concatenate([last.kernel[0], last.kernel[1]], axis=2)
        out = ops.conv(both, kernel, padding="same") + last.bias
        return last.activation(out), (new_states, features)

    return Stepper(initial, step)


def _spell(size) -> str:
    return " x ".join(map(str, size))
