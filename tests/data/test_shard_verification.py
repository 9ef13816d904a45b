"""`tfav shards verify`: what was written is found whole, and each kind of damage is named with its shard."""

import gzip
import json

import numpy as np
import pytest

from tests.data.test_shards import made, write
from tfav import cli
from tfav.data import shards
from tfav.data.shard_verification import verify_shards
from tfav.errors import DataError, UsageError
from tfav.io.checksums import hash_file


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 2)
    sound = np.arange(9, dtype=np.int16)
    write(tmp_path, [f"c{i}" for i in range(5)], lambda name: made(name, audio=sound))
    return tmp_path


def shard(folder, number):
    return folder / f"shard-{number:05d}.tfrecord.gz"


def change_index(folder, change):
    path = folder / "index.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def blessed(folder, number):
    """Make the index say that a shard's present bytes are right, so that only its records can tell."""
    path = shard(folder, number)
    facts = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
    change_index(folder, lambda content: content["shards"][path.name].update(facts))


def test_a_whole_folder(folder, capsys):
    assert cli.main(["shards", "verify", str(folder), "--json"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("all of it as it was written")
    assert (json.loads(said[-1])["num_shards"], json.loads(said[-1])["num_examples"]) == (3, 5)


def test_all_damage_is_named(folder, capsys):
    shard(folder, 0).write_bytes(shard(folder, 0).read_bytes()[:-7])
    content = bytearray(shard(folder, 1).read_bytes())
    content[30] ^= 1
    shard(folder, 1).write_bytes(content)
    shard(folder, 7).write_bytes(b"")
    problems = verify_shards(folder).problems
    assert problems == {
        shard(folder, 0).name: "missing or cut off",
        shard(folder, 1).name: "altered since it was written",
        shard(folder, 7).name: "not in the index",
    }
    assert cli.main(["shards", "verify", str(folder)]) == 1
    assert "3 problems" in capsys.readouterr().out


def test_records_that_are_others_than_the_index_says(folder):
    shard(folder, 0).write_bytes(shard(folder, 1).read_bytes())
    blessed(folder, 0)
    records = gzip.decompress(shard(folder, 1).read_bytes())
    shard(folder, 1).write_bytes(gzip.compress(records[: len(records) // 2]))  # ends with the first of two
    blessed(folder, 1)
    change_index(folder, lambda content: content["examples"][4].__setitem__(4, 99))
    problems = verify_shards(folder).problems
    assert "record 1" in problems[shard(folder, 0).name] and "does not fit" in problems[shard(folder, 0).name]
    assert problems[shard(folder, 1).name] == "1 records, in the index 2"
    assert problems[shard(folder, 2).name].startswith("c4: frames (5, 6, 8, 1), in the index (99")


def changed(*path, value):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


NAME = "shard-00000.tfrecord.gz"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed("kind", value="png"), "its kind is unknown"),
        (changed("shards", value=[]), "it lists no shards"),
        (changed("shards", "../../etc/passwd", value={"bytes": 1, "sha256": "", "examples": 1}), "name is none"),
        (changed("shards", NAME, "examples", value=10**12), "an impossible count"),
        (changed("shards", NAME, "bytes", value=-1), "is not described"),
        (changed("fields", value=["id"]), "its columns are others"),
        (changed("examples", 1, 0, value="c0"), "stands in it twice"),
        (changed("examples", 0, 2, value=2), "lies beyond its shard"),
        (changed("examples", 0, 2, value=True), "lies beyond its shard"),
        (changed("examples", 0, 1, value="shard-99999.tfrecord.gz"), "lies in no shard"),
        (changed("examples", 0, 4, value=0), "have no size"),
        (changed("examples", 0, 8, value=float("nan")), "no number"),
        (changed("examples", 0, 11, value=[1]), "differ in number"),
        (changed("examples", 0, value=[]), "not an index of shards"),
    ],
)
def test_an_index_that_says_what_cannot_be(folder, change, words):
    change_index(folder, change)
    with pytest.raises(DataError, match=words) as caught:
        shards.read_index(folder)
    assert str(folder / "index.json") in str(caught.value) and "\n" not in str(caught.value)


def test_an_index_that_nests_too_deep_and_none_at_all(folder, tmp_path):
    (folder / "index.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="not an index of shards"):
        verify_shards(folder)
    with pytest.raises(UsageError, match="Make the shards"):
        verify_shards(tmp_path / "none")
