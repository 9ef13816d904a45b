"""Made clips say what they are said to say, and can be told apart."""

import numpy as np
import pytest

from tfav.data import shards
from tfav.errors import UsageError
from tfav.speech import grid
from tfav.speech.synthetic_speaker import letter_shape
from tfav.systems.lipnet import dataset
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.demo import make_shards


def frames_of(index, entry):
    decode = shards.decoder(index)
    return next(iter(shards.read_rows(index, [entry]).map(decode)))["frames"].numpy()


def test_a_made_clip_shows_its_letters_at_their_times(tmp_path):
    index = make_shards(tmp_path, num_clips=6, seed=1)
    assert len({entry.text for entry in index.entries}) > 3
    for entry in index.entries:
        words = entry.text.split()
        assert [word in slot.values() for word, slot in zip(words, grid.SLOTS, strict=False)] == [True] * 3
        assert tuple(words) == entry.words
        frames = frames_of(index, entry).astype(float)
        labels = dataset.label_frames(entry, "given", grid.WORDS)
        still = frames[0]
        moved = np.abs(frames - still).mean(axis=(1, 2, 3)) > 8
        np.testing.assert_array_equal(moved, labels > 0)


def test_letters_differ_in_shape():
    assert len({letter_shape(letter) for letter in "abcdefghijklmnopqrstuvwxyz "}) == 27


def test_the_same_seed_gives_the_same_clips(tmp_path):
    first, again, other = (make_shards(tmp_path / str(i), num_clips=2, seed=s) for i, s in enumerate((0, 0, 1)))
    np.testing.assert_array_equal(frames_of(first, first.entries[1]), frames_of(again, again.entries[1]))
    assert not np.array_equal(frames_of(first, first.entries[1]), frames_of(other, other.entries[1]))


def test_the_demo_preset_takes_them(tmp_path):
    make_shards(tmp_path, num_clips=20)
    config = Config.preset("demo", data_dir=str(tmp_path))
    train, val, _ = dataset.build_datasets(config)
    inputs, targets = next(iter(train))
    assert inputs["frames"].shape[1:] == (40, 24, 48, 1)
    assert ((targets["labels"].numpy() > 0).sum(axis=1) > 8).all()
    assert val is not None


def test_a_clip_too_short_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"3 words need \d+ frames"):
        make_shards(tmp_path, num_frames=20)
