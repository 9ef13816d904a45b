"""What a model computes for one example, and what the machine computes at its best."""

import math
import time

import keras


def forward_flops(model: keras.Model) -> int | None:
    """Multiplications and additions of one example in layers that learn: convolutions, dense and recurrent ones.

    Returns:
        Their number, by the shapes that one example has in the model; None where a layer with matrices is of a kind
        that is not known here.
    """
    layers = [layer for layer in model.layers if _matrices(layer)]
    if not layers:
        return 0
    one = keras.tree.map_structure(lambda x: keras.KerasTensor((1, *x.shape[1:]), x.dtype), model.input)
    outputs = keras.Model(model.input, [keras.tree.flatten(layer.output)[0] for layer in layers])(one)
    counts = [_layer_flops(layer, output.shape) for layer, output in zip(layers, outputs, strict=True)]
    return None if None in counts else sum(counts)


def matrix_peak(dtype: str, size: int = 2048) -> float:
    """The machine's matrix product, multiplications and additions a second, fastest of seven."""
    import tensorflow as tf

    a = tf.cast(tf.random.normal((size, size)), dtype)
    tf.matmul(a, a)
    seconds = []
    for _ in range(7):
        started = time.perf_counter()
        tf.matmul(a, a).numpy()
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)


def _matrices(layer) -> list:
    return [weight for weight in layer.trainable_weights if len(weight.shape) > 1]


def _layer_flops(layer, shape) -> int | None:
    """Of a layer whose output for one example has this shape; its first dimension is more than 1 where frames are
    taken as examples."""
    if isinstance(layer, keras.Model):
        return _times(shape[0], forward_flops(layer))
    inner = getattr(layer, "model", None) or getattr(layer, "layer", None)
    if isinstance(inner, keras.Model):  # once per frame
        return _times(shape[0] * shape[1], forward_flops(inner))
    name = type(layer).__name__.lower()
    if "convlstm" in name or "forecast" in name:
        return None
    if "conv" in name or isinstance(layer, keras.layers.Dense):
        positions = math.prod(shape[:-1])
    elif any(kind in name for kind in ("lstm", "gru", "bidirectional", "rnn")):
        positions = shape[0] * keras.tree.flatten(layer.input)[0].shape[1]
    else:
        return None
    return 2 * positions * sum(math.prod(weight.shape) for weight in _matrices(layer))


def _times(count: int, flops: int | None) -> int | None:
    return None if flops is None else count * flops
