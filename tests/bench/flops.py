"""What a model computes for one example, and what the machine computes at its best."""

import contextlib
import functools
import math
import time
from collections.abc import Iterator

import keras

_RECURRENT = ("lstm", "gru", "bidirectional", "rnn")


def forward_flops(model: keras.Model, example=None) -> int | None:
    """Multiplications and additions of one example in layers that learn: convolutions, dense and recurrent ones.

    Args:
        model: Built.
        example: A batch of one, as the model takes it; None: ones, where the model's input has fixed sizes.

    Returns:
        Their number, counted while the model runs on it; None where a layer with matrices is of a kind that is not
        known here.
    """
    if example is None:
        example = keras.tree.map_structure(lambda x: keras.ops.ones((1, *x.shape[1:]), x.dtype), model.input)
    counts: list[int | None] = []
    with contextlib.ExitStack() as stack:
        for layer in _leaves(model):
            stack.enter_context(_counting(layer, counts))
        model(example)
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


def _leaves(layer) -> Iterator[keras.layers.Layer]:
    """Layers that have matrices themselves, in models within layers too."""
    if isinstance(layer, keras.Model):
        for inner in layer.layers:
            yield from _leaves(inner)
    elif isinstance(getattr(layer, "model", None), keras.Model):  # once per frame, with frames as examples
        yield from _leaves(layer.model)
    elif _matrices(layer):
        inside = [] if _is_recurrent(layer) else layer._flatten_layers(include_self=False, recursive=False)
        if sum(len(_matrices(inner)) for inner in inside) == len(_matrices(layer)):  # called in a loop of Python's
            for inner in inside:
                yield from _leaves(inner)
        else:
            yield layer


def _is_recurrent(layer) -> bool:
    name = type(layer).__name__.lower()
    return any(kind in name for kind in _RECURRENT) and "conv" not in name


@contextlib.contextmanager
def _counting(layer, counts: list):
    """Adds to the counts whatever the layer computes inside of this context."""
    call = layer.call

    @functools.wraps(call)
    def counted(inputs, *args, **kwargs):
        outputs = call(inputs, *args, **kwargs)
        shapes = [tuple(keras.tree.flatten(x)[0].shape) for x in (inputs, outputs)]
        counts.append(_layer_flops(layer, *shapes))
        return outputs

    layer.call = counted
    try:
        yield
    finally:
        del layer.call


def _layer_flops(layer, seen: tuple, given: tuple) -> int | None:
    """Of a layer by the shapes of its input and its output."""
    name = type(layer).__name__.lower()
    if "convlstm" in name or "timedistributed" in name:
        return None
    if isinstance(layer, keras.layers.EinsumDense):  # its bias may have as many axes as a matrix
        return 2 * math.prod(given[:-1]) * math.prod(layer.kernel.shape) if len(layer.kernel.shape) == 2 else None
    if "conv" in name or isinstance(layer, keras.layers.Dense):
        positions = math.prod(given[:-1])
    elif _is_recurrent(layer):
        positions = seen[0] * seen[1]
    else:
        return None
    return 2 * positions * sum(math.prod(weight.shape) for weight in _matrices(layer))
