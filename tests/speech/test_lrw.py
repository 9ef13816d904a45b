"""LRW's tree and the notebook's arrays: what is found, what is refused and why."""

import pickle

import numpy as np
import pytest

from tfav.errors import DataError, MediaError, UsageError
from tfav.speech.lrw import Clip, find_clips, read_npz, read_words, write_npz


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_clips_of_the_tree_in_natural_order(tmp_path):
    names = ("ABOUT/test/ABOUT_00002.mp4", "ABOUT/test/ABOUT_00010.mp4", "ZERO/train/ZERO_00001.mp4")
    touch(tmp_path, *names, "ABOUT/test/ABOUT_00002.txt")
    clips, failures, _ = find_clips(tmp_path)
    assert not failures
    assert [clip.id for clip in clips] == [name[:-4] for name in names]
    assert clips[2] == Clip("ZERO/train/ZERO_00001", "ZERO", (tmp_path / names[2],))


def test_arrays_of_the_notebook_belong_together_by_name(tmp_path):
    touch(tmp_path, "video/ABOUT/val/ABOUT_00001.npz", "audio/ABOUT/val/ABOUT_00001.npz")
    ((name, word, paths),), failures, _ = find_clips(tmp_path)
    assert (name, word, len(paths), failures) == ("ABOUT/val/ABOUT_00001", "ABOUT", 2, {})


def test_what_does_not_fit_is_named_and_stops_no_other(tmp_path):
    touch(
        tmp_path,
        "ABOUT/test/ABOUT_00001.mp4",
        "ABOUT/holiday.mp4",
        "video/BEING/val/BEING_00001.npz",
        "x/CHINA/val/CHINA_00001.mp4",
        "y/CHINA/val/CHINA_00001.mp4",
    )
    clips, failures, _ = find_clips(tmp_path)
    assert [clip.word for clip in clips] == ["ABOUT"]
    assert "expected WORD/{train,val,test}/WORD_00001.mp4" in failures["ABOUT/holiday.mp4"]
    assert "two .npz files, of pictures and of sound" in failures["BEING/val/BEING_00001"]
    assert "expected one video" in failures["CHINA/val/CHINA_00001"]
    with pytest.raises(DataError, match="no clips in it"):
        (tmp_path / "empty").mkdir()
        find_clips(tmp_path / "empty")


def test_arrays_are_read_as_they_were_written(tmp_path):
    data = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(read_npz(write_npz(tmp_path / "a" / "b.npz", data)), data)
    with np.load(tmp_path / "a" / "b.npz") as stored:
        assert stored.files == ["data"]


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_files_that_are_no_such_arrays(tmp_path):
    np.savez(tmp_path / "other.npz", frames=np.zeros(3), sound=np.zeros(2))
    with pytest.raises(MediaError, match=r"other\.npz: it holds no array called data \(found: frames, sound\)"):
        read_npz(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_bytes(b"no zip")
    with pytest.raises(MediaError, match=r"text\.npz: not a readable \.npz file"):
        read_npz(tmp_path / "text.npz")
    with pytest.raises(MediaError, match="no such file"):
        read_npz(tmp_path / "none.npz")
    trap = Trap(tmp_path / "ran")
    np.savez(tmp_path / "trap.npz", data=np.array([trap], dtype=object))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(trap))
    for name in ("trap", "pickle", "array"):
        with pytest.raises(MediaError, match="not a readable"):
            read_npz(tmp_path / f"{name}.npz")
    assert not (tmp_path / "ran").exists()


def test_word_lists_keep_their_order(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("ZERO\nABOUT\n\nBEING\n")
    assert read_words(path) == ("ZERO", "ABOUT", "BEING")
    path.write_text("ABOUT\nABOUT\n")
    with pytest.raises(DataError, match=r"words\.txt, line 2: a word for the second time: 'ABOUT'"):
        read_words(path)
    path.write_text("ABOUT 0\n")
    with pytest.raises(DataError, match="line 1: more than one word"):
        read_words(path)
    with pytest.raises(UsageError, match="cannot be read as a word list"):
        read_words(tmp_path / "none.txt")
