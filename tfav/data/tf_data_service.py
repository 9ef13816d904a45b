"""tf.data service: other machines decode and augment what this one trains on.

    tfav data-service --port 5050                          # a dispatcher, once
    tfav data-service --join grpc://host:5050 --host ME    # a worker, on each machine that is to help
    tfav train SYSTEM ... --data-service grpc://host:5050

Each example comes exactly once per epoch, from whichever worker is free. Order and augmentation are new in every epoch
and do not repeat for a seed. All machines must see the data under the same path.
"""

import contextlib
import contextvars
import re
import threading
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.eager import context as eager_context

from tfav.data.cluster import cluster_info
from tfav.errors import UsageError

_address: contextvars.ContextVar["_Service | None"] = contextvars.ContextVar("data_service", default=None)


class _Service:
    def __init__(self, address: str):
        self.address = address
        self.is_used = False


@contextlib.contextmanager
def through_service(address: str | None) -> Iterator[None]:
    """Lets `pipeline.for_training` inside send its work to a tf.data service; evaluation stays here, in its order.

    Args:
        address: Of the dispatcher, such as `grpc://host:5050`; None: no service.

    Raises:
        UsageError: Not such an address, or several machines train together, which share the data by themselves.
    """
    if address and cluster_info().count > 1:
        raise UsageError("a data service serves one training machine. Leave --data-service out, or TF_CONFIG.")
    if address is not None and not re.fullmatch(r"grpc://[^/\s]+:\d+", address):
        raise UsageError(f"a data service has an address such as grpc://host:5050. Received: {address}")
    token = _address.set(_Service(address) if address else None)
    try:
        yield
    finally:
        _address.reset(token)


def is_wanted() -> bool:
    """Whether `through_service` is in force."""
    return _address.get() is not None


def check_used() -> None:
    """Refuses to train on data that do not go through the service that was asked for.

    Raises:
        UsageError: This pipeline has no part that can go there.
    """
    service = _address.get()
    if service is not None and not service.is_used:
        raise UsageError("these data do not go through a data service. Leave --data-service out.")


def distribute(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same elements, computed by the service's workers: each once per epoch, in any order.

    Raises:
        UsageError: The data set calls Python, which does not travel.
    """
    service = _address.get()
    graph = tf.raw_ops.DatasetToGraphV2(input_dataset=dataset._variant_tensor).numpy()
    if b"PyFunc" in graph or b"GeneratorDataset" in graph:
        raise UsageError("this data set runs Python, which a data service cannot. Prepare shards with tfav prepare.")
    service.is_used = True
    return dataset.apply(
        tf.data.experimental.service.distribute(
            # A worker is given a piece of the source when it has none left, so that all pieces come once.
            processing_mode=tf.data.experimental.service.ShardingPolicy.DYNAMIC,
            service=service.address,
        )
    )


def draw_seed(*_) -> tf.Tensor:
    """`[2]` int64, another one at every call, on every worker and in every epoch, whatever the global seed."""
    # Seeds of 0 and 0 stand for none; the functions of tf.random would put the global seed into the graph, and each
    # worker would start with it anew in each epoch.
    high = tf.constant(2**62, tf.int64)
    shape = tf.constant([2], tf.int32)
    return tf.raw_ops.RandomUniformInt(shape=shape, minval=tf.zeros([], tf.int64), maxval=high, seed=0, seed2=0)


@contextlib.contextmanager
def without_seed() -> Iterator[None]:
    """Takes the global seed away, so that a shuffle made inside has none and is another one in every epoch."""
    seed = eager_context.global_seed()
    tf.random.set_seed(None)
    try:
        yield
    finally:
        tf.random.set_seed(seed)


def run_dispatcher(port: int = 0) -> tf.data.experimental.service.DispatchServer:
    """Starts a dispatcher in this process; `target` is its address, `join` waits for ever.

    Args:
        port: To listen at; 0: any free one.

    Raises:
        UsageError: It is taken.
    """
    config = tf.data.experimental.service.DispatcherConfig(port=port)
    try:
        return tf.data.experimental.service.DispatchServer(config)
    except tf.errors.OpError as error:
        raise UsageError(f"port {port} cannot be listened at. Choose another one.") from error


def run_worker(dispatcher: str, host: str = "localhost", port: int = 0) -> tf.data.experimental.service.WorkerServer:
    """Starts a worker in this process.

    Args:
        dispatcher: Its address, such as `grpc://host:5050`.
        host: Under which the machine that trains reaches this one.
        port: To listen at; 0: any free one.

    Raises:
        UsageError: No dispatcher there, or the port is taken.
    """
    config = tf.data.experimental.service.WorkerConfig(
        dispatcher_address=dispatcher.removeprefix("grpc://"),
        worker_address=f"{host}:{port}" if port else f"{host}:%port%",
        port=port,
    )
    try:
        return tf.data.experimental.service.WorkerServer(config)
    except tf.errors.OpError as error:
        raise UsageError(f"{dispatcher}: no dispatcher answers there, or port {port} is taken.") from error


def serve(server: tf.data.experimental.service.DispatchServer | tf.data.experimental.service.WorkerServer) -> None:
    """Keeps a server running until the process is stopped; TensorFlow's own `join` does not hear Ctrl-C."""
    stopped = threading.Event()
    with contextlib.suppress(KeyboardInterrupt):
        stopped.wait()
    del server
