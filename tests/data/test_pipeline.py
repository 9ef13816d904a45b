"""The chain: order, completeness, caching, and augmentation that differs from epoch to epoch and repeats for a seed."""

import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfav.data import epoch_order, pipeline
from tfav.errors import DataError, MediaError, UsageError
from tfav.io import images

COLUMNS = {"x": np.arange(10, dtype=np.int32)}


def load(row):
    return {"x": row["x"]}, row["x"]


def numbers(dataset):
    return [int(value) for batch in dataset for value in batch[1]]


def draw(inputs, target, seed):
    return inputs, tf.random.stateless_uniform([], seed, 0, 10**6, tf.int32)


def test_evaluation_is_ordered_and_whole():
    dataset = pipeline.for_evaluation(COLUMNS, load, batch_size=4)
    assert numbers(dataset) == list(range(10)) == numbers(dataset)
    assert [len(batch[1]) for batch in dataset] == [4, 4, 2]


def test_training_sees_all_in_another_order_each_epoch():
    dataset = pipeline.for_training(COLUMNS, load, batch_size=4, passes=2)
    first, second = numbers(dataset), numbers(dataset)
    assert sorted(first[:10]) == sorted(first[10:]) == sorted(second[:10]) == list(range(10))
    assert first[:10] != first[10:] and first != second
    assert numbers(pipeline.for_training(COLUMNS, load, batch_size=4, passes=2)) == first


@pytest.mark.parametrize("batch_wise", [False, True])
def test_augmentation_is_new_each_epoch_even_with_a_global_seed(batch_wise):
    def draw_batch(inputs, target, seed):
        return inputs, tf.random.stateless_uniform(tf.shape(target), seed, 0, 10**6, tf.int32)

    def build(seed):
        tf.random.set_seed(0)  # with it, random operations of a mapped function start anew each epoch
        how = {"augment_batch": draw_batch} if batch_wise else {"augment": draw}
        return pipeline.for_training(COLUMNS, load, batch_size=4, seed=seed, **how)

    dataset = build(1)
    given = [numbers(dataset) for _ in range(3)]
    assert len({value for one in given for value in one}) == 30
    assert [numbers(d) for d in [build(1)] for _ in range(3)] == given
    assert numbers(build(2)) != given[0]


def draw_batch(inputs, target, seed):
    return inputs, target + 100 * tf.random.stateless_uniform(tf.shape(target), seed, 0, 10**4, tf.int32)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"augment": draw},
        {"augment_batch": draw_batch, "cache": "memory"},
        {"augment": draw, "augment_batch": draw_batch, "passes": 2},
        {"augment": draw, "cache": "file"},
        {"rows": True, "augment": draw},
    ],
)
def test_an_epoch_is_the_same_in_every_session(tmp_path, how):
    how = dict(how)
    columns = tf.data.Dataset.from_tensor_slices(COLUMNS) if how.pop("rows", False) else COLUMNS
    if how.get("cache") == "file":
        how["cache"] = str(tmp_path / "cache")

    def build(**changes):
        tf.random.set_seed(int(np.random.default_rng().integers(1000)))  # which has no say
        return pipeline.for_training(columns, load, **{"batch_size": 4, "seed": 7, **how, **changes})

    def told(dataset, epoch, stage=""):
        epoch_order.begin(epoch, stage)
        return numbers(dataset)

    undisturbed = build()
    expected = [told(undisturbed, epoch) for epoch in range(4)]
    assert len({tuple(epoch) for epoch in expected}) == 4
    another = build()
    next(iter(another))  # to look at it shifts nothing
    assert [told(another, epoch) for epoch in (2, 3)] == expected[2:]
    assert told(another, 2) != numbers(another) and told(another, 2) == expected[2]
    assert told(build(seed=8), 2) != expected[2] and told(another, 2, "second stage") != expected[2]
    if "augment" not in how and "augment_batch" not in how:
        assert [sorted(epoch) for epoch in expected] == [list(range(10))] * 4


def test_a_deterministic_tensorflow_leaves_the_chain_its_parallel_calls():
    """It takes them away where a function calls what it counts as stateful, but for a few kinds of data sets."""
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.python.framework import op_def_registry

    dataset = pipeline.for_training(COLUMNS, load, batch_size=4, augment=draw, augment_batch=draw_batch, passes=2)
    graph = GraphDef.FromString(
        tf.raw_ops.DatasetToGraphV2(input_dataset=tf.data.experimental.to_variant(dataset)).numpy()
    )
    called = {node.op for function in graph.library.function for node in function.node_def}
    assert {"ShuffleDataset", "StatelessRandomUniformIntV2"} <= called
    assert {op for op in called if op_def_registry.get(op).is_stateful} <= {"RangeDataset", "TensorSliceDataset"}


def test_cache_loads_once(tmp_path):
    calls = []

    def counted(row):
        def note(x):
            calls.append(int(x))
            return x

        return {"x": row["x"]}, tf.ensure_shape(tf.numpy_function(note, [row["x"]], tf.int32), [])

    for cache, expected in ((None, 20), ("memory", 10), (tmp_path / "cache", 10)):
        calls.clear()
        dataset = pipeline.for_training(COLUMNS, counted, batch_size=4, cache=cache)
        assert sorted(numbers(dataset)) == sorted(numbers(dataset)) == list(range(10))
        assert len(calls) == expected


def test_decoded_frames_are_rgb_resized_and_masked(tmp_path):
    paths = []
    for index, color in enumerate(((255, 0, 0), (0, 0, 255))):  # BGR: blue, red
        path = tmp_path / f"é {index}.png"
        path.write_bytes(cv2.imencode(".png", np.full((20, 30, 3), color, np.uint8))[1])
        paths.append(path)
    (row,) = pipeline.frame_column([paths], 4)
    frames, mask = pipeline.decode_frames(8, 10)(tf.constant(row))
    assert frames.shape == (4, 8, 10, 3) and frames.dtype == tf.uint8
    assert mask.numpy().tolist() == [True, True, False, False]
    assert frames.numpy()[:, 4, 4].tolist() == [[0, 0, 255], [255, 0, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(("cache", "machines"), [(None, 3), ("memory", 2)])
def test_machines_share_every_batch(monkeypatch, cache, machines):
    def build(batch_size):
        return pipeline.for_training(
            COLUMNS, lambda row: (row["x"], row["x"]), batch_size=batch_size, augment=keep_draw, passes=2, cache=cache
        )

    def keep_draw(inputs, target, seed):
        return inputs, tf.stack([target, draw(inputs, target, seed)[1]])

    alone = [batch[1].numpy() for batch in build(6)]
    shares = []
    for index in range(machines):
        config = {"cluster": {"worker": ["a:1", "b:1", "c:1"][:machines]}, "task": {"type": "worker", "index": index}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
        dataset = build(6)
        shares.append([batch[1].numpy() for batch in dataset])
        policy = dataset.map(lambda *batch: batch).options().experimental_distribute.auto_shard_policy
        assert policy == tf.data.experimental.AutoShardPolicy.OFF
    assert [len(batch) for batch in alone] == [6, 6, 6, 2]
    shared = alone[:3] if machines == 3 else alone  # the last two, that three cannot share, are left out
    for batch, *parts in zip(shared, *shares, strict=True):
        assert [len(part) for part in parts] == [len(batch) // machines] * machines  # no machine waits for another
        # The same examples with the same draws as on one machine.
        assert {tuple(row) for row in np.concatenate(parts)} == {tuple(row) for row in batch}
    with pytest.raises(UsageError, match=f"{machines} machines share each batch evenly"):
        build(5)


def test_no_examples_is_an_error():
    with pytest.raises(DataError, match="no examples"):
        pipeline.for_training({"x": np.array([])}, load, batch_size=2)
    with pytest.raises(ValueError, match="equally long"):
        pipeline.for_training({"x": np.zeros(2), "y": np.zeros(3)}, load, batch_size=2)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_pictures_are_turned_and_resized_as_prediction_does(tmp_path, suffix):
    rng = np.random.default_rng(0)
    sizes = [(40, 60), (13, 90), (90, 13), (24, 32), (8, 11), (2, 200)]  # smaller, larger, and both at a time
    paths = []
    for number, size in enumerate(sizes):
        exif = Image.Exif()
        exif[0x0112] = number + 3
        soft = cv2.GaussianBlur(rng.integers(0, 256, (*size, 3), np.uint8), (0, 0), 1)
        Image.fromarray(soft).save(path := tmp_path / f"{number}{suffix}", exif=exif)
        paths.append(path)
    columns = pipeline.frame_column([paths], 7), pipeline.orientation_column([[3, 4, 5, 6, 7, 8]], 7)
    decode = pipeline.decode_frames(24, 32, in_python=pipeline.need_python([paths]))
    frames, mask = decode(*(tf.constant(column[0]) for column in columns))
    assert mask.numpy().tolist() == [True] * 6 + [False]
    for path, frame in zip(paths, frames.numpy(), strict=False):
        expected = images.resize(images.read_picture(path), 24, 32)
        assert np.abs(frame.astype(int) - expected).max() <= 1 and expected.std() > 5
    assert pipeline.orientation_column([[1, 1], [1]], 2) is None


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_that_is_cut_short_is_named(tmp_path, suffix):
    def decode(path):
        with pipeline.naming_bad_pictures():
            return next(iter(tf.data.Dataset.from_tensors(str(path)).map(pipeline.decode_picture)))

    whole = cv2.imencode(suffix, np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))[1].tobytes()
    for number, data in enumerate((whole, whole + b"behind the end", whole[: len(whole) // 2], b"no picture at all")):
        (tmp_path / f"é {number}{suffix}").write_bytes(data)
    for number in range(2):
        assert decode(tmp_path / f"é {number}{suffix}").shape == (32, 32, 3)
    for number in (2, 3):
        with pytest.raises(MediaError, match=rf"é {number}\{suffix}: (an image that is cut|not a readable)"):
            decode(tmp_path / f"é {number}{suffix}")
    with pytest.raises(tf.errors.InvalidArgumentError), pipeline.naming_bad_pictures():
        tf.debugging.Assert(False, ["another"])


# Each option by itself ----------------------------------------------------------------------------------------------


def test_the_last_short_batch_is_left_out_where_asked():
    def sizes(**how):
        return [len(batch[1]) for batch in pipeline.for_training(COLUMNS, load, batch_size=4, **how)]

    assert sizes() == [4, 4, 2] and sizes(drop_remainder=True) == [4, 4]
    assert sizes(passes=2, drop_remainder=True) == [4] * 5


def test_another_seed_is_another_order():
    def order(seed, **how):
        return numbers(pipeline.for_training(COLUMNS, load, batch_size=10, seed=seed, **how))

    for how in ({}, {"cache": "memory"}, {"augment": lambda inputs, target, seed: (inputs, target)}):
        assert order(1, **how) == order(1, **how) != order(2, **how)


def test_order_and_draws_have_seeds_of_their_own():
    """An example's draw does not depend on which place it has in the order alone: two rows never share one."""
    whole = pipeline.for_training(COLUMNS, load, batch_size=10, seed=3, augment=draw, passes=3)
    drawn = numbers(whole)
    assert len(set(drawn)) == 30


def test_a_batch_is_augmented_after_its_examples():
    def double(inputs, target, seed):
        return inputs, 2 * target

    def add(inputs, target, seed):
        assert target.shape.rank == 1
        return inputs, target + 1

    found = numbers(pipeline.for_training(COLUMNS, load, batch_size=4, augment=double, augment_batch=add))
    assert sorted(found) == [2 * n + 1 for n in range(10)]


def test_evaluation_keeps_what_was_loaded_where_asked(tmp_path):
    calls = []

    def counted(row):
        def note(x):
            calls.append(int(x))
            return x

        return {"x": row["x"]}, tf.ensure_shape(tf.numpy_function(note, [row["x"]], tf.int32), [])

    for cache, expected in ((None, 20), ("memory", 10), (tmp_path / "cache", 10)):
        calls.clear()
        dataset = pipeline.for_evaluation(COLUMNS, counted, batch_size=4, cache=cache)
        assert numbers(dataset) == numbers(dataset) == list(range(10)) and len(calls) == expected
    assert list(tmp_path.glob("cache*"))


def test_rows_of_a_data_set_are_as_good_as_columns():
    rows = tf.data.Dataset.from_tensor_slices(COLUMNS)
    assert numbers(pipeline.for_evaluation(rows, load, batch_size=4)) == list(range(10))
    assert sorted(numbers(pipeline.for_training(rows, load, batch_size=4))) == list(range(10))
    with pytest.raises(ValueError, match="must know their number"):
        pipeline.for_training(rows.filter(lambda row: row["x"] > 3), load, batch_size=4)


def test_several_devices_divide_a_batch_by_its_examples():
    policies = tf.data.experimental.AutoShardPolicy
    for dataset in (
        pipeline.for_training(COLUMNS, load, batch_size=4),
        pipeline.for_evaluation(COLUMNS, load, batch_size=4),
    ):
        assert dataset.options().experimental_distribute.auto_shard_policy == policies.DATA


def test_frames_of_clips_stand_in_rows():
    column = pipeline.frame_column([["a", "b", "c"], ["d"]], 2)
    assert column.tolist() == [[b"a", b"b"], [b"d", b""]]


def test_frames_of_another_size_are_shrunk_evenly(tmp_path):
    """Halves of 0 and 200 become 0 and 200, and a border in the middle of a pixel their mean."""
    picture = np.zeros((6, 9, 3), np.uint8)
    picture[:, 5:] = 200
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", picture)[1])
    (row,) = pipeline.frame_column([[tmp_path / "a.png"]], 1)
    frames, _ = pipeline.decode_frames(2, 3)(tf.constant(row))
    line = frames.numpy()[0, 0, :, 0].astype(int)
    assert line[0] < 20 and 50 < line[1] < 90 and line[2] > 180
    same, _ = pipeline.decode_frames(6, 9)(tf.constant(row))
    np.testing.assert_array_equal(same.numpy()[0], picture)
