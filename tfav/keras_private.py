"""Floor 1: all that tfav uses of Keras without Keras promising it. Nothing else in the package touches such names.

Each entry says why no public way will do. `tests/test_keras_private.py` asks each of them for what is expected here; it
passes with Keras 3.10, 3.11, 3.12, 3.13, 3.14 and 3.15.
"""

import keras


def flatten_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layer and all layers inside it. `Model.layers` leaves out what wrappers and layers of one's own hold."""
    return layer._flatten_layers()


def producer(tensor) -> tuple:
    """`(operation, call)` that a symbolic tensor comes from; the call has `input_tensors` and `output_tensors`.

    A layer's public `input` may belong to another graph that it was used in, and operations have none.
    """
    history = tensor._keras_history
    return history.operation, history.operation._inbound_nodes[history.node_index]


def track_variable(layer: keras.layers.Layer, variable: keras.Variable) -> None:
    """Makes a variable a weight of the layer; `add_weight` would give it storage of its own."""
    layer._track_variable(variable)


def application_layers() -> dict[str, type]:
    """Layers by name that `keras.applications` uses and keeps to itself; old files hold them."""
    from keras.src.applications import convnext, inception_resnet_v2

    return {
        "CustomScaleLayer": inception_resnet_v2.CustomScaleLayer,
        "LayerScale": convnext.LayerScale,
        "StochasticDepth": convnext.StochasticDepth,
    }


def initial_epoch(model: keras.Model) -> int | None:
    """The epoch that `fit` begins with, whatever its argument says; None leaves it to the argument.

    Keras' own `BackupAndRestore` goes on by it. A callback has no other way to tell `fit` where to begin.
    """
    return model._initial_epoch


def set_initial_epoch(model: keras.Model, epoch: int | None) -> None:
    """Sets what `initial_epoch` gives; Keras keeps it from one `fit` to the next."""
    model._initial_epoch = epoch


def build_all(model: keras.Model, batch) -> None:
    """Builds a compiled model's metrics and optimizer as `fit` does before its first step, for a loop of one's own.

    Args:
        model: Compiled.
        batch: `keras.KerasTensor`s in the structure of a batch.
    """
    model._symbolic_build(data_batch=batch)


def call_for_training(model: keras.Model, inputs):
    """The model's outputs as Keras' `train_step` asks for them; a model of one's own may take no `training`."""
    return model(inputs, training=True) if model._call_has_training_arg else model(inputs)


def count_loss(model: keras.Model, loss, count) -> None:
    """Adds a batch's mean loss to the metric "loss"; only Keras' own `train_step` does so otherwise."""
    model._loss_tracker.update_state(loss, sample_weight=count)


def moving_averages(optimizer: keras.optimizers.Optimizer) -> list[tuple[keras.Variable, keras.Variable]]:
    """Each weight of a built optimizer with `use_ema`, and its average. Publicly it only takes the average for good."""
    return list(zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True))


def variable_index(optimizer: keras.optimizers.Optimizer, variable) -> int:
    """Its place in the optimizer. `update_step` is given TensorFlow's variable, which equals no other."""
    return optimizer._get_variable_index(variable)
