"""The network: its sizes, the recorded outputs of the original, its smaller variants, saved and loaded."""

import dataclasses
import json
import zlib

import keras
import numpy as np
import pytest

from tests.conftest import shared_root
from tfav.errors import UsageError
from tfav.systems.av_words import model as models
from tfav.systems.av_words.config import PRESETS, Config
from tfav.systems.av_words.networks import NETWORKS
from tfav.weights import WeightsError, load_state_dict

BUILDERS = {"audio": models.build_audio, "video": models.build_video, "fusion": models.build_fusion}
# The structure of the presets, as small as it gets.
SIZES = {
    "audio_kernel": 32,
    "audio_stride": 32,
    "audio_strides": (1, 1, 1, 1),
    "audio_widths": (2, 2, 3, 4),
    "audio_dim": 6,
    "video_kernel": (3, 3, 3),
    "video_widths": (2, 2, 3, 4),
    "video_dim": 6,
    "rnn_units": 4,
}
for name in ("paper", "cpu", "demo"):
    NETWORKS[f"tiny {name}"] = dataclasses.replace(NETWORKS[name], **SIZES)
NETWORKS["tiny gates"] = dataclasses.replace(NETWORKS["tiny demo"], gates=True)
TINY = {
    "num_classes": 5,
    "network": "tiny demo",
    "prepared_size": (40, 40),
    "crop_size": (40, 40),
}


def made_inputs(config, batch=2):
    rng = np.random.default_rng(0)
    shape = (batch, config.num_frames, *config.crop_size, 1)
    return {
        "waveform": rng.normal(size=(batch, config.num_samples)).astype(np.float32),
        "frames": rng.normal(size=shape).astype(np.float32),
    }


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.fixture(scope="module")
def reference():
    folder = shared_root().parent / "reference" / "av_words"
    if not folder.exists():
        pytest.skip(f"recorded outputs {folder} not found (set TFAV_DATA to the folder data beside it)")
    return folder


def made_weights(name, shapes):
    """The recording's own rule, see its README."""
    arrays = {}
    for key, shape in shapes.items():
        rng = np.random.default_rng([20211, zlib.crc32(f"{name}.{key}".encode())])
        if key.endswith("num_batches_tracked"):
            arrays[key] = np.zeros(shape, np.int64)
            continue
        if key.endswith("running_var"):
            value = rng.uniform(0.5, 1.5, shape)
        elif key.endswith("running_mean"):
            value = rng.normal(0, 0.1, shape)
        elif len(shape) == 1 and key.endswith(".weight"):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            value = rng.normal(0, 0.05, shape)
        else:
            value = rng.normal(0, np.sqrt(1 / np.prod(shape[1:])), shape)
        arrays[key] = value.astype(np.float32)
    return arrays


def test_the_recorded_outputs_of_the_original(reference):
    config = Config.preset("notebook")
    shapes = json.loads((reference / "state_dict_shapes.json").read_text())
    full = models.build_model(config)
    parts = {name: full.get_layer(name) for name in BUILDERS}
    for name, part in parts.items():
        _, report = load_state_dict(part, made_weights(name, shapes[name]), with_report=True)
        assert all("num_batches_tracked" in line for line in report.ignored) and not report.notes
    waveform = np.random.default_rng([20211, 1]).normal(0, 1, (2, 19456)).astype(np.float32)
    video = np.random.default_rng([20211, 2]).normal(0, 1, (2, 1, 29, 88, 88)).astype(np.float32)
    frames = video.transpose(0, 2, 3, 4, 1)
    with np.load(reference / "expected.npz") as expected:
        heard = parts["audio"](waveform)["features"]
        seen = parts["video"](frames)["features"]
        fused = parts["fusion"](keras.ops.concatenate([heard, seen], axis=-1))
        for name, value in (("audio", heard), ("video", seen), ("fusion", fused)):
            np.testing.assert_allclose(value, expected[name], atol=1e-4, err_msg=name)
        mean_name = next(key for key in expected.files if key not in BUILDERS)
        word = full({"waveform": waveform, "frames": frames})
        np.testing.assert_allclose(word, expected[mean_name], atol=1e-4, err_msg="mean")


def test_sizes_of_the_original_and_of_the_small_one():
    config = Config.preset("notebook")
    counts = {"audio": 12_500_340, "video": 29_025_460, "fusion": 13_107_700}
    assert {name: trainable(build(config)) for name, build in BUILDERS.items()} == counts
    counts = {"audio": 825_651, "video": 932_379, "fusion": 27_189}  # as the README has them, for GRID's 51 words
    config = Config.preset("cpu", num_classes=51)
    assert {name: trainable(build(config)) for name, build in BUILDERS.items()} == counts


@pytest.mark.parametrize(("name", "network"), [("notebook", "tiny paper"), ("cpu", "tiny cpu")])
def test_every_preset_is_the_same_structure(name, network, tmp_path):
    config = Config.preset(name, **{**TINY, "network": network})
    model = models.build_model(config)
    inputs = made_inputs(config)
    word = np.asarray(model(inputs))
    assert word.shape == (2, 5) and word.dtype == np.float32 and word.std() > 0
    paths = [weight.path for weight in model.weights]
    assert len(set(paths)) == len(paths)  # by which weights are kept
    streams = models.by_stream(model)
    says = streams(inputs)
    assert set(says) == {"audio", "video", "both"}
    other_sound = streams({**inputs, "waveform": inputs["waveform"][::-1]})
    np.testing.assert_array_equal(says["video"], other_sound["video"])
    assert np.abs(says["audio"] - other_sound["audio"]).max() > 0
    assert np.abs(says["both"] - other_sound["both"]).max() > 0
    np.testing.assert_allclose(says["both"], word, atol=1e-2 if name == "cpu" else 1e-6)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    assert [weight.path for weight in loaded.weights] == paths
    np.testing.assert_allclose(loaded(inputs), word, atol=1e-6)
    np.testing.assert_allclose(models.by_stream(loaded)(inputs)["audio"], says["audio"], atol=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_no_strided_convolution_of_one(name):
    """Their weight gradient writes beyond its memory in oneDNN, with channels that are no multiple of 16."""
    config = Config.preset(name, num_classes=7)
    for front in (models.build_audio_front(config), models.build_video_front(config)):
        convolutions = [layer for layer in front.layers if "Conv" in type(layer).__name__]
        assert convolutions
        for layer in convolutions:
            assert set(layer.kernel_size) != {1} or set(layer.strides) == {1}, layer.name


def test_a_bias_per_step_is_what_tells_where_in_the_window():
    config = Config.preset("demo", **TINY)
    front = models.build_video_front(config)
    layer = front.get_layer("video.resnet34.fc")
    assert tuple(layer.bias.shape) == (29, 6)
    assert tuple(
        models.build_video_front(Config.preset("notebook", **{**TINY, "network": "tiny paper"}))
        .get_layer("video.resnet34.fc")
        .bias.shape
    ) == (6,)


def test_statistics_move_a_tenth_of_the_way_in_a_step_as_in_pytorch():
    front = models.build_audio_front(Config.preset("demo", **{**TINY, "network": "tiny paper"}))
    layer = front.get_layer("audio.fronted1D.1")
    into = keras.Model(front.input, layer.input)
    waveform = np.random.default_rng(0).normal(1, 1, (4, front.input_shape[1])).astype(np.float32)
    front(waveform, training=True)
    batch = np.asarray(into(waveform, training=True)).reshape(-1, layer.moving_mean.shape[0])
    np.testing.assert_allclose(layer.moving_mean, 0.1 * batch.mean(0), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * batch.var(0), rtol=1e-3)


def test_back_ends_of_the_first_stage():
    config = Config.preset("notebook", **{**TINY, "network": "tiny paper"})
    for name in ("audio", "video"):
        back = models.build_convolutional(config, name)
        assert back(np.zeros((2, 29, 6), np.float32)).shape == (2, 1, 5)


def test_the_filters_are_a_bank():
    kernel = models.filterbank(160, 32, 16000)[:, 0]
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, atol=1e-5)
    tone = np.sin(2 * np.pi * 3000 * np.arange(160) / 16000)
    peak = np.abs(np.fft.rfft(kernel, axis=0)).argmax(0) * 100
    loudest = peak[np.abs(kernel.T @ tone).argmax()]
    assert abs(loudest - 3000) < 400 and (np.diff(peak[::2]) >= 0).all()


def test_sizes_that_cannot_be():
    NETWORKS["wrong"] = dataclasses.replace(NETWORKS["tiny demo"], audio_strides=(1, 2, 1, 1))
    with pytest.raises(UsageError, match="must leave 29 steps"):
        models.build_audio(Config.preset("demo", **{**TINY, "network": "wrong"}))
    del NETWORKS["wrong"]
    with pytest.raises(UsageError, match="network must be one of paper, cpu, demo"):
        Config.preset("demo", network="wrong")
    with pytest.raises(UsageError, match="num_classes is 0"):
        models.build_model(Config.preset("demo"))
    with pytest.raises(WeightsError, match="EinsumDense, for which no rule"):
        load_state_dict(models.build_audio(Config.preset("demo", **TINY)), {"x": np.zeros(1)})
