"""Shards: what goes in comes out, damage is noticed, only what has changed is made again."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.data.made_records import make_from_file
from tfav.data import example_files, pipeline, shards
from tfav.data.example_files import Record
from tfav.data.shard_writing import prepare_shards
from tfav.errors import DataError, UsageError


def made(name, *, length=5, audio=None):
    rng = np.random.default_rng(sum(name.encode()))
    frames = rng.integers(0, 256, (length, 6, 8, 1)).astype(np.uint8)
    times = np.array([[0.0, 0.08], [0.08, 0.2]], np.float32)
    return Record(name, frames, 25.0, "bin blue", ("bin", "blue"), times, audio, 16000 if audio is not None else 0)


def write(folder, names, make=made, **options):
    return shards.write_shards(folder, names, make, **options)


def read(index, names=None):
    entries = shards.in_stored_order(index, [e.id for e in index.entries] if names is None else names)
    decode = shards.decoder(index)
    rows = shards.read_rows(index, entries, {"number": np.arange(len(entries)) * 10})
    rows = rows.map(lambda row: {**row, **decode(row)})
    return [{name: value.numpy() for name, value in row.items()} | {"id": row["id"].numpy().decode()} for row in rows]


@pytest.mark.parametrize("dtype", [None, np.float32, np.int16])
def test_what_goes_in_comes_out(tmp_path, dtype):
    names = [f"s1/clip{i}" for i in range(5)]
    sound = None if dtype is None else (np.arange(40) - 20).astype(dtype)
    index = write(tmp_path, names, lambda name: made(name, length=3 + int(name[-1]), audio=sound))
    found = read(shards.read_index(tmp_path, check_content=True))
    assert [row["id"] for row in found] == names
    for row, name in zip(found, names, strict=True):
        record = made(name, length=3 + int(name[-1]))
        np.testing.assert_array_equal(row["frames"], record.frames)
        np.testing.assert_array_equal(row["word_times_sec"], record.word_times_sec)
        assert row["text"] == b"bin blue"
        assert row["words"].tolist() == [b"bin", b"blue"]
        assert row["fps"] == 25
        if dtype is not None:
            assert row["audio"].dtype == dtype
            np.testing.assert_array_equal(row["audio"], sound)
    assert index.entries[2].num_frames == 5
    assert index.entries[0].word_times_sec == (0.0, 0.08, 0.08, 0.2)


def test_jpeg_frames_stay_close(tmp_path):
    picture = np.clip(np.add.outer(np.arange(32) * 4, np.arange(48) * 2), 0, 255).astype(np.uint8)
    frames = np.stack([picture, picture.T[:32, :32].repeat(2, 1)[:, :48]])[..., None]
    index = write(tmp_path, ["a"], lambda name: Record(name, frames), kind="jpeg")
    (row,) = read(index)
    assert np.abs(row["frames"].astype(int) - frames).max() < 12


def test_a_choice_of_examples_comes_with_its_rows_from_several_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 3)
    names = [f"c{i}" for i in range(8)]
    index = write(tmp_path, names)
    assert len(index.shards) == 3
    found = read(index, ["c7", "c1", "c4"])
    assert [(row["id"], int(row["number"])) for row in found] == [("c1", 0), ("c4", 10), ("c7", 20)]
    with pytest.raises(DataError, match="1 of 2 examples are not there, first: d9"):
        shards.in_stored_order(index, ["c1", "d9"])
    parallel = shards.read_rows(index, shards.in_stored_order(index, names), parallel=2)
    assert sorted(row["id"].numpy().decode() for row in parallel) == names


def test_the_pipeline_takes_shards_shuffled_for_training_and_in_order_else(tmp_path):
    names = [f"c{i}" for i in range(8)]
    index = write(tmp_path, names)
    rows = shards.read_rows(index, shards.in_stored_order(index, names))
    decode = shards.decoder(index)

    def load(row):
        return decode(row)["frames"], row["id"]

    ordered = [name.decode() for _, ids in pipeline.for_evaluation(rows, load, batch_size=3) for name in ids.numpy()]
    assert ordered == names
    train = pipeline.for_training(rows, load, batch_size=3, cache="memory")
    epochs = [[name for _, ids in train for name in ids.numpy()] for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [name.encode() for name in names]
    assert epochs[0] != epochs[1]


def test_reading_is_graph_only_and_goes_through_a_service_in_another_place(tmp_path):
    names = [f"c{i}" for i in range(6)]
    index = write(tmp_path, names)
    decode = shards.decoder(index)
    dataset = shards.read_rows(index, shards.in_stored_order(index, names)).map(lambda row: (decode(row), row["id"]))
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    worker = tf.data.experimental.service.WorkerServer(
        tf.data.experimental.service.WorkerConfig(dispatcher_address=address)
    )
    served = dataset.apply(
        tf.data.experimental.service.distribute(processing_mode="parallel_epochs", service=dispatcher.target)
    )
    assert sorted(name.numpy().decode() for _, name in served) == names
    del worker


@pytest.mark.parametrize("damage", ["missing", "cut", "altered"])
def test_damaged_shards_are_noticed(tmp_path, damage):
    index = write(tmp_path, ["a", "b"])
    path = tmp_path / next(iter(index.shards))
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-10])
    else:
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
        with pytest.raises((tf.errors.DataLossError, tf.errors.InvalidArgumentError)):
            read(shards.read_index(tmp_path))
    words = "altered since" if damage == "altered" else "missing or cut off"
    with pytest.raises(DataError, match=words):
        shards.read_index(tmp_path, check_content=True)


def test_an_index_of_other_shards_does_not_go_unnoticed(tmp_path):
    index = write(tmp_path / "a", ["x", "y"])
    write(tmp_path / "b", ["x", "z"])
    name = next(iter(index.shards))
    (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    with pytest.raises(tf.errors.InvalidArgumentError, match="the index does not fit"):
        read(index)
    swapped = index._replace(shards={name: {**index.shards[name], "examples": 3}}, entries=index.entries)
    with pytest.raises(tf.errors.InvalidArgumentError):
        read(swapped)


def test_an_index_that_is_none_or_of_another_version(tmp_path):
    with pytest.raises(UsageError, match="Make the shards with tfav prepare"):
        shards.read_index(tmp_path)
    write(tmp_path, ["a"])
    path = tmp_path / "index.json"
    content = json.loads(path.read_text())
    assert content["counts"] == {"shards": 1, "examples": 1}
    path.write_text(json.dumps({**content, "schema": 99}))
    with pytest.raises(DataError, match="of version 99"):
        shards.read_index(tmp_path)
    path.write_text("{")
    with pytest.raises(DataError, match="not an index"):
        shards.read_index(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": np.zeros((2, 3, 4, 1), np.float32)}, "must be .T, H, W, C. uint8"),
        ({"frames": np.zeros((0, 3, 4, 1), np.uint8)}, "T 1 or more"),
        ({"words": ("one",)}, "1 words need as many pairs"),
        ({"audio": np.zeros(3)}, "float32 or int16"),
    ],
)
def test_a_record_that_is_none_is_refused(tmp_path, change, words):
    with pytest.raises(DataError, match=words):
        write(tmp_path, ["a"], lambda name: made(name)._replace(**change))
    assert not (tmp_path / "index.json").exists()
    assert not list(tmp_path.glob("*shard*"))


def test_a_name_twice_is_refused(tmp_path):
    with pytest.raises(UsageError, match="the example a is given twice"):
        write(tmp_path, ["a", "b", "a"])


# Preparing ----------------------------------------------------------------------------------------------------------


def prepare(folder, out, workers=0):
    jobs = {path.stem: ((str(path),), example_files.fingerprint(path)) for path in sorted(folder.glob("*.num"))}
    return prepare_shards(make_from_file, jobs, out, workers=workers, quiet=True)


def pixels(index):
    return {row["id"]: int(row["frames"][0, 0, 0, 0]) for row in read(index)}


def times_made(folder):
    return {path.stem: len(path.read_text().split()) for path in sorted(folder.glob("*.log"))}


@pytest.fixture
def numbers(tmp_path):
    folder = tmp_path / "numbers"
    folder.mkdir()
    for number in range(4):
        (folder / f"n{number}.num").write_text(str(number))
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_prepare_makes_all_that_can_be_made_and_names_the_rest(numbers, tmp_path, workers):
    (numbers / "n2.num").write_text("bad")
    report, index = prepare(numbers, tmp_path / "out", workers)
    assert report.failed == {"n2": f"{numbers}/n2.num: no number"}
    assert report.warnings == ["n1: odd", "n3: odd"]
    assert pixels(index) == {"n0": 0, "n1": 1, "n3": 3}
    assert json.loads((tmp_path / "out" / "prepare_report.json").read_text())["failed"] == 1
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["index.json", "prepare_report.json", "shard-00000.tfrecord.gz"]


def test_only_what_is_new_or_changed_is_made_again(numbers, tmp_path):
    out = tmp_path / "out"
    prepare(numbers, out)
    report, _ = prepare(numbers, out)
    assert len(report.skipped) == 4
    (numbers / "n1.num").write_text("11")
    (numbers / "n9.num").write_text("9")
    (numbers / "n3.num").unlink()
    report, index = prepare(numbers, out)
    assert report.done == ["n1", "n9"]
    assert pixels(index) == pixels(shards.read_index(out)) == {"n0": 0, "n1": 11, "n2": 2, "n9": 9}
    assert times_made(numbers) == {"n0": 1, "n1": 2, "n2": 1, "n3": 1, "n9": 1}


def test_a_run_killed_before_packing_goes_on_from_there(numbers, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr("tfav.data.shard_writing.write_shards", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(numbers, out)
    monkeypatch.undo()
    (numbers / "n0.num").write_text("77")  # changed in between: what waits is out of date
    report, index = prepare(numbers, out)
    assert report.done == ["n0"]
    assert pixels(index) == {"n0": 77, "n1": 1, "n2": 2, "n3": 3}


def test_a_damaged_folder_is_made_anew(numbers, tmp_path):
    out = tmp_path / "out"
    prepare(numbers, out)
    shard = next(out.glob("shard-*"))
    os.truncate(shard, 20)
    report, index = prepare(numbers, out)
    assert len(report.done) == 4
    assert pixels(index) == {f"n{i}": i for i in range(4)}


def test_nothing_made_at_all_is_an_error(numbers, tmp_path):
    for path in numbers.glob("*.num"):
        path.write_text("bad")
    with pytest.raises(DataError, match=r"none of the 4 examples could be made; n0: .*no number"):
        prepare(numbers, tmp_path / "out")
