"""Training on several machines: Keras' `fit` as a loop over `strategy.run`, since its own breaks there.

Under MultiWorkerMirroredStrategy, Keras 3.15 takes the mean of values that are each machine's own as if they were on
one: first of the batch it builds the model with, then of each step's metrics. What is here keeps to Keras'
`train_step`, `test_step`, callbacks and metrics, and is to go when `tests/training/test_multi_worker.py` finds that
`fit` works.

Every machine runs all callbacks, each in a run folder of its own, since metrics and optimizers are read together; the
first machine's folder is the run's (`own_folder`). When training begins, all take over the first one's state.
"""

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfav import keras_private
from tfav.data.cluster import cluster_info
from tfav.errors import DataError, TfavError
from tfav.training.resume import BackupAndRestore

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


def is_needed(model: keras.Model, accumulate: int = 1) -> bool:
    """Whether Keras' own `fit` cannot train this model: on several machines, or accumulating on several devices."""
    return cluster_info().count > 1 or (accumulate > 1 and model.distribute_strategy.num_replicas_in_sync > 1)


def own_folder(run_dir: Path | str) -> Path:
    """The run folder of this machine: the given one on the first, on others one that is hidden in it."""
    index = cluster_info().index
    return Path(run_dir) / f".worker-{index}" if index else Path(run_dir)


def broadcast_from_chief(model: keras.Model, answer: bool) -> bool:
    """The first machine's answer, on all: one of them may have been killed before it wrote down what the others did."""
    if cluster_info().count == 1:
        return answer
    (first,) = _from_first(model.distribute_strategy, [np.array([answer])])
    return bool(first[0])


def fit(
    model: keras.Model,
    train: tf.data.Dataset,
    val: tf.data.Dataset | None,
    *,
    epochs: int,
    callbacks: list,
    verbose: int = 2,
    accumulate: int = 1,
) -> None:
    """Does what `model.fit` does, on all machines that `TF_CONFIG` names and all devices of each.

    Args:
        model: Built and compiled inside `tfav.strategy()`.
        train: Batches of one epoch, over all machines together, or as `pipeline.for_training` gives them there, this
            one's share. What a batch has beyond a multiple of the devices is left out.
        val: Batches to validate on; the machines divide them.
        epochs: In total.
        callbacks: As for `model.fit`; the last one may bring back a state.
        verbose: As for `model.fit`.
        accumulate: Batches whose gradients make one step of the optimizer, their mean.

    Raises:
        DataError: There is not one whole batch.
        TfavError: Another machine has gone.
    """
    strategy, here = model.distribute_strategy, cluster_info()
    if train.options().experimental_distribute.auto_shard_policy != tf.data.experimental.AutoShardPolicy.OFF:
        train = train.map(_share_of(here)).prefetch(tf.data.AUTOTUNE)
    if val is not None:
        val = val.shard(here.count, here.index)
    try:
        with strategy.scope():
            keras_private.build_all(model, keras.tree.map_structure(_symbol, train.element_spec))
        _predict_here(model)
        all_callbacks = keras.callbacks.CallbackList(
            callbacks, add_history=True, add_progbar=verbose != 0, verbose=verbose, epochs=epochs, model=model
        )
        model.stop_training = False
        all_callbacks.on_train_begin()
        _follow_first(strategy, model, callbacks)
        train_step = _accumulating_step(model, accumulate) if accumulate > 1 else _step(model, model.train_step)
        test_step = _step(model, model.test_step)
        for epoch in range(keras_private.initial_epoch(model) or 0, epochs):
            logs = _epoch(model, train, val, all_callbacks, epoch, train_step, test_step)
            all_callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        all_callbacks.on_train_end()
    except _LOST as error:
        if here.count == 1:
            raise
        reason = " ".join(str(error).split())[:150]
        raise TfavError(
            f"another machine of this training has gone ({reason}). Start all of them again with the same command; "
            "they go on from the last epoch."
        ) from error


def _epoch(model, train, val, callbacks, epoch, train_step, test_step) -> dict:
    model.reset_metrics()
    callbacks.on_epoch_begin(epoch)
    steps = 0
    for batch in train:
        if size := _size(batch) // _local_devices(model) * _local_devices(model):
            callbacks.on_train_batch_begin(steps)
            train_step(_spread(model, batch, size))
            callbacks.on_train_batch_end(steps, {})
            steps += 1
    if not steps:
        raise DataError("there is not one batch with an example for every device. Lower batch_size, or use fewer.")
    logs = _results(model)
    if val is not None:
        model.reset_metrics()
        callbacks.on_test_begin()
        for step, batch in enumerate(val):
            callbacks.on_test_batch_begin(step)
            test_step(_spread(model, batch, _size(batch)))
            callbacks.on_test_batch_end(step, {})
        results = _results(model)
        callbacks.on_test_end(results)
        logs |= {f"val_{name}": value for name, value in results.items()}
    return logs


def _step(model: keras.Model, step):
    strategy = model.distribute_strategy

    def step_if_any(batch):
        # Where validation's last batch has fewer examples than this machine has devices, some get none.
        tf.cond(tf.convert_to_tensor(_size(batch) > 0), lambda: tf.group(*tf.nest.flatten(step(batch))), tf.no_op)

    alone = _local_devices(model) == 1

    @tf.function(reduce_retracing=True, autograph=False)
    def run(batch):
        # A collective reduction may not stand in a branch, and a batch for training always has examples.
        strategy.run(step if alone or step == model.train_step else step_if_any, args=(batch,))

    return run


def _accumulating_step(model: keras.Model, accumulate: int):
    """A step that adds its gradients up, and updates the weights at every so many calls."""
    strategy, optimizer = model.distribute_strategy, model.optimizer
    with strategy.scope():
        sums = [
            # Each device has a sum of its own; the optimizer adds up over the devices when it is used.
            tf.Variable(
                tf.zeros(variable.shape, variable.dtype),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for variable in model.trainable_variables
        ]

    def add(batch):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        with tf.GradientTape() as tape:
            y_pred = keras_private.call_for_training(model, x)
            loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight, training=True)
            # As in Keras' train_step: the loss comes divided by the number of devices, the metric is not.
            whole = loss * tf.cast(strategy.num_replicas_in_sync, loss.dtype)
            keras_private.count_loss(model, whole, _size(batch))
            loss = optimizer.scale_loss(loss)
        gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        for total, gradient in zip(sums, gradients, strict=True):
            if gradient is not None:
                total.assign_add(tf.convert_to_tensor(gradient))
        model.compute_metrics(x, y, y_pred, sample_weight=weight)

    def apply():
        optimizer.apply([total / accumulate for total in sums], model.trainable_variables)
        for total in sums:
            total.assign(tf.zeros_like(total))

    @tf.function(reduce_retracing=True, autograph=False)
    def run_add(batch):
        strategy.run(add, args=(batch,))

    @tf.function(autograph=False)
    def run_apply():
        strategy.run(apply)

    calls = 0

    def run(batch):
        nonlocal calls
        calls += 1
        run_add(batch)
        if calls % accumulate == 0:
            run_apply()

    return run


def _share_of(here):
    """Cuts a machine's share out of a batch for all."""

    def share(*batch):
        count = _size(batch) // here.count
        parts = tf.nest.map_structure(lambda tensor: tensor[here.index * count : (here.index + 1) * count], batch)
        return parts[0] if len(parts) == 1 else parts

    return share


def _spread(model: keras.Model, batch, size: int):
    """The first `size` examples, spread over this machine's devices."""
    devices = _local_devices(model)
    if devices == 1:
        return batch
    bounds = np.linspace(0, size, devices + 1).round().astype(int)
    strategy = model.distribute_strategy
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.nest.map_structure(
            lambda tensor: tensor[slice(*bounds[context.replica_id_in_sync_group % devices :][:2])], batch
        )
    )


def _local_devices(model: keras.Model) -> int:
    return model.distribute_strategy.num_replicas_in_sync // cluster_info().count


def _size(batch):
    """Examples of a batch: a number, or where that is not known yet, a tensor."""
    tensor = tf.nest.flatten(batch)[0]
    return int(tensor.shape[0]) if tensor.shape[0] is not None else tf.shape(tensor)[0]


def _symbol(spec: tf.TensorSpec) -> keras.KerasTensor:
    return keras.KerasTensor(tuple(spec.shape), spec.dtype.name)


def _results(model: keras.Model) -> dict[str, float]:
    # Read by all machines together: each holds what it has counted itself.
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _predict_here(model: keras.Model) -> None:
    """Lets `predict_on_batch`, which callbacks use, be done by each machine on its own."""
    step = tf.function(model.predict_step, reduce_retracing=True, autograph=False)
    model.predict_function = lambda data: step(data[0])


def _follow_first(strategy, model: keras.Model, callbacks: list) -> None:
    """Gives all machines the epoch, weights and callbacks' memory of the first one, whatever they have found."""
    if cluster_info().count == 1:
        return
    memory = {"epoch": keras_private.initial_epoch(model) or 0, "callbacks": {}}
    keepers = [callback for callback in callbacks if isinstance(callback, BackupAndRestore)]
    for keeper in keepers:
        memory["callbacks"] |= keeper.memory()
    text = np.frombuffer(json.dumps(memory).encode(), np.uint8).astype(np.int64)
    (length,) = _from_first(strategy, [np.array([len(text)])])
    (text,) = _from_first(strategy, [np.resize(text, int(length[0]))])
    memory = json.loads(bytes(text.astype(np.uint8)))
    keras_private.set_initial_epoch(model, memory["epoch"])
    for keeper in keepers:
        keeper.remember(memory["callbacks"])
    variables = [*model.variables, *model.optimizer.variables]
    values = _from_first(strategy, [keras.ops.convert_to_numpy(variable) for variable in variables])
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value.astype(variable.dtype))


def _from_first(strategy, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The first machine's values of these arrays, which are of the same shapes on all."""
    # Reductions know few types; every float32 and every whole number below 2**53 is a float64.
    values = [tf.constant(array.astype(np.float64)) for array in arrays]

    @tf.function(autograph=False)
    def share(values):
        def of_first(values):
            context = tf.distribute.get_replica_context()
            is_first = tf.equal(context.replica_id_in_sync_group, 0)
            # Not a product with 0: another machine may hold what is not finite.
            return context.all_reduce("SUM", [tf.where(is_first, value, tf.zeros_like(value)) for value in values])

        return strategy.run(of_first, args=(values,))

    return [strategy.experimental_local_results(value)[0].numpy() for value in share(values)]
