"""Statistics of batch normalisation that belong to the weights of this moment, for as long as one looks at them."""

import contextlib
from collections.abc import Iterable, Iterator

import keras


@contextlib.contextmanager
def current_statistics(model: keras.Model, batches: Iterable) -> Iterator[None]:
    """Has each batch normalisation go by its mean over some batches, in place of its moving average.

    In the first epochs weights move so fast that moving averages are those of a much younger network. Afterwards all is
    as it was before, random states too.

    Args:
        model: Whose layers, those within other layers left out, are meant.
        batches: What the model is called with, some dozen batches.

    Reference:
        Wu and Johnson, "Rethinking 'batch' in BatchNorm", 2021, section 3.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    kept = [(variable, keras.ops.convert_to_numpy(variable)) for variable in model.non_trainable_variables]
    momenta = [layer.momentum for layer in layers]
    try:
        for number, inputs in enumerate(batches if layers else ()):
            for layer in layers:
                layer.momentum = number / (number + 1)
            model(inputs, training=True)
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for variable, value in kept:
            variable.assign(value)
