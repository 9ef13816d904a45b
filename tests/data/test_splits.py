"""Splits: nothing on two sides, nothing lost, the same again for a seed."""

import types
from pathlib import Path

import pytest

from tfav.data import classification, splits
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
    [(b"a/none.avi 1\n", "1 of 1 listed"), (b"", "empty"), (b"nonsense\n", "line 1"), (b"\xff\x00a", "not a text")],
)
def test_bad_lists_are_refused(tmp_path, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        splits.by_lists(make_examples(), tmp_path / "list.txt", tmp_path / "list.txt")


def test_missing_list_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.txt"):
        splits.read_list(tmp_path / "gone.txt")


def test_a_bracket_that_takes_part_in_no_match_is_no_group():
    examples = [Example(Path(f"a/v_g{n}_.avi"), "a", f"v_g{n}_") for n in ("", "1", "2")]
    with pytest.raises(DataError, match=r"a/v_g_.avi: the group pattern .* does not occur"):
        splits.has_groups(examples, r"_g(\d+)?_")


def test_one_name_of_many_that_spells_no_group_is_refused_and_never_divides_groups():
    config = types.SimpleNamespace(
        split="auto",
        group_pattern=r"_g(\d+)_",
        val_fraction=0.3,
        test_fraction=0.0,
        seed=0,
        val_groups=(),
        test_groups=(),
    )
    examples = make_examples()
    odd = Example(Path("d/a/extra.avi"), "a", "extra")
    with pytest.raises(DataError, match=r"extra\.avi: the group pattern.*--split fraction"):
        classification.make_split([*examples, odd], config)
    more = Example(Path("d/a/more.avi"), "a", "more")
    with pytest.raises(DataError, match=r"in its name \(and 1 more of 38\)"):
        classification.make_split([*examples, odd, more], config)
    no_groups = [e._replace(name=e.name.replace("_g", "_h")) for e in examples]
    assert classification.make_split(no_groups, config).val  # names that spell none at all go by fraction
    config.split = "fraction"
    assert classification.make_split([*examples, odd], config).val


def test_one_group_alone_cannot_be_kept_apart_and_is_told():
    config = types.SimpleNamespace(
        split="auto",
        group_pattern=r"_g(\d+)_",
        val_fraction=0.3,
        test_fraction=0.0,
        seed=0,
        val_groups=(),
        test_groups=(),
    )
    with pytest.warns(UserWarning, match="all names spell the one group '00'"):
        assert classification.make_split(make_examples(groups=1, clips=9), config).val


def test_lists_with_one_name_without_a_group_are_refused_where_validation_is_cut_by_group(tmp_path):
    examples = [*make_examples(), Example(Path("d/a/extra.avi"), "a", "extra")]
    (tmp_path / "train.txt").write_text("".join(f"{e.label}/{e.name}.avi\n" for e in examples if "_g00_" not in e.name))
    (tmp_path / "test.txt").write_text("".join(f"{e.label}/{e.name}.avi\n" for e in examples if "_g00_" in e.name))
    config = types.SimpleNamespace(
        split="lists",
        group_pattern=r"_g(\d+)_",
        val_fraction=0.3,
        test_fraction=0.0,
        seed=0,
        train_list=tmp_path / "train.txt",
        test_list=tmp_path / "test.txt",
    )
    with pytest.raises(DataError, match="does not occur in its name"):
        classification.make_split(examples, config)


def test_videos_and_their_frame_folders_are_divided_alike():
    # "-" and " " come before the "." of a suffix, so whole file names have another order than the names alone.
    names = ["a", "a-1", "a 2", "a.b", "a_3", "B", "clip1", "clip1-2", "clip10", "clip 1"]
    videos = [Example(Path(f"v/walk/{name}.mp4"), "walk", name) for name in names]
    frames = [Example(Path(f"elsewhere/walk/{name}"), "walk", name) for name in names]
    for seed in range(5):
        parts = [splits.by_fraction(found, val=0.3, test=0.3, seed=seed) for found in (videos, frames)]
        by_videos, by_frames = ([[e.name for e in part] for part in split] for split in parts)
        assert by_videos == by_frames


def test_names_in_neither_list_are_told_and_need_spell_no_group(tmp_path):
    examples = [
        Example(Path(f"{label}/v_{label}_g{group}_c01.avi"), label, f"v_{label}_g{group}_c01")
        for label in "ab"
        for group in range(4)
    ]
    (tmp_path / "train.txt").write_text("\n".join(f"{e.label}/{e.name}.avi" for e in examples if "_g3_" not in e.name))
    (tmp_path / "test.txt").write_text("\n".join(f"{e.label}/{e.name}.avi" for e in examples if "_g3_" in e.name))
    config = types.SimpleNamespace(
        split="lists", train_list=tmp_path / "train.txt", test_list=tmp_path / "test.txt", val_fraction=0.34,
        test_fraction=0.0, val_groups=(), test_groups=(), group_pattern=r"_g(\d+)_", seed=0,
    )  # fmt: skip
    plain = classification.make_split(examples, config)
    holiday = Example(Path("a/holiday.avi"), "a", "holiday")
    with pytest.warns(UserWarning, match=r"1 of 9 videos stand in neither train\.txt nor test\.txt.*a/holiday"):
        assert classification.make_split([*examples, holiday], config) == plain
    assert len({e.name.split("_g")[1] for e in plain.val}) == 1 and len(plain.val) == 2
    (tmp_path / "train.txt").write_text((tmp_path / "train.txt").read_text() + "\na/holiday.avi")
    with pytest.raises(DataError, match="holiday"):
        classification.make_split([*examples, holiday], config)
