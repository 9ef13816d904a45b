"""Losses against TensorFlow's own with explicit lengths, and over replicas; the metric against jiwer."""

import subprocess
import sys

import jiwer
import numpy as np
import pytest
import tensorflow as tf

from tfav.speech.tokenizer import TOKENIZERS
from tfav.systems.lipnet import decoding
from tfav.systems.lipnet.losses import CharacterErrorRate, CTCLoss, SoundLoss, WordLoss
from tfav.systems.lipnet.model import BlankInPadding


def batch(symbols, seed=0):
    rng = np.random.default_rng(seed)
    texts, counts = ["bin b", "aa", "noon"], np.array([12, 9, 7], np.int32)
    labels = np.full((3, 8), symbols.blank, np.int32)
    for row, text in zip(labels, texts, strict=True):
        row[: len(text)] = symbols.encode(text)
    logits = rng.normal(0, 2, (3, 12, symbols.num_classes)).astype(np.float32)
    if symbols.first:
        logits[..., [k for k in range(symbols.first) if k != symbols.blank]] = -20  # classes that are no symbol
    return texts, counts, labels, logits


@pytest.mark.parametrize("name", TOKENIZERS)
def test_ctc_is_tensorflows_with_true_lengths(name):
    symbols = TOKENIZERS[name]
    _, counts, labels, logits = batch(symbols)
    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        losses = CTCLoss(symbols.blank, reduction=None)(labels, BlankInPadding(symbols.blank)(logits, counts))
    gradients = tape.gradient(losses, logits).numpy()
    # The other one of TensorFlow's two ways: a loop, for dense labels.
    lengths = (labels != symbols.blank).sum(axis=-1)
    with tf.GradientTape() as tape:
        options = {"logits_time_major": False, "blank_index": symbols.blank}
        expected = tf.nn.ctc_loss(labels, logits, lengths, counts, **options)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(gradients, tape.gradient(expected, logits), atol=1e-4)
    assert (gradients[2, 7:] == 0).all()


def test_a_label_that_does_not_fit_teaches_nothing():
    symbols = TOKENIZERS["compact"]
    _, _, labels, logits = batch(symbols)
    labels[1] = symbols.encode("a" * 8)  # eight alike need fifteen frames, and there are twelve
    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        losses = CTCLoss(symbols.blank, reduction=None)(labels, logits)
    gradients = tape.gradient(losses, logits).numpy()
    assert np.isfinite(losses).tolist() == [True, False, True]
    assert (gradients[1] == 0).all() and (gradients[0] != 0).any() and np.isfinite(gradients).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="Not enough time"):
        CTCLoss(symbols.blank)(labels, logits[:, :6])


def test_word_loss_leaves_out_what_is_unknown():
    logits = np.random.default_rng(0).normal(size=(2, 4, 52)).astype(np.float32)
    labels = np.array([[0, 3, -1, -1], [-1] * 4])
    expected = -decoding.log_softmax(logits)[0, [0, 1], [0, 3]].mean()
    losses = WordLoss(reduction=None)(labels, logits)
    np.testing.assert_allclose(losses, [expected, 0.0], atol=1e-6)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_metric_is_jiwers(name):
    symbols = TOKENIZERS[name]
    texts, counts, labels, logits = batch(symbols)
    metric = CharacterErrorRate(symbols.blank)
    # jiwer strips spaces at the ends, and what stands for no symbol has no text.
    silent = {int(symbols.encode(" ")[0]), 0} - {symbols.blank}
    logits[..., sorted(silent)] = -1e4
    logits = np.asarray(BlankInPadding(symbols.blank)(logits, counts))
    metric.update_state(labels[:2], logits[:2])
    metric.update_state(labels[2:], logits[2:])
    read = [decoding.greedy(row[:count], symbols) for row, count in zip(logits, counts, strict=True)]
    assert float(metric.result()) == pytest.approx(jiwer.cer(texts, read))


_MIRRORED = """
import sys
import numpy as np, tensorflow as tf, keras, tfav
from tfav.training.devices import prepare_devices, strategy
from tfav.systems.lipnet import Config, build_model, compile_args
prepare_devices("cpu:2")
config = Config.preset("demo", filters=(2, 2, 2), rnn_units=3, crop_size=(16, 16),
                       num_frames=12, batch_size=4, optimizer=sys.argv[1])
rng = np.random.default_rng(0)
frames = rng.normal(size=(4, 12, 16, 16, 1)).astype("float32")
labels = np.zeros((4, 40), "int32"); labels[:, :3] = [[2, 9, 14]] * 4; labels[1, 1:] = 0
data = ({"frames": frames, "frame_count": np.array([12, 12, 9, 7], "int32")},
        {"labels": labels, "words": rng.integers(-1, 52, (4, 12))})
losses = []
for devices in ("cpu", "cpu:2"):
    with strategy(devices):
        keras.utils.set_random_seed(0)
        model = build_model(config)
        for layer in model.layers:
            if layer.name.startswith("norm"):
                layer.trainable = False  # statistics are each replica's own
        model.compile(**compile_args(config))
    rows = tf.data.Dataset.from_tensor_slices(data).batch(4).repeat(3)
    losses.append(model.fit(rows, steps_per_epoch=3, verbose=0).history["loss"][0])
print(losses)
assert abs(losses[0] - losses[1]) < 1e-3 * losses[0], losses
"""


@pytest.mark.parametrize("optimizer", [pytest.param("adamw", marks=pytest.mark.slow), "muon"])
def test_two_replicas_give_the_same_losses(optimizer):
    done = subprocess.run([sys.executable, "-c", _MIRRORED, optimizer], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_sound_counts_where_it_is_known():
    told = tf.Variable([[[1.0, 2.0], [3.0, 5.0]], [[1.0, 1.0], [1.0, 1.0]]])
    heard = np.array([[[0, 4], [np.nan, np.nan]], np.full((2, 2), np.nan)], np.float32)
    with tf.GradientTape() as tape:
        losses = SoundLoss(reduction=None)(heard, told)
    np.testing.assert_allclose(losses, [(1 + 4) / 2, 0])
    np.testing.assert_allclose(tape.gradient(losses, told), [[[1, -2], [0, 0]], np.zeros((2, 2))])
