"""SimVP: the published counts of parameters, the same numbers as plain NumPy, and a run from training to forecast."""

import dataclasses

import numpy as np
import pytest
from scipy.special import erf, expit

from tfav.data.synthetic import drifting_field
from tfav.errors import UsageError
from tfav.systems.next_frame import Config, build_model, export, predict_next, train
from tfav.systems.next_frame.dataset import scaling_of
from tfav.systems.next_frame.model import load_model
from tfav.systems.next_frame.rollout import rollout_function
from tfav.systems.next_frame.simvp import build_simvp
from tfav.systems.next_frame.train import compile_args
from tfav.training.run_folder import load

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("frame", "num_frames", "filters", "depths", "translator", "count"),
    [
        ((64, 64, 1), 10, (64, 512), (4, 8), "inception", 57_946_113),  # OpenSTL's tables: 58.0 M, Moving MNIST
        ((64, 64, 1), 10, (64, 512), (4, 8), "gated", 46_769_665),  # 46.8 M
        ((32, 32, 2), 4, (32, 256), (2, 8), "inception", 13_794_914),  # 13.79 M, TaxiBJ
    ],
)
def test_published_sizes_have_the_published_parameters(frame, num_frames, filters, depths, translator, count):
    model = build_simvp(frame, num_frames, filters=filters, kernel_sizes=(3, 3), depths=depths, translator=translator)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == count


def conv(x, layer, *, stride=1, pad="same", groups=1, dilation=1):
    """A convolution by sums over the kernel's places; of a depthwise layer each channel by itself."""
    kernel, bias = (np.asarray(weight) for weight in layer.weights)
    if kernel.shape[2] == x.shape[-1] and kernel.shape[3] == 1 and "Depthwise" in type(layer).__name__:
        kernel, groups = kernel.transpose(0, 1, 3, 2), x.shape[-1]
    size = kernel.shape[0]
    pad = dilation * (size - 1) // 2 if pad == "same" else pad
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = ((side - dilation * (size - 1) - 1) // stride + 1 for side in x.shape[1:3])
    parts = []
    for piece, weights in zip(np.split(x, groups, -1), np.split(kernel, groups, -1), strict=True):
        made = 0
        for i, j in np.ndindex(size, size):
            rows = slice(i * dilation, i * dilation + stride * height, stride)
            columns = slice(j * dilation, j * dilation + stride * width, stride)
            made = made + piece[:, rows, columns][:, :height, :width] @ weights[i, j]
        parts.append(made)
    return np.concatenate(parts, -1) + bias


def group_norm(x, layer, groups):
    gamma, beta = (np.asarray(weight) for weight in layer.weights)
    parts = x.reshape(*x.shape[:3], groups, -1)
    mean, variance = (of(parts, axis=(1, 2, 4), keepdims=True) for of in (np.mean, np.var))
    return ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape) * gamma + beta


def patches(x, size):
    count, height, width, depth = x.shape
    x = x.reshape(count, height // size, size, width // size, size, depth).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(count, height // size, width // size, size * size * depth)


def numpy_simvp(model, frames, depths, translator, patch_size):
    layer, (count, length) = model.get_layer, frames.shape[:2]

    def block(x, name, stride=1, grow=False):
        size = layer(f"{name}_conv").weights[0].shape[0]
        x = conv(x, layer(f"{name}_conv"), stride=stride, pad=(size - stride + 1) // 2)
        if grow:
            *place, depth = x.shape
            x = x.reshape(*place, 2, 2, depth // 4).transpose(0, 1, 3, 2, 4, 5)
            x = x.reshape(place[0], 2 * place[1], 2 * place[2], depth // 4)
        x = group_norm(x, layer(f"{name}_norm"), 2)
        return x * expit(x)

    def inception(x, name):
        x, total = conv(x, layer(f"{name}_squeeze")), 0
        groups = 8 if x.shape[-1] % 8 == 0 else 1
        for size in (3, 5, 7, 11):
            y = group_norm(conv(x, layer(f"{name}_conv_{size}"), groups=groups), layer(f"{name}_norm_{size}"), groups)
            total = total + np.where(y > 0, y, 0.2 * y)
        return total

    def gelu(x):
        return x * (1 + erf(x / np.sqrt(2))) / 2

    def batch_norm(x, name):
        gamma, beta, mean, variance = (np.asarray(weight) for weight in layer(name).weights)
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def gated(x, name):
        normed = batch_norm(x, f"{name}_norm_1")
        y = gelu(conv(normed, layer(f"{name}_proj_1")))
        y = conv(conv(y, layer(f"{name}_near")), layer(f"{name}_far"), dilation=3)
        values, gates = np.split(conv(y, layer(f"{name}_gate")), 2, -1)
        y = conv(expit(gates) * values, layer(f"{name}_proj_2"))
        x = x + np.asarray(layer(f"{name}_scale_1").scale) * (y + normed)
        y = conv(conv(batch_norm(x, f"{name}_norm_2"), layer(f"{name}_widen")), layer(f"{name}_mix"))
        return x + np.asarray(layer(f"{name}_scale_2").scale) * conv(gelu(y), layer(f"{name}_narrow"))

    def residual(x, name):
        x = batch_norm(x, f"{name}_norm")
        return conv(x * expit(x), layer(f"{name}_conv"))

    x, skip = patches(frames.reshape(-1, *frames.shape[2:]), patch_size), None
    for number in range(depths[0]):
        x = block(x, f"encoder_{number}", stride=1 + number % 2)
        skip = x if not number else skip
    small = x.shape[1:]
    x = x.reshape(count, length, *small).transpose(0, 2, 3, 1, 4).reshape(count, *small[:2], -1)
    channels = x.shape[-1]
    if translator == "residual":
        x = conv(x, layer("widen"))
        for number in range(depths[1]):
            x = x + residual(residual(x, f"residual_{number}_1"), f"residual_{number}_2")
        x = residual(x, "narrow")
    elif translator == "gated":
        for number in range(depths[1]):
            x = gated(x, f"block_{number}")
            if number in (0, depths[1] - 1):
                x = conv(x, layer(f"block_{number}_reduce"))
    else:
        across = []
        for number in range(depths[1]):
            x = inception(x, f"down_{number}")
            across.append(x)
        x = inception(x, "up_0")
        for number in range(1, depths[1]):
            x = inception(np.concatenate([x, across[depths[1] - 1 - number]], -1), f"up_{number}")
    assert x.shape[-1] == channels
    x = x.reshape(count, *small[:2], length, small[2]).transpose(0, 3, 1, 2, 4).reshape(-1, *small)
    for number in reversed(range(depths[0])):
        x = block(x if number else x + skip, f"decoder_{number}", grow=number % 2 == 1)
    x, (_, _, height, width, depth) = conv(x, layer("readout")), frames.shape
    x = x.reshape(-1, height // patch_size, width // patch_size, patch_size, patch_size, depth)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(frames.shape)


@pytest.mark.parametrize(
    ("translator", "depths", "patch_size"),
    [("gated", (2, 3), 1), ("inception", (2, 3), 1), ("residual", (2, 3), 2), ("residual", (0, 2), 4)],
)
def test_the_same_numbers_as_plain_numpy(translator, depths, patch_size):
    widths = {"filters": (8, 32), "kernel_sizes": (3, 5), "depths": depths}
    model = build_simvp((8, 12, 2), 3, **widths, translator=translator, patch_size=patch_size)
    for weight in model.weights:
        drawn = RNG.normal(0, 0.3, weight.shape)
        weight.assign(np.abs(drawn) + 0.5 if "variance" in weight.name or "gamma" in weight.name else drawn)
    frames = RNG.normal(size=(2, 3, 8, 12, 2)).astype(np.float32)
    expected = numpy_simvp(model, frames.astype(np.float64), depths, translator, patch_size)
    made = np.asarray(model(frames, training=False))
    assert expected.std() > 0.1
    np.testing.assert_allclose(made, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("precision", "step_dtype"), [("float32", "float32"), ("mixed_bfloat16", "bfloat16")])
def test_muon_has_the_matrices_between_the_first_and_the_last(precision, step_dtype):
    config = Config.preset("simvp", **SMALL, optimizer="muon", precision=precision)
    optimizer = compile_args(config)["optimizer"]
    assert optimizer.step_dtype == step_dtype
    model = build_model(dataclasses.replace(config, translator="residual", patch_size=4, depths=(0, 2)))
    optimizer.build(model.trainable_variables)
    by_adam = {
        v.path.rsplit("/", 2)[-2] for v in model.trainable_variables if not optimizer._is_matrix(v) and len(v.shape) > 1
    }
    assert by_adam == {"readout"}


SMALL = {"model": "simvp", "filters": (8, 16), "kernel_sizes": (3, 3), "depths": (2, 2)}


def test_a_run_on_an_array_from_training_to_forecast(tmp_path):
    field = drifting_field(70, 11, 14, 1, gaps=0.05)[..., 0]
    np.save(tmp_path / "field.npy", field)
    shares = {"data_dir": str(tmp_path / "field.npy"), "axes": "tyx", "val_fraction": 0.2, "test_fraction": 0.2}
    frames = {"input_frames": 4, "output_frames": 4, "epochs": 2, "learning_rate": 1e-2, "precision": "float32"}
    config = Config.preset("array", **SMALL, **shares, **frames)
    rows = train(config, tmp_path / "run", verbose=0)
    assert rows[-1]["loss"] < rows[0]["loss"] and np.isfinite(rows[-1]["val_forecast_mse"])
    model = load_model(tmp_path / "run", config)
    seen = np.nan_to_num(field[None, -4:, ..., None])
    made = rollout_function(model)(seen, 4)
    np.testing.assert_allclose(made, model(seen), atol=1e-5)  # 11 x 14 were padded, and cut off again
    scaling = scaling_of(load(tmp_path / "run").metadata)
    frames = field[None, -6:, ..., None]  # of which the last four decide
    long, short = (predict_next(model, frames, count, scaling=scaling) for count in (9, 4))
    assert long.shape == (1, 9, 11, 14, 1) and np.isfinite(long).all()
    np.testing.assert_allclose(long[:, :4], short, atol=1e-5)
    exported = export(tmp_path / "run")
    example = exported.examples[0]["frames"]
    answer = exported.serve(frames=example)["next_frames"]
    np.testing.assert_allclose(answer, predict_next(model, example, 4, scaling=scaling), rtol=1e-4, atol=1e-4)


def test_pictures_too():
    config = Config.preset("simvp", **SMALL, mnist="small", input_frames=2, output_frames=3, loss="bce")
    made = predict_next(build_model(config), RNG.uniform(size=(1, 5, 64, 64, 1)), 3)
    assert made.shape == (1, 3, 64, 64, 1) and 0 < made.min() < made.max() < 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depths": (4,)}, "two filters, kernel_sizes and depths"),
        ({"filters": (64,), "kernel_sizes": (3,)}, "two filters, kernel_sizes and depths"),
        ({"sampling_epochs": 4}, "is the forecaster's; leave it out for model=simvp"),
        ({"depths": (2, 1)}, "needs 2 blocks or more"),
        ({"patch_size": 5}, "multiple of patch_size"),
        ({"filters": (5, 512)}, "multiple"),
        ({"filters": (64, 24), "translator": "inception"}, "multiple"),
    ],
)
def test_settings_that_do_not_fit(fields, message):
    with pytest.raises(UsageError, match=message):
        Config.preset("simvp", **fields)
