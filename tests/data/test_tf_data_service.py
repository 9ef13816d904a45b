"""A tf.data service of one dispatcher and two workers, each a process of its own: every example once per epoch."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.data.test_shards import made
from tfav.data import pipeline, shards, tf_data_service
from tfav.errors import UsageError

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def address():
    """Of the dispatcher; it and the workers are started by the command that a person would use."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "tfav", "data-service", *arguments],
            cwd=PROJECT,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        return process

    try:
        said = start().stdout.readline()
        address = said.split()[-1]
        assert address.startswith("grpc://localhost:"), said
        for worker in [start("--join", address) for _ in range(2)]:
            assert worker.stdout.readline() == f"worker of {address}\n"
        yield address
    finally:
        for process in started:
            process.kill()
            process.wait()


def with_process(inputs, target, seed):
    """An augmentation that draws, and tells which process did it."""
    process = tf.strings.to_number(tf.strings.split(tf.io.read_file("/proc/self/stat"))[0], tf.int64)
    return inputs, (target, process, tf.random.stateless_uniform([], seed, 0, 10**9, tf.int32))


def epochs_of(dataset, least, both):
    """Names, processes and draws, epoch by epoch: as many as are asked for, and until both workers have taken part."""
    found = []
    while len(found) < least or (both and len(found) < 30 and len({p for epoch in found for _, p, _ in epoch}) < 2):
        rows = [zip(*(value.numpy().tolist() for value in batch[1]), strict=True) for batch in dataset]
        found.append([row for batch in rows for row in batch])
    return found


@pytest.mark.slow  # minutes: three processes of TensorFlow, and epochs until both workers have been seen
def test_shards_come_once_per_epoch_from_two_workers(address, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 2)
    names = [f"c{i:02}" for i in range(25)]
    index = shards.write_shards(tmp_path, names, made)
    decode = shards.decoder(index)
    tf.random.set_seed(7)  # with which a worker would otherwise begin every epoch alike
    with tf_data_service.through_service(address):
        rows = shards.read_rows(index, shards.in_stored_order(index, names), {"number": np.arange(25)}, parallel=2)
        dataset = pipeline.for_training(
            rows,
            lambda row: (decode(row)["frames"], row["id"]),
            batch_size=4,
            augment=with_process,
            cache="memory",
            seed=1,
        )
        tf_data_service.check_used()
    epochs = epochs_of(dataset, 3, both=True)
    wanted = [name.encode() for name in names]
    assert all(sorted(name for name, _, _ in epoch) == wanted for epoch in epochs)
    assert all([name for name, _, _ in epoch] != wanted for epoch in epochs)
    processes = {process for epoch in epochs for _, process, _ in epoch}
    assert len(processes) == 2 and os.getpid() not in processes
    draws = [draw for epoch in epochs for _, _, draw in epoch]
    assert len(set(draws)) > 0.99 * len(draws)
    batch = next(iter(dataset))
    np.testing.assert_array_equal(batch[0][0], made(batch[1][0][0].numpy().decode()).frames)


@pytest.mark.slow
def test_columns_and_several_passes(address):
    with tf_data_service.through_service(address):
        dataset = pipeline.for_training(
            {"x": np.arange(11)}, lambda row: (row["x"], row["x"]), batch_size=4, augment=with_process, passes=2
        )
    for epoch in epochs_of(dataset, 2, both=False):
        assert sorted(x for x, _, _ in epoch) == sorted(2 * list(range(11)))


def test_a_dispatcher_and_a_worker_started_from_python_serve_each_example_once():
    dispatcher = tf_data_service.run_dispatcher()
    worker = tf_data_service.run_worker(dispatcher.target)
    with tf_data_service.through_service(dispatcher.target):
        dataset = pipeline.for_training({"x": np.arange(7)}, lambda row: (row["x"], row["x"]), batch_size=4)
        tf_data_service.check_used()
    assert sorted(np.concatenate([x for x, _ in dataset])) == list(range(7))
    del worker


def test_evaluation_stays_here_and_in_order(tmp_path):
    index = shards.write_shards(tmp_path, ["a", "b", "c"], made)
    with tf_data_service.through_service("grpc://nowhere:1"):
        rows = shards.read_rows(index, shards.in_stored_order(index, ["a", "c"]))
        dataset = pipeline.for_evaluation(rows, lambda row: (row["id"], row["row"]), batch_size=8)
        with pytest.raises(UsageError, match="do not go through a data service"):
            tf_data_service.check_used()
    ((ids, _),) = list(dataset)
    assert ids.numpy().tolist() == [b"a", b"c"]


def test_a_shard_that_ends_too_early_is_noticed(tmp_path):
    index = shards.write_shards(tmp_path, ["a", "b"], made)
    name = next(iter(index.shards))
    longer = index._replace(shards={name: {**index.shards[name], "examples": 3}})
    with (
        pytest.raises(tf.errors.FailedPreconditionError, match="expected"),
        tf_data_service.through_service("grpc://nowhere:1"),
    ):
        list(shards.read_rows(longer, shards.in_stored_order(longer, ["a", "b"])))


def test_what_cannot_go_through_a_service():
    def load(row):
        return tf.numpy_function(lambda x: x, [row["x"]], tf.int64), row["x"]

    with tf_data_service.through_service("grpc://nowhere:1"), pytest.raises(UsageError, match="runs Python"):
        pipeline.for_training({"x": np.arange(4)}, load, batch_size=2)
    with pytest.raises(UsageError, match="an address such as"), tf_data_service.through_service("nowhere:1"):
        pass
