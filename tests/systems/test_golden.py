"""The figures of every system from end to end: what `evaluate` and `predict` say of files, against NumPy.

Files are written here, the network is worked out in `numpy_networks` from its definition, and scores are counted by
hand. Weights are random and large enough that everything matters: another order of channels, frames or classes, or
another scale, gives other figures.
"""

import dataclasses

import cv2
import keras
import numpy as np
import pytest

from tests.systems import numpy_networks as plain
from tfav import systems
from tfav.data import shards
from tfav.data.example_files import Record
from tfav.training import run_folder as runs

LABELS = ["jump", "run", "walk"]


def stir(model, scale=0.3):
    """Random weights: kernels that hand the signal on, statistics that are not 0 and 1."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        name = weight.path.rpartition("/")[2]
        if "seed" in weight.path or name == "step":
            continue
        if len(weight.shape) > 1 and "bias" not in name:
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(rng.normal(0, 1.5 / fan_in**0.5, weight.shape))
        elif name == "moving_variance":
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif name == "gamma":
            weight.assign(rng.uniform(0.7, 1.5, weight.shape))
        else:
            weight.assign(rng.normal(0, scale, weight.shape))
    return model


def colours_of_a_video(rng):
    """A colour for each video, so that they differ from one another more than their frames do."""
    return rng.uniform(0.1, 1, 3)


def make_run(folder, system, config, metadata):
    """A run folder with a stirred model; gives its weights by the names of layers."""
    runs.start(folder, system, config.to_dict(), metadata)
    model = stir(systems.load(system).build_model(config))
    model.save(folder / "best.keras")
    return plain.weights_of(model)


def tell_apart(folder, name, features):
    """Gives a run a classifier that takes the first three videos for three classes, or it would say one always.

    Returns:
        Its kernel and bias.
    """
    model = keras.saving.load_model(folder / "best.keras", compile=False)
    away = features - features.mean(0)
    kernel = 2 * away[:3].T / (away[:3] ** 2).sum(1)
    (layer,) = [layer for layer in model._flatten_layers() if layer.name == name]
    layer.set_weights([kernel, -features.mean(0) @ kernel])
    model.save(folder / "best.keras")
    return kernel, -features.mean(0) @ kernel


def shown(videos, labels):
    """`[N, K]` probabilities out of the ranked classes of an evaluation."""
    rows = [{rank["label"]: rank["probability"] for rank in video["ranking"]} for video in videos]
    return np.array([[row[label] for label in labels] for row in rows])


def check_scores(result, truth, probabilities):
    """That the scores of an evaluation are those counted from probabilities."""
    said = probabilities.argmax(1)
    table = [[int(((truth == a) & (said == b)).sum()) for b in range(3)] for a in range(3)]
    assert result["confusion"] == table and result["count"] == len(truth)
    assert result["top1"] == pytest.approx((truth == said).mean())
    assert len(set(said)) == 3


# cnn_lstm -----------------------------------------------------------------------------------------------------------


def test_cnn_lstm_from_frame_folders_to_a_confusion_matrix(tmp_path):
    config = systems.load("cnn_lstm").Config.preset(
        "notebook", num_frames=4, image_size=16, cnn_filters=(4, 6), cnn_depths=(1, 1), lstm_units=5, dense_units=7,
    )  # fmt: skip
    weights = make_run(tmp_path / "run", "cnn_lstm", config, {"labels": LABELS})
    rng, clips, truth = np.random.default_rng(1), [], []
    for label in LABELS:
        for number in range(4):
            folder = tmp_path / "data" / label / f"{label}_{number}"
            folder.mkdir(parents=True)
            # Seven frames, of which the first, third, fifth and last are seen; or three, and one of padding.
            frames = rng.integers(0, 256, (7 if number else 3, 16, 16, 3)) * colours_of_a_video(rng)
            frames = frames.astype(np.uint8)
            for index, frame in enumerate(frames):
                cv2.imwrite(str(folder / f"frame_{index}.png"), frame[..., ::-1])
            clips.append(frames[::2] if number else frames)
            truth.append(LABELS.index(label))

    def features(clip):
        x = plain.convolve(clip / 255, *weights["stem_conv"][:1], stride=2) + weights["stem_conv"][1]
        x = plain.relu(plain.normalize(x, weights["stem_norm"]))
        for stage in (1, 2):
            kernel, bias = weights[f"stage{stage}_1_conv"]
            x = plain.relu(plain.normalize(plain.convolve(x, kernel) + bias, weights[f"stage{stage}_1_norm"]))
            x = plain.pool_max(x, (2, 2)) if stage == 1 else x
        state = plain.run_lstm(x.reshape(1, len(clip), -1), weights["lstm"])  # padding leaves it as it is
        kernel, bias = weights["dense"]
        return plain.relu(state @ kernel + bias)[0]

    found = np.array([features(clip.astype(np.float64)) for clip in clips])
    kernel, bias = tell_apart(tmp_path / "run", "class_logits", found)
    expected = plain.softmax(found @ kernel + bias)
    result = systems.load("cnn_lstm").evaluate(tmp_path / "run", tmp_path / "data", progress=False)
    np.testing.assert_allclose(shown(result["videos"], LABELS), expected, atol=1e-4)
    check_scores(result, np.array(truth), expected)
    backwards = np.array([features(clip[::-1].astype(np.float64)) for clip in clips])
    assert np.abs(backwards - found).max() > 0.01


# two_stream ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["spatial", "motion"])
def test_two_stream_from_prepared_folders_to_a_confusion_matrix(tmp_path, stream):
    """Pictures are of flat squares, which JPEG keeps."""
    root, rng = tmp_path / "data", np.random.default_rng(2)
    config = systems.load("two_stream").Config(
        stream=stream, backbone="small", image_size=32, stack_length=3, samples_per_video=4, batch_size=5,
        num_classes=3, data_dir=str(root), cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    weights = make_run(tmp_path / "run", "two_stream", config, {"labels": LABELS})
    videos, truth = [], []
    for label in LABELS:
        for number in range(3):
            name, length = f"v_{label}_g0{number + 1}_c01", 9 + number
            kept = []
            for side, channels, count in (("jpegs_256", 3, length), ("tvl1_flow/u", 1, length - 1), ("tvl1_flow/v", 1, length - 1)):  # noqa: E501  # fmt: skip
                folder = root / side / name
                folder.mkdir(parents=True)
                squares = rng.integers(0, 256, (count, 2, 2, channels)) * colours_of_a_video(rng)[:channels]
                pictures = squares.astype(np.uint8).repeat(16, 1).repeat(16, 2)
                for index, picture in enumerate(pictures, 1):
                    cv2.imwrite(
                        str(folder / f"frame{index:06d}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100]
                    )
                kept.append(pictures.astype(np.float64) / 255)
            videos.append(kept)
            truth.append(LABELS.index(label))

    def features(frames, u, v):
        if stream == "spatial":
            places = len(frames)
            inputs = frames
        else:
            places = len(u) - 2
            inputs = [
                np.concatenate([*u[start : start + 3], *v[start : start + 3]], axis=-1) for start in range(places)
            ]
        x = np.stack([inputs[index * (places // 4)] for index in range(4)])  # in even steps from the first
        level, spread = LEVELS if stream == "spatial" else (0.5, LEVELS[1])
        x = (x - level) / spread
        for number in (1, 2, 3, 4, 5):
            if f"conv{number}" not in weights:
                break
            x = plain.convolve(x, weights[f"conv{number}"][0], stride=2)
            x = plain.relu(plain.normalize(x, weights[f"norm{number}"]))
        return x.mean((1, 2))

    found = np.array([features(*video) for video in videos])  # [video, sample, feature]
    kernel, bias = tell_apart(tmp_path / "run", "predictions", found.mean(1))
    expected = plain.softmax(found @ kernel + bias).mean(1)
    result = systems.load("two_stream").evaluate(tmp_path / "run", part="all", progress=False)
    np.testing.assert_allclose(shown(result["videos"], LABELS), expected, atol=0.02)  # decoders differ by a level
    check_scores(result, np.array(truth), shown(result["videos"], LABELS))
    assert np.ptp(expected, axis=0).min() > 0.2


LEVELS = (0.5, 0.5)  # of the small backbone: 0-1 becomes -1 to 1


# lipnet -------------------------------------------------------------------------------------------------------------


def edits(said, read):
    """Levenshtein's distance of two sequences."""
    row = list(range(len(read) + 1))
    for number, one in enumerate(said, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(read, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (one != other))
    return row[-1]


def test_lipnet_from_mouths_to_error_rates(tmp_path):
    module = systems.load("lipnet")
    texts = {"a": "bin blue", "b": "set red now", "c": "lay green at", "d": "place white"}
    lengths = {"a": 24, "b": 20, "c": 24, "d": 16}
    rng = np.random.default_rng(3)
    mouths = {name: rng.integers(0, 256, (length, 20, 28, 1)).astype(np.uint8) for name, length in lengths.items()}

    def load(name):
        return Record(name, mouths[name], 25.0, texts[name], (), np.zeros((0, 2), np.float32))

    facts = {"system": "lipnet", "format": 2, "mouth_crop": "tracked"}
    shards.write_shards(tmp_path / "shards", list(texts), load, settings=facts)
    config = module.Config.preset(
        "demo", num_frames=24, crop_size=(16, 24), filters=(2, 3, 4), rnn_units=4,
        precision="float32", grammar="none", data_dir=str(tmp_path / "shards"),
    )  # fmt: skip
    symbols = config.symbols()
    weights = make_run(tmp_path / "run", "lipnet", config, {"symbols": symbols.symbols})

    def logits(clip):
        real = clip[:, 2:18, 2:26].astype(np.float64)  # the middle of what is stored
        x = np.zeros((1, 24, 16, 24, 1))
        x[0, : len(clip)] = (real - real.mean()) / np.sqrt(real.var() + 1)
        y = x
        for number, stride in ((1, (1, 2, 2)), (2, 1), (3, 1)):
            kernel, bias = weights[f"conv{number}"]
            y = plain.relu(plain.normalize(plain.convolve(y, kernel, stride) + bias, weights[f"norm{number}"]))
            y = plain.pool_max(y, (1, 2, 2))
        y = plain.relu(y.reshape(1, 24, -1) @ weights["dense"][0] + weights["dense"][1])
        mask = (np.arange(24) < len(clip))[None]
        first = plain.run_gru_both_ways(y, weights["rnn1"], mask)
        if config.model == "resnet":
            word_probs = plain.softmax(first @ weights["words"][0] + weights["words"][1])
            kernel, bias = weights["cond_proj"]
            first = np.concatenate([first + word_probs @ kernel + bias, y], axis=-1)
        second = plain.run_gru_both_ways(first, weights["rnn2"], mask)
        return (second @ weights["labels_dense"][0] + weights["labels_dense"][1])[0, : len(clip)]

    read = {}
    for name, clip in mouths.items():
        best = logits(clip).argmax(1)
        kept = [k for k, before in zip(best, [-1, *best[:-1]], strict=True) if k != before and k != symbols.blank]
        read[name] = " ".join("".join(symbols.symbols[k - symbols.first] for k in kept).split())
    assert any(read.values()) and len(set(read.values())) > 1
    result = module.evaluate(tmp_path / "run", part="all", progress=False)
    assert {row["path"]: row["greedy"] for row in result["examples"]} == read
    words = sum(edits(texts[name].split(), read[name].split()) for name in texts)
    letters = sum(edits(texts[name], read[name]) for name in texts)
    assert result["wer_greedy"] == pytest.approx(words / sum(len(text.split()) for text in texts.values()))
    assert result["cer_greedy"] == pytest.approx(letters / sum(map(len, texts.values())))


# next_frame ---------------------------------------------------------------------------------------------------------


def test_next_frame_from_a_file_of_sequences_to_the_benchmarks_error(tmp_path):
    module = systems.load("next_frame")
    stored = np.random.default_rng(4).integers(0, 256, (6, 7, 8, 8)).astype(np.uint8)  # [T, N, H, W], the benchmark's
    np.save(tmp_path / "seq.npy", stored)
    config = module.Config.preset(
        "notebook", filters=(3, 2), kernel_sizes=(3, 3), data_dir=str(tmp_path / "seq.npy"), image_size=8,
        input_frames=4, output_frames=2,
    )  # fmt: skip
    weights = make_run(tmp_path / "run", "next_frame", config, {})
    frames = stored.transpose(1, 0, 2, 3)[..., None] / 255

    def follow(known):
        x = plain.run_conv_lstm(known, weights["conv_lstm_1"], plain.relu)
        x = plain.run_conv_lstm(plain.normalize(x, weights["norm_1"]), weights["conv_lstm_2"], plain.relu)
        kernel, bias = weights["next_frames"]
        return plain.sigmoid(plain.convolve(x, kernel) + bias)[:, -1:]

    known = frames[:, :4]
    for _ in range(2):
        known = np.concatenate([known, follow(known)], axis=1)
    error = (known[:, 4:] - frames[:, 4:]) ** 2
    result = module.evaluate(tmp_path / "run", tmp_path / "seq.npy", progress=False)
    per_step = error.sum((2, 3, 4)).mean(0)
    np.testing.assert_allclose(result["scores"]["per_step"]["mse"], per_step, rtol=1e-4)
    assert result["scores"]["mse"] == pytest.approx(per_step.mean(), rel=1e-4) and result["count"] == 7
    copied = (frames[:, 3:4] - frames[:, 4:]) ** 2
    np.testing.assert_allclose(result["copy_last"]["per_step"]["mse"], copied.sum((2, 3, 4)).mean(0), rtol=1e-4)
    # In training the last layer sees one frame ahead, of the frames that it is given.
    x = plain.run_conv_lstm(frames[:, :5], weights["conv_lstm_1"], plain.relu)
    x = plain.run_conv_lstm(plain.normalize(x, weights["norm_1"]), weights["conv_lstm_2"], plain.relu)
    said = plain.sigmoid(plain.convolve(x, weights["next_frames"][0]) + weights["next_frames"][1])
    entropy = -(frames[:, 1:] * np.log(said) + (1 - frames[:, 1:]) * np.log(1 - said))
    assert result["one_step_bce"] == pytest.approx(entropy.mean(), rel=1e-3)
    assert np.abs(known[:, 4] - known[:, 5]).max() > 1e-3
    # Kept for the report: the first five and the three worst, the worst first.
    of_each = error.sum((2, 3, 4)).mean(1)
    worst = np.argsort(-of_each)[:3]
    with np.load(tmp_path / "run" / "evaluation_examples.npz") as kept:
        np.testing.assert_allclose(kept["worst_mse"], of_each[worst], rtol=1e-4)
        pixels = stored.transpose(1, 0, 2, 3)[..., None]
        for prefix, numbers in (("", range(5)), ("worst_", worst)):
            np.testing.assert_array_equal(kept[f"{prefix}input"], pixels[list(numbers), :4])
            np.testing.assert_array_equal(kept[f"{prefix}truth"], pixels[list(numbers), 4:])
            forecast = np.clip(known[list(numbers), 4:], 0, 1) * 255
            np.testing.assert_allclose(kept[f"{prefix}prediction"], forecast, atol=0.6)


# av_words -----------------------------------------------------------------------------------------------------------


def test_av_words_from_samples_and_mouths_to_words(monkeypatch):
    module = systems.load("av_words")
    from tfav.systems.av_words import augment
    from tfav.systems.av_words import model as models
    from tfav.systems.av_words.networks import NETWORKS

    sizes = dataclasses.replace(
        NETWORKS["demo"], audio_kernel=32, audio_stride=32, audio_strides=(1, 1, 1, 1), audio_widths=(2, 2, 3, 4),
        audio_dim=6, video_widths=(2, 2, 3, 4), video_dim=6, rnn_units=4, compress=0.0, filterbank=False,
        step_bias=False,
    )  # fmt: skip
    monkeypatch.setitem(NETWORKS, "golden", sizes)

    config = module.Config.preset(
        "demo", num_classes=3, network="golden", prepared_size=(24, 24), crop_size=(24, 24), precision="float32",
        normalize="lrw",
    )  # fmt: skip
    model = stir(models.build_model(config))
    weights = plain.weights_of(model)
    rng = np.random.default_rng(5)
    samples = rng.integers(-3000, 3000, (2, config.num_samples)).astype(np.int16)
    mouths = rng.integers(0, 256, (2, 29, 24, 24, 1)).astype(np.uint8)
    center = augment.center(config)
    given = [center({"samples": s, "frames": m}, 0)[0] for s, m in zip(samples, mouths, strict=True)]
    inputs = {name: keras.ops.stack([row[name] for row in given]) for name in ("waveform", "frames")}

    wave = samples.astype(np.float64)
    wave = (wave - wave.mean(1, keepdims=True)) / wave.std(1, keepdims=True)
    x = plain.convolve(wave[..., None], weights["audio.fronted1D.0"][0], 32, "valid")
    x = plain.relu(plain.normalize(x, weights["audio.fronted1D.1"], 1e-5))
    for stage in (1, 2, 3, 4):
        x = plain.run_residual(x, weights, f"audio.resnet18.layer{stage}.0", 1, 1e-5)
    x = np.pad(x, [(0, 0), (1, 1), (0, 0)])
    x = (
        x[:, : 21 * 29].reshape(2, 29, 21, -1).mean(2) @ weights["audio.resnet18.fc"][0]
        + weights["audio.resnet18.fc"][1]
    )
    heard = run_recurrent(x, weights, "audio.gru.gru")

    x = (mouths / 255 - 0.413621) / 0.1700239
    x = plain.convolve(
        np.pad(x, [(0, 0), (1, 1), (1, 1), (1, 1), (0, 0)]), weights["video.frontend3D.0"][0], (1, 2, 2), "valid"
    )
    x = plain.relu(plain.normalize(x, weights["video.frontend3D.1"], 1e-5)).reshape(58, 12, 12, 2)
    x = plain.pool_max(np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), (3, 3), (2, 2))
    for stage, stride in ((1, 1), (2, 2), (3, 2), (4, 2)):
        x = plain.run_residual(x, weights, f"video.resnet34.layer{stage}.0", stride, 1e-5)
    x = x.reshape(2, 29, -1) @ weights["video.resnet34.fc"][0] + weights["video.resnet34.fc"][1]
    seen = run_recurrent(plain.normalize(x, weights["video.resnet34.bnfc"], 1e-5), weights, "video.gru.gru")

    fused = run_recurrent(np.concatenate([heard, seen], axis=-1), weights, "fusion.gru")
    said = {"audio": (heard, "audio.gru.fc"), "video": (seen, "video.gru.fc"), "both": (fused, "fusion.fc")}
    answers = models.by_stream(model)(inputs)
    for name, (features, words) in said.items():
        logits = (features @ weights[words][0] + weights[words][1]).mean(1)
        np.testing.assert_allclose(answers[name], logits, atol=2e-4, err_msg=name)
        assert np.abs(logits[0] - logits[1]).max() > 0.01
    np.testing.assert_allclose(model(inputs), answers["both"], atol=1e-5)


def run_recurrent(x, weights, name):
    for number in range(2):
        x = plain.run_gru_both_ways(x, weights[f"{name}.l{number}"])
    return x
