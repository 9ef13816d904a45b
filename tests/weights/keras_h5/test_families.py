"""Every family of layers, written by tf_keras and opened by tfav: same outputs, and again after a conversion."""

import keras
import numpy as np
import pytest

from tfav.weights.keras_h5.loader import convert, load_legacy_model

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

IMAGE = (12, 12, 3)
SEQUENCE = (6, 5)
CLIP = (4, 8, 8, 2)
VOLUME = (6, 6, 6, 2)


def _chain(*layers, shape):
    def build(k):
        return k.Sequential([k.layers.Input(shape), *[layer(k.layers) for layer in layers]])

    return build


def _image(*layers):
    return _chain(*layers, shape=IMAGE)


def _sequence(*layers):
    return _chain(*layers, shape=SEQUENCE)


def _nested(k):
    backbone = k.Sequential(
        [k.layers.Input(IMAGE), k.layers.Conv2D(4, 3, name="c1"), k.layers.BatchNormalization(name="b1")],
        name="backbone",
    )
    backbone.get_layer("c1").trainable = False  # moves its weights behind the trainable ones in the file
    inner = k.Model(backbone.input, k.layers.GlobalAveragePooling2D()(backbone(backbone.input)), name="inner")
    inputs = k.Input(IMAGE)
    return k.Model(inputs, k.layers.Dense(3, activation="softmax")(inner(inputs)))


def _shared(k):
    a, b = k.Input((5,), name="a"), k.Input((5,), name="b")
    tower = k.Sequential([k.layers.Dense(4, activation="tanh"), k.layers.BatchNormalization()], name="tower")
    dense = k.layers.Dense(3, name="dense")
    left, right = dense(tower(a)), dense(tower(b))
    merged = [k.layers.Add()([left, right]), k.layers.Subtract()([left, right]), k.layers.Multiply()([left, right])]
    merged += [k.layers.Maximum()([left, right]), k.layers.Average()([left, right]), k.layers.Minimum()([left, right])]
    dot = k.layers.Dot(axes=1, normalize=True)([left, right])
    return k.Model([a, b], [k.layers.Concatenate()(merged), dot])


def _encoder_decoder(k):
    source, target = k.Input(SEQUENCE), k.Input((3, 5))
    _, h, c = k.layers.LSTM(4, return_state=True, name="encoder")(source)
    decoded = k.layers.LSTM(4, return_sequences=True, name="decoder")(target, initial_state=[h, c])
    return k.Model([source, target], k.layers.TimeDistributed(k.layers.Dense(2))(decoded))


def _operations(k):
    import tensorflow as tf

    inputs = k.Input(IMAGE)
    x = k.layers.Conv2D(4, 3)(inputs / 127.5 - 1.0)
    x = k.layers.Multiply(name="multiply")([tf.nn.relu6(2.0 - x) * x, x])  # a layer by the name of an operation
    x = tf.concat([x, tf.square(x)], axis=-1)[:, 1:, ::2]
    x = tf.reduce_mean(x, axis=[1, 2], keepdims=True)
    return k.Model(inputs, tf.math.l2_normalize(tf.squeeze(x, [1, 2]), axis=-1))


def _attention(k):
    inputs = k.Input(SEQUENCE)
    x = k.layers.MultiHeadAttention(2, 3)(inputs, inputs)
    x = k.layers.LayerNormalization()(k.layers.Add()([x, inputs]))
    return k.Model(inputs, k.layers.Attention()([x, inputs]))


def _rnn_cells(k):
    inputs = k.Input(SEQUENCE)
    x = k.layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(4)], return_sequences=True)(inputs)
    return k.Model(inputs, k.layers.RNN(k.layers.SimpleRNNCell(3))(x))


FAMILIES = {
    "dense": _chain(
        lambda L: L.Dense(4, activation="relu", kernel_regularizer="l2", kernel_constraint="max_norm"),
        lambda L: L.Dropout(0.3),
        lambda L: L.Dense(3, activation="hard_sigmoid"),
        shape=(5,),
    ),
    "convolutions": _image(
        lambda L: L.ZeroPadding2D(((1, 0), (0, 1))),
        lambda L: L.Conv2D(4, 3, padding="same", dilation_rate=2, groups=1),
        lambda L: L.Conv2DTranspose(3, 3, strides=2, padding="same"),
        lambda L: L.Cropping2D(2),
        lambda L: L.MaxPooling2D(2),
        lambda L: L.UpSampling2D(2, interpolation="bilinear"),
        lambda L: L.AveragePooling2D(2, padding="same"),
        lambda L: L.Flatten(),
    ),
    "separable": _image(
        lambda L: L.SeparableConv2D(4, 3, depth_multiplier=2),
        lambda L: L.DepthwiseConv2D(3, strides=2),
        lambda L: L.BatchNormalization(axis=3),
        lambda L: L.ReLU(max_value=6.0),
        lambda L: L.GlobalMaxPooling2D(keepdims=True),
    ),
    "channels first": _chain(
        lambda L: L.BatchNormalization(axis=1),
        lambda L: L.ZeroPadding2D(1, data_format="channels_first"),
        lambda L: L.GlobalAveragePooling2D(data_format="channels_first"),
        shape=(3, 8, 8),
    ),
    "1-D": _sequence(
        lambda L: L.Conv1D(4, 3, padding="causal"),
        lambda L: L.SeparableConv1D(4, 2),
        lambda L: L.MaxPooling1D(2),
        lambda L: L.UpSampling1D(2),
        lambda L: L.ZeroPadding1D(1),
        lambda L: L.Conv1DTranspose(2, 3),
        lambda L: L.Cropping1D(1),
        lambda L: L.GlobalAveragePooling1D(),
    ),
    "3-D": _chain(
        lambda L: L.ZeroPadding3D(1),
        lambda L: L.Conv3D(3, 3),
        lambda L: L.MaxPooling3D(2),
        lambda L: L.UpSampling3D(2),
        lambda L: L.Conv3DTranspose(2, 2),
        lambda L: L.GlobalAveragePooling3D(),
        shape=VOLUME,
    ),
    "activations": _chain(
        lambda L: L.LeakyReLU(0.2),
        lambda L: L.PReLU(shared_axes=[1]),
        lambda L: L.ELU(0.7),
        lambda L: L.ThresholdedReLU(0.1),
        lambda L: L.Softmax(axis=1),
        lambda L: L.Activation("swish"),
        lambda L: L.Activation("softsign"),
        shape=(6, 5),
    ),
    "lstm": _sequence(
        lambda L: L.Masking(0.0),
        lambda L: L.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True, unroll=True),
        lambda L: L.SimpleRNN(3, return_sequences=True, go_backwards=True),
        lambda L: L.LSTM(3, implementation=1),
    ),
    "gru": _sequence(
        lambda L: L.GRU(4, reset_after=False, return_sequences=True),
        lambda L: L.GRU(4, reset_after=True, return_sequences=True),
        lambda L: L.GRU(3, use_bias=False),
    ),
    "bidirectional": _sequence(
        lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True, recurrent_activation="hard_sigmoid")),
        lambda L: L.Bidirectional(
            L.GRU(3, return_sequences=True), backward_layer=L.GRU(3, return_sequences=True, go_backwards=True)
        ),
        lambda L: L.Bidirectional(L.GRU(2), merge_mode="sum"),
    ),
    "time distributed": _chain(
        lambda L: L.TimeDistributed(L.Conv2D(3, 3)),
        lambda L: L.TimeDistributed(L.BatchNormalization()),
        lambda L: L.TimeDistributed(L.Flatten()),
        lambda L: L.TimeDistributed(L.Dense(4)),
        lambda L: L.GRU(3),
        shape=CLIP,
    ),
    "convlstm": _chain(
        lambda L: L.ConvLSTM2D(3, 3, padding="same", return_sequences=True),
        lambda L: L.BatchNormalization(),
        lambda L: L.ConvLSTM2D(2, 3, recurrent_activation="sigmoid"),
        shape=CLIP,
    ),
    "embedding": _chain(
        lambda L: L.Embedding(10, 4, mask_zero=True),
        lambda L: L.SpatialDropout1D(0.2),
        lambda L: L.Bidirectional(L.LSTM(3)),
        lambda L: L.RepeatVector(3),
        lambda L: L.Permute((2, 1)),
        lambda L: L.Reshape((9, 2)),
        shape=(7,),
    ),
    "preprocessing": _image(
        lambda L: L.Rescaling(1 / 127.5, offset=-1),
        lambda L: L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
        lambda L: L.RandomFlip("horizontal"),
        lambda L: L.RandomRotation(0.1),
        lambda L: L.Resizing(6, 6),
        lambda L: L.CenterCrop(4, 4),
        lambda L: L.GaussianNoise(0.1),
        lambda L: L.ActivityRegularization(0.1),
    ),
    "adapted normalisation": _image(lambda L: L.Normalization(axis=-1), lambda L: L.Conv2D(2, 3)),
    "nested, partly frozen": _nested,
    "shared layers and merges": _shared,
    "encoder-decoder": _encoder_decoder,
    "tensorflow operations": _operations,
    "attention": _attention,
    "cells": _rnn_cells,
}


def inputs_for(model, seed=1):
    """Random inputs for a model of either Keras: whole numbers for an embedding, else 0-1."""
    random = np.random.default_rng(seed)
    tensors = model.inputs
    has_embedding = any(type(layer).__name__ == "Embedding" for layer in model.layers)
    shapes = [(2, *tensor.shape[1:]) for tensor in tensors]
    if has_embedding:
        return [random.integers(0, 10, shape).astype("float32") for shape in shapes]
    return [random.random(shape, dtype="float32") for shape in shapes]


def outputs_of(model, inputs):
    """Outputs as a list of arrays, dropout off."""
    result = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return [np.asarray(r) for r in (result if isinstance(result, list | tuple) else [result])]


@pytest.mark.parametrize("family", FAMILIES)
def test_family_gives_the_same_outputs_and_survives_conversion(family, tf_keras, write_h5, tmp_path):
    reference = FAMILIES[family](tf_keras)
    path = write_h5(reference)
    inputs = inputs_for(reference)
    expected = outputs_of(reference, inputs)

    model, report = load_legacy_model(path, with_report=True)
    for got, wanted in zip(outputs_of(model, inputs), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert [layer.trainable for layer in model.layers] == [
        layer.trainable for layer in reference.layers if type(layer).__name__ not in ("TFOpLambda", "SlicingOpLambda")
    ] or family in ("tensorflow operations", "nested, partly frozen")
    stored = sum(np.prod(v.shape, dtype=int) for v in reference.weights if "StateVar" not in v.name)
    assert sum(int(np.prod(v.shape)) for v in model.weights) == stored
    assert len(report.translated) >= len(model.weights)

    convert(path, tmp_path / "copy.keras")
    again = keras.models.load_model(tmp_path / "copy.keras")
    for got, wanted in zip(outputs_of(again, inputs), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
