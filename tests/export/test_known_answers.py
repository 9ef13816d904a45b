"""What is exported against the run's network fed by hand: scaling, colours, channels, the middle of a picture.

`serve` is compared with the stored network and NumPy alone, since export itself compares `serve` with its own copy.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.export.made_runs import OTHERS, SMALL, make_run
from tfav import systems
from tfav.systems import two_stream
from tfav.systems.av_words.model import by_stream
from tfav.systems.next_frame import Config as NextFrameConfig
from tfav.training import run_folder
from tfav.training.run_folder import open_run

KINDS = {name: (name, fields) for name, fields in SMALL.items()} | OTHERS
LRW_MEAN, LRW_DEVIATION = 0.413621, 0.1700239  # of the authors' code
RANDOM = np.random.default_rng(0)
_SERVE = {}  # by run folder, since opening one takes seconds


@pytest.fixture(scope="module")
def stirred(tmp_path_factory):
    """A function from a name of `KINDS` to its run and its network, with weights to which every pixel matters."""
    made = {}

    def find(name, **fields):
        key = (name, *fields.items())
        if key not in made:
            system, settings = KINDS[name]
            run_dir = make_run(
                tmp_path_factory.mktemp("run") / "run", system, settings | {"precision": "float32"} | fields
            )
            model = keras.saving.load_model(run_dir / "best.keras", compile=False)
            rng = np.random.default_rng(1)
            for weight in model.weights:
                if "var" in weight.path.rpartition("/")[2]:
                    weight.assign(rng.uniform(0.5, 2, weight.shape))
                elif "seed" not in weight.path:
                    weight.assign(weight.numpy() + rng.normal(0, 0.1, weight.shape))
            model.save(run_dir / "best.keras")
            model = by_stream(model) if system == "av_words" else model
            made[key] = run_dir, model
        return made[key]

    return find


def served(system, run_dir, **inputs):
    if run_dir not in _SERVE:
        _SERVE[run_dir] = systems.load(system).export(run_dir).serve
    answers = _SERVE[run_dir](**{key: tf.constant(value) for key, value in inputs.items()})
    return {key: np.asarray(value) for key, value in answers.items()}


def pictures(*shape):
    """Every colour has a brightness of its own, so that no two may be exchanged."""
    made = RANDOM.integers(0, 256, shape)
    return np.clip(made * np.linspace(0.3, 1, shape[-1]), 0, 255).astype(np.uint8)


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def check(found, expected, *others, atol=2e-5):
    """That an answer is the expected one, which none of some wrong ones is."""
    np.testing.assert_allclose(found, expected, atol=atol)
    for other in others:
        assert np.abs(np.asarray(other) - expected).max() > 20 * atol


def test_cnn_lstm(stirred):
    run_dir, model = stirred("cnn_lstm")
    frames = pictures(2, 4, 32, 32, 3)

    def ask(clip):
        return model({"clip": clip, "mask": np.ones((2, 4), np.float32)}, training=False).numpy()

    found = served("cnn_lstm", run_dir, frames=frames)["class"]
    check(found, ask(frames), ask(frames[..., ::-1]), ask(frames[:, ::-1]), ask(frames // 2))
    # Of twice as many the first, the last and those evenly between; of double size the mean of each two by two.
    many = pictures(2, 10, 32, 32, 3)
    check(served("cnn_lstm", run_dir, frames=many)["class"], ask(many[:, [0, 3, 6, 9]]))


@pytest.mark.parametrize(("stream", "name", "channels"), [("spatial", "frames", 3), ("motion", "flow", 10)])
def test_two_stream(stirred, stream, name, channels):
    run_dir, model = stirred("two_stream", stream=stream)
    shown = pictures(2, 32, 32, channels)

    def ask(pixels):
        return model(pixels.astype(np.float32), training=False).numpy()

    found = served("two_stream", run_dir, **{name: shown})["class"]
    check(found, ask(shown / 255), ask(shown), ask(shown[..., ::-1] / 255), ask(shown / 127.5 - 1))


def test_two_streams_fused(stirred, tmp_path):
    """Samples go through both networks, what their classifiers see, the spatial one's first, to the recurrent one."""
    runs = {kind: stirred("two_stream", stream=kind) for kind in ("spatial", "motion")}
    paths = {kind: str(run_dir) for kind, (run_dir, _) in runs.items()}
    config = two_stream.Config(stream="fusion", num_classes=3, gru_units=4, samples_per_video=3, **paths)
    recurrent = two_stream.build_model(config)
    run_folder.start(tmp_path / "run", "two_stream", config, {"labels": ["left", "right", "up"]})
    recurrent.save(tmp_path / "run" / "best.keras")
    frames, flow = pictures(2, 3, 32, 32, 3), pictures(2, 3, 32, 32, 10)

    def ask(frames, flow):
        entering = []
        for kind, shown in (("spatial", frames), ("motion", flow)):
            _, model = runs[kind]
            inner = keras.Model(model.input, model.layers[-1].input)
            entering.append(inner(shown.reshape(6, *shown.shape[2:]) / np.float32(255)).numpy().reshape(2, 3, -1))
        return recurrent(np.concatenate(entering, -1)).numpy()

    found = served("two_stream", tmp_path / "run", frames=frames, flow=flow)["class"]
    check(found, ask(frames, flow), ask(frames[::-1], flow), ask(frames, flow[:, ::-1]), ask(frames // 2, flow))


@pytest.mark.parametrize("name", ["next_frame", "next_frame, notebook", "next_frame, motion"])
def test_next_frame(stirred, name):
    run_dir, model = stirred(name)
    config = open_run(run_dir, "next_frame", NextFrameConfig)[1]
    seen = pictures(1, config.input_frames, config.image_size, config.image_size, 1)
    found = served("next_frame", run_dir, frames=seen)["next_frames"]
    known = seen.astype(np.float32) / 255
    size = known.shape[1]
    if config.model == "notebook":  # the whole sequence again for each new frame
        for _ in range(2):
            known = np.concatenate([known, model.predict(known, verbose=0)[:, -1:]], axis=1)
        expected = known[:, size:]
    else:
        expected = model.predict(known, verbose=0)[:, size - 1 :][:, :2]
    assert found.shape[1] == config.output_frames
    check(found[:, :2], np.clip(expected, 0, 1), seen[:, -2:] / 255, atol=1e-4)


def test_lipnet(stirred):
    run_dir, model = stirred("lipnet")
    mouths, counts = pictures(2, 12, 16, 32, 1), np.array([12, 7], np.int32)

    def ask(pixels):
        frames = np.zeros(pixels.shape, np.float32)
        for row, (clip, count) in enumerate(zip(pixels, counts, strict=True)):
            real = clip[:count].astype(np.float64)
            frames[row, :count] = (real - real.mean()) / np.sqrt(real.var() + 1)
        answer = model({"frames": frames, "frame_count": counts}, training=False)
        return {name: softmax(np.asarray(logits)) for name, logits in answer.items()}

    found, expected = served("lipnet", run_dir, mouths=mouths, frame_count=counts), ask(mouths)
    for name in ("labels", "words"):
        for row, count in enumerate(counts):
            check(found[name][row, :count], expected[name][row, :count], ask(255 - mouths)[name][row, :count])
    larger = np.zeros((2, 12, 20, 40, 1), np.uint8)
    larger[:, :, 2:18, 4:36] = mouths  # the middle is cut out
    again = served("lipnet", run_dir, mouths=larger, frame_count=counts)
    np.testing.assert_allclose(again["labels"], found["labels"], atol=1e-6)


@pytest.mark.parametrize("normalize", ["clip", "lrw"])
def test_av_words(stirred, normalize):
    run_dir, model = stirred("av_words", normalize=normalize)
    config = systems.load("av_words").Config.preset("demo", num_classes=3)
    mouths = pictures(1, config.num_frames, *config.crop_size, 1)
    samples = RANDOM.normal(0.02, 0.1, (1, config.num_samples)).astype(np.float32)

    def ask(pixels, waveform):
        pixels = pixels.astype(np.float64)
        if normalize == "lrw":
            frames = (pixels / 255 - LRW_MEAN) / LRW_DEVIATION
        else:
            frames = np.stack([(clip - clip.mean()) / np.sqrt(clip.var() + 1) for clip in pixels])
        sound = np.stack([(row - row.mean()) / row.std() for row in waveform.astype(np.float64)])
        logits = model({"frames": frames.astype(np.float32), "waveform": sound.astype(np.float32)}, training=False)
        logits = {key: np.asarray(value, np.float64) for key, value in logits.items()}
        return {key: softmax(value.mean(1) if value.ndim == 3 else value) for key, value in logits.items()}

    found = served("av_words", run_dir, mouths=mouths, samples=samples)
    expected, other = ask(mouths, samples), ask(255 - mouths, samples[:, ::-1])
    for key in ("both", "audio", "video"):
        check(found[key], expected[key], other[key])
    louder = served("av_words", run_dir, mouths=mouths, samples=3 * samples + 0.1)
    np.testing.assert_allclose(louder["audio"], found["audio"], atol=1e-4)
