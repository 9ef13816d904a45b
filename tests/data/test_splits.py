"""Splits: nothing on two sides, nothing lost, the same again for a seed."""

from pathlib import Path

import pytest

from tfav.data import splits
from tfav.data.folders import Example
from tfav.errors import DataError, UsageError


def make_examples(classes="abc", groups=6, clips=2):
    return [
        Example(Path(f"d/{c}/v_{c}_g{g:02d}_c{k}.avi"), c, f"v_{c}_g{g:02d}_c{k}")
        for c in classes
        for g in range(groups)
        for k in range(clips)
    ]


def assert_partition(split, examples):
    parts = [example for part in split for example in part]
    assert sorted(parts) == sorted(examples)
    assert len(set(parts)) == len(parts)


def test_by_fraction_keeps_proportions_and_ignores_order():
    examples = make_examples()
    split = splits.by_fraction(examples, val=0.25, test=0.25, seed=3)
    assert_partition(split, examples)
    for label in "abc":
        assert [sum(e.label == label for e in part) for part in split] == [6, 3, 3]
    again = splits.by_fraction(examples[::-1], val=0.25, test=0.25, seed=3)
    assert [sorted(part) for part in again] == [sorted(part) for part in split]
    other = splits.by_fraction(examples, val=0.25, test=0.25, seed=4)
    assert sorted(other.test) != sorted(split.test)


def test_by_group_never_divides_a_group():
    examples = make_examples()
    split = splits.by_group(examples, r"_g(\d+)_", val=0.2, test=0.34, seed=1)
    assert_partition(split, examples)
    groups = [{e.name.split("_")[2] for e in part} for part in split]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert [len(g) for g in groups] == [3, 1, 2]


def test_by_group_holds_out_named_groups():
    split = splits.by_group(make_examples(), r"_g(\d+)_", test_groups=("04",))
    assert {e.name[5:7] for e in split.test} == {"04"}
    assert len(split.train) == 30
    assert split.val == []


def test_named_group_may_lack_a_class_and_a_drawn_one_may_not():
    examples = [e for e in make_examples() if not (e.label == "a" and "_g04_" in e.name)]
    assert len(splits.by_group(examples, r"_g(\d+)_", test_groups=("04",)).test) == 4
    only_a_in_one_group = [e for e in make_examples() if e.label != "a" or "_g00_" in e.name]
    with pytest.raises(DataError, match="no video of class a"):
        splits.by_group(only_a_in_one_group, r"_g(\d+)_", test=0.34, seed=0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: splits.by_group(e, r"_x(\d+)_"), DataError, "v_a_g00_c0.*does not occur"),
        (lambda e: splits.by_group(e, r"_g\d+_"), UsageError, "needs a bracket"),
        (lambda e: splits.by_group(e, r"_g(\d+"), UsageError, "not a regular expression"),
        (lambda e: splits.by_group(e, r"_g(\d+)_", test_groups=("77",)), UsageError, "do not occur: 77"),
        (lambda e: splits.by_group(e, r"_g(\d+)_", val=0.5, test=0.5), DataError, "too few"),
        (
            lambda e: splits.by_group(e, r"_g(\d+)_", test_groups=("01",), val_groups=("01",)),
            UsageError,
            "both val_groups and test_groups",
        ),
        (lambda e: splits.by_fraction(e, val=0.5, test=0.6), DataError, "too few"),
        (lambda e: splits.by_fraction(e, val=1.5, test=0), UsageError, "below 1"),
        (lambda e: splits.check(splits.Split(e, [], e[:1])), DataError, "leaks"),
    ],
)
def test_bad_splits_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(make_examples())


def test_by_lists_reads_ucf101_format(tmp_path):
    examples = make_examples()
    (tmp_path / "train.txt").write_text("".join(f"{e.label}/{e.name}.avi 1\n" for e in examples[::2]))
    (tmp_path / "test.txt").write_text("".join(f"{e.label}/{e.name}.avi\r\n" for e in examples[1::2]))
    split = splits.by_lists(examples, tmp_path / "train.txt", tmp_path / "test.txt")
    assert (split.train, split.test) == (examples[::2], examples[1::2])
    with_val = splits.by_lists(
        examples, tmp_path / "train.txt", tmp_path / "test.txt", val=0.3, group_pattern=r"_g(\d+)_"
    )
    assert {e.name[5:7] for e in with_val.val}.isdisjoint({e.name[5:7] for e in with_val.train})


def test_real_ucf101_lists_have_their_published_sizes(shared_data):
    folder = shared_data("ucf101/splits")
    assert len(splits.read_list(folder / "trainlist01.txt")) == 9537
    assert len(splits.read_list(folder / "testlist01.txt")) == 3783


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a/none.avi 1\n", "1 of 1 listed"), (b"", "empty"), (b"nonsense\n", "line 1"), (b"\xff\xfe\x00a", "not a text")],
)
def test_bad_lists_are_refused(tmp_path, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        splits.by_lists(make_examples(), tmp_path / "list.txt", tmp_path / "list.txt")


def test_missing_list_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.txt"):
        splits.read_list(tmp_path / "gone.txt")
