"""The models: the keras.io example, the encoder-forecaster, and SimVP."""

from collections.abc import Callable
from pathlib import Path

import keras

from tfav.systems.next_frame.config import Config
from tfav.systems.next_frame.convlstm import ConvLSTMStep, Forecaster
from tfav.systems.next_frame.dataset import frame_shape
from tfav.systems.next_frame.pixel_advection import MotionStep
from tfav.systems.next_frame.simvp import build_simvp
from tfav.training import checkpoints, mixed_precision

FORECASTER = "forecaster"  # name of the layer that holds the recurrence
SIMVP = "simvp"  # name of the model, and of the one inside that makes as many frames as it sees
STEPS = {"conv_lstm": ConvLSTMStep, "motion": MotionStep}


def build_model(config: Config) -> keras.Model:
    """The model that `config.model` names.

    Returns:
        A model of `frames` `[B, T, H, W, C]` float, 0-1 or as the scaling of an array has it. `notebook`: what follows
        each frame, `[B, T, H, W, C]` float32. `forecaster`: see `build_forecaster`. `simvp`: of
        `[B, input_frames, H, W, C]` the forecast, `[B, output_frames, H, W, C]` float32.
    """
    return {"notebook": build_notebook, "forecaster": build_forecaster, "simvp": build_direct}[config.model](config)


def build_notebook(config: Config) -> keras.Model:
    """The keras.io example: ConvLSTM layers with batch normalisation between, and a 3-D convolution at the end.

    746,689 parameters in the preset `notebook`. The last layer looks one frame back and one ahead; at the end of a
    sequence, where the prediction is, it sees zeros in place of the frame ahead.

    Reference:
        https://keras.io/examples/vision/conv_lstm/
    """
    with mixed_precision(config.precision):
        frames = keras.Input((None, *frame_shape(config)), name="frames")
        x = frames
        for number, (count, size) in enumerate(zip(config.filters, config.kernel_sizes, strict=True)):
            if number:
                x = keras.layers.BatchNormalization(name=f"norm_{number}")(x)
            x = keras.layers.ConvLSTM2D(
                count, size, padding="same", return_sequences=True, activation="relu", name=f"conv_lstm_{number + 1}"
            )(x)
        activation = "linear" if config.is_array else "sigmoid"
        out = keras.layers.Conv3D(
            frames.shape[-1], 3, padding="same", activation=activation, dtype="float32", name="next_frames"
        )(x)
    return keras.Model(frames, out, name="notebook")


def build_forecaster(config: Config) -> keras.Model:
    """An encoder-forecaster ConvLSTM on patches: looks at `input_frames` and goes on by itself.

    Returns:
        A model of `frames` `[B, T, H, W, C]` float, 0-1, with `T` at least `input_frames`; in training, where true
        frames can take the place of the model's own, all of the sequence. It gives what follows each frame,
        `[B, input_frames + output_frames - 1, H, W, C]` float32; the last `output_frames` are the forecast.
    """
    with mixed_precision(config.precision):
        frames = keras.Input((None, *frame_shape(config)), name="frames")
        padded, cut = pad_to(frames, config.patch_size * (2 if config.step == "motion" else 1))
        one_step = STEPS[config.step](config.filters, config.kernel_sizes, config.patch_size, name=config.step)
        out = Forecaster(
            config.input_frames,
            config.output_frames,
            one_step,
            config.patch_size,
            activation="sigmoid" if config.loss == "bce" else "linear",
            teacher_forcing_ratio=1.0 if config.sampling_epochs else 0.0,
            seed=config.seed,
            name=FORECASTER,
        )(padded)
        out = cut(out)
    return keras.Model(frames, out, name="forecaster")


def build_direct(config: Config) -> keras.Model:
    """SimVP, which makes `input_frames` at once; where more are asked for, it looks at what it made."""
    with mixed_precision(config.precision):
        frames = keras.Input((config.input_frames, *frame_shape(config)), name="frames")
        padded, cut = pad_to(frames, config.patch_size * 2 ** (config.depths[0] // 2))
        network = build_simvp(
            tuple(padded.shape[2:]),
            config.input_frames,
            filters=config.filters,
            kernel_sizes=config.kernel_sizes,
            depths=config.depths,
            translator=config.translator,
            patch_size=config.patch_size,
            activation="sigmoid" if config.loss == "bce" else "linear",
            name=SIMVP,
        )
        made = [network(padded)]
        while len(made) * config.input_frames < config.output_frames:
            made.append(network(made[-1]))
        out = keras.layers.Concatenate(axis=1, name="forecast")(made) if len(made) > 1 else made[0]
        out = cut(out[:, : config.output_frames])
    return keras.Model(frames, out, name=SIMVP)


def pad_to(frames, multiple: int) -> tuple[keras.KerasTensor, Callable]:
    """Zeros below and right of frames whose sides are no multiple of a number, and what cuts them off again."""
    margins = [-side % multiple for side in frames.shape[2:4]]
    if not any(margins):
        return frames, lambda made: made
    margins = ((0, 0), *((0, margin) for margin in margins))
    return keras.layers.ZeroPadding3D(margins, name="pad")(frames), keras.layers.Cropping3D(margins, name="cut")


def load_model(run_dir: Path, config: Config) -> keras.Model:
    """The run's best model, or what its shipped weights make.

    Raises:
        TfavError: There is none.
    """
    return checkpoints.best_model(run_dir, lambda: build_model(config))
