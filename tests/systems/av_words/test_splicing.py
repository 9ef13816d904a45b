"""Windows with other neighbours: each frame, its sound and its word come from one moment of one of two windows."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfav.systems.av_words import noise
from tfav.systems.av_words.config import Config
from tfav.systems.av_words.dataset import build_dataset
from tfav.systems.av_words.splicing import splice_batch

LENGTH, PER_FRAME, SILENCE = 11, 4, 9
NUM_SAMPLES = LENGTH * PER_FRAME + 6  # sound goes on for a frame and a half
# What is said in each frame of three windows; the word is what is said in the middle one.
SAID = (
    [9, 1, 1, 1, 2, 2, 2, 3, 3, 9, 9],
    [5, 5, 9, 4, 4, 4, 4, 4, 4, 6, 6],
    [7, 7, 7, 7, 7, 8, 1, 1, 1, 1, 9],
)


def make_batch(said=SAID):
    """Row `i` has frames of the values `20 * i + place`, and so has each frame's sound."""
    rows = np.arange(len(said))[:, None]
    places, samples = np.arange(LENGTH), np.arange(NUM_SAMPLES)
    inputs = {
        "frames": tf.constant((20 * rows + places)[..., None, None, None].astype(np.uint8)),
        "samples": tf.constant((20 * rows + samples // PER_FRAME).astype(np.int16)),
        "own": tf.constant(rows[:, 0] + 30),
    }
    return inputs, {"word": tf.constant([line[LENGTH // 2] for line in said]), "said": tf.constant(said)}


def spliced(share, seed, said=SAID):
    config = Config.preset("demo", splice=share)
    inputs, labels = splice_batch(config, PER_FRAME)(*make_batch(said), tf.constant([seed, 1], tf.int64))
    sound = inputs["samples"].numpy()
    assert sound.shape == (len(said), NUM_SAMPLES)
    blocks = sound[:, : LENGTH * PER_FRAME].reshape(len(said), LENGTH, PER_FRAME)
    assert (blocks == blocks[..., :1]).all()
    frames = inputs["frames"].numpy()[..., 0, 0, 0]
    np.testing.assert_array_equal(frames, blocks[..., 0])
    return frames.astype(int), labels["said"].numpy(), inputs["own"].numpy(), sound


def test_nothing_is_spliced_without_a_share():
    frames, said, _, sound = spliced(0.0, 0)
    inputs, _ = make_batch()
    np.testing.assert_array_equal(frames, inputs["frames"][..., 0, 0, 0])
    np.testing.assert_array_equal(sound, inputs["samples"])
    np.testing.assert_array_equal(said, SAID)


def test_neighbours_come_from_the_window_before():
    frames, said, own, sound = spliced(1.0, 0)
    # The first word's frames 4 to 6 stay. Before it comes what is before frame 5 in the last window, after it what is
    # after frame 6 there, as far as there is something.
    assert frames[0].tolist() == [41, 42, 43, 44, 4, 5, 6, 46, 47, 48, 49]
    assert said[0].tolist() == [7, 7, 7, 7, 2, 2, 2, 1, 1, 1, 1]
    # The first window has a frame more before its word than the second one has before its own, and two more after it.
    assert frames[1].tolist() == [1, 2, 3, 23, 24, 25, 26, 27, 28, 7, 8]
    assert frames[2].tolist() == [40, 41, 20, 21, 22, 45, 29, 30, 48, 49, 50]
    # Sound beyond the last frame follows, where the other has frames.
    assert sound[1, LENGTH * PER_FRAME :].tolist() == [9, 9, 9, 9, 10, 10]
    assert own.tolist() == [[30, 32], [31, 30], [32, 31]]


def test_share_and_sides_are_drawn_on_their_own():
    counts = np.zeros((2, 2), int)
    for seed in range(200):
        frames, *_ = spliced(0.3, seed)
        counts[int(frames[0, 3] == 44), int(frames[0, 7] == 46)] += 1
    shares = counts / counts.sum()
    np.testing.assert_allclose(shares, [[0.49, 0.21], [0.21, 0.09]], atol=0.1)


def test_a_window_whose_word_is_not_in_its_middle_stays_and_gives_nothing():
    lost = [list(line) for line in SAID]
    inputs, _ = make_batch()
    config = Config.preset("demo", splice=1.0)
    labels = {"word": tf.constant([2, 6, 8]), "said": tf.constant(lost)}  # the second's word is at its end only
    new, new_labels = splice_batch(config, PER_FRAME)(inputs, labels, tf.constant([0, 1], tf.int64))
    frames = new["frames"].numpy()[..., 0, 0, 0]
    assert frames[1].tolist() == list(range(20, 31)) and frames[2].tolist() == list(range(40, 51))
    assert new_labels["said"].numpy()[1:].tolist() == lost[1:]
    assert frames[0].tolist() == [41, 42, 43, 44, 4, 5, 6, 46, 47, 48, 49]


@pytest.mark.parametrize("streams", [("audio",), ("video",), ("audio", "video")])
@pytest.mark.parametrize("said", [False, True])
def test_training_windows_are_spliced(made_index, streams, said):
    options = {"crop_jitter": False, "mirror": False, "brightness": 0.0, "shift": 0, "noise": (), "splice": 1.0}
    config = Config.preset("demo", data_dir=str(made_index.folder), batch_size=8, **options)
    names = [entry.id for entry in made_index.entries]

    def read(config):
        dataset = build_dataset(config, made_index, names, training=True, streams=streams, said=said)
        return list(dataset.as_numpy_iterator())

    rows, plain = read(config), read(dataclasses.replace(config, splice=0.0))
    assert sum(len(next(iter(inputs.values()))) for inputs, _ in rows) == sum(
        len(next(iter(inputs.values()))) for inputs, _ in plain
    )
    for (inputs, labels), (own, own_labels) in zip(rows, plain, strict=True):
        assert inputs.keys() == own.keys() and {key: x.shape for key, x in inputs.items()} == {
            key: x.shape for key, x in own.items()
        }
        if said:
            np.testing.assert_array_equal(labels["word"], own_labels["word"])
            assert labels["said"].shape == (len(labels["word"]), 29) and (labels["said"] != own_labels["said"]).any()
            assert (labels["said"][:, 14] == own_labels["said"][:, 14]).all()
        else:
            np.testing.assert_array_equal(labels, own_labels)
        assert all((inputs[key] != own[key]).any() for key in own)


def test_babble_has_neither_of_two_recordings_in_it():
    # All equally loud, the window's own below 0: with one of them the sum is not 2.
    voices = noise.Voices(tuple("abcd"), np.array([[100], [-100], [100], [-100]], np.int16).repeat(50, 1))
    source = noise.babble(voices, 20, 2, own_count=2)
    for seed in range(20):
        sound = source(tf.constant([seed, 3], tf.int64), tf.constant([1, 3])).numpy()
        np.testing.assert_allclose(sound, 2.0, rtol=1e-5)
    alone = noise.Voices(voices.ids, np.array([[100], [0], [0], [0]], np.int16).repeat(50, 1))
    assert not noise.babble(alone, 20, 2, own_count=2)(tf.constant([0, 3], tf.int64), tf.constant([0, 1])).numpy().any()
