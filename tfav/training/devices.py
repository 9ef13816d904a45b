"""Where a model is trained: all visible GPUs, one CPU, or logical CPUs to try the mirrored path without a GPU."""

import contextlib
import functools
import re
from collections.abc import Iterator

import tensorflow as tf

from tfav.data.cluster import cluster_info
from tfav.errors import UsageError


@contextlib.contextmanager
def strategy(devices: str | None = None) -> Iterator[tf.distribute.Strategy]:
    """Enters the scope in which a model must be built and compiled to be trained on `devices`.

    Args:
        devices: `None` for all visible GPUs, or one CPU where there are none; `"cpu"`; `"gpu"`; `"gpu:2"` for the first
            two GPUs; `"cpu:2"` for two logical CPUs, which must be asked for before TensorFlow starts its devices.

    Yields:
        The strategy: MultiWorkerMirroredStrategy where `TF_CONFIG` names several machines, MirroredStrategy over
        several devices, the default strategy on one.

    Raises:
        UsageError: The devices do not exist.
    """
    chosen = _devices(devices)
    if cluster_info().count > 1:
        machines = _machines(chosen[0][:3])
        with machines.scope():
            yield machines
        return
    if len(chosen) == 1:
        # One device needs no mirroring; its bookkeeping costs a few per cent of every step.
        with tf.device(chosen[0]):
            yield tf.distribute.get_strategy()
        return
    # NCCL does not exist for CPUs, and hierarchical copy is what MirroredStrategy itself takes there.
    reduction = tf.distribute.HierarchicalCopyAllReduce() if "CPU" in chosen[0] else None
    mirrored = tf.distribute.MirroredStrategy(chosen, cross_device_ops=reduction)
    with mirrored.scope():
        yield mirrored


def prepare_devices(devices: str | None) -> None:
    """Sets TensorFlow's devices up without entering a scope; to be called before anything else uses TensorFlow.

    Where `TF_CONFIG` names several machines, waits until all of them have come so far.

    Raises:
        UsageError: The devices do not exist.
    """
    chosen = _devices(devices)
    if cluster_info().count > 1:
        _machines(chosen[0][:3])


@functools.lru_cache(maxsize=1)
def _machines(kind: str) -> tf.distribute.Strategy:
    if kind == "CPU" and tf.config.list_physical_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:  # its servers come up with TensorFlow's devices or not at all
        raise UsageError(
            "training on several machines must be asked for before TensorFlow is used: enter tfav.strategy() first."
        ) from error


def _devices(devices: str | None) -> list[str]:
    match = re.fullmatch(r"(cpu|gpu)(?::(\d+))?", (devices or "").lower())
    if devices and not match:
        raise UsageError(f"unknown devices {devices!r}. Examples: cpu, cpu:2, gpu, gpu:2.")
    gpus = tf.config.list_physical_devices("GPU")
    kind = match[1] if match else ("gpu" if gpus else "cpu")
    count = int(match[2]) if match and match[2] else None
    if count == 0:
        raise UsageError(f"{devices} asks for no device at all.")
    if kind == "gpu":
        if len(gpus) < (count or 1):
            raise UsageError(f"{devices} asks for {count or 1} GPU, TensorFlow sees {len(gpus)}. See tfav doctor.")
        _grow_memory(gpus)
        return [f"GPU:{index}" for index in range(count or len(gpus))]
    _split_cpu(count or 1)
    return [f"CPU:{index}" for index in range(count or 1)]


def _grow_memory(gpus) -> None:
    # Otherwise TensorFlow takes all memory of every card at once, and a second notebook gets none.
    for gpu in gpus:
        # Too late once the devices run, and harmless then: whoever started them has chosen already.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)


def _split_cpu(count: int) -> None:
    if count == 1:
        return
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        if len(tf.config.get_logical_device_configuration(cpu) or []) < count:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise UsageError(
            f"cpu:{count} must be asked for before TensorFlow is used. Start a new process or restart the notebook."
        ) from error
