"""Moving MNIST against a plain NumPy version of the same rule; seeds, batches, epochs."""

import numpy as np
import pytest
import tensorflow as tf

from tfav.data import moving_mnist
from tfav.errors import UsageError

DIGITS = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)


def plain_sequence(digits, drawn, num_frames):
    """The rule, one pixel block at a time."""
    frames = np.zeros((num_frames, 64, 64), np.uint8)
    for x, y, angle, choice in drawn:
        picture = digits[int(choice * len(digits))]
        step_x, step_y = 0.1 * np.cos(angle), 0.1 * np.sin(angle)
        for frame in frames:
            x, y = x + step_x, y + step_y
            if x <= 0 or x >= 1:
                x, step_x = min(max(x, 0.0), 1.0), -step_x
            if y <= 0 or y >= 1:
                y, step_y = min(max(y, 0.0), 1.0), -step_y
            top, left = int(36 * y), int(36 * x)
            part = frame[top : top + 28, left : left + 28]
            np.maximum(part, picture, out=part)
    return frames


@pytest.mark.parametrize(("num_digits", "num_frames"), [(1, 5), (2, 20), (3, 40)])
def test_frames_equal_the_plain_rule(num_digits, num_frames):
    options = {"num_digits": num_digits, "num_frames": num_frames, "dtype": "uint8"}
    made = np.concatenate(
        list(moving_mnist.sequences(DIGITS, count=60, seed=7, batch_size=16, **options).as_numpy_iterator())
    )
    assert made.shape == (60, num_frames, 64, 64, 1) and made.dtype == np.uint8
    draw, _ = moving_mnist.drawing(DIGITS, num_digits=num_digits, num_frames=num_frames)
    for number, sequence in enumerate(made):
        drawn = draw(tf.constant([7, number], tf.int64)).numpy()
        np.testing.assert_array_equal(sequence[..., 0], plain_sequence(DIGITS, drawn, num_frames))


def test_real_digits_equal_the_plain_rule(shared_data):
    with np.load(shared_data("mnist/mnist.npz")) as stored:
        digits = stored["x_test"]
    made = next(moving_mnist.sequences(digits, count=100, seed=0, batch_size=100).as_numpy_iterator())
    draw, _ = moving_mnist.drawing(digits)
    for number, sequence in enumerate(made):
        expected = plain_sequence(digits, draw(tf.constant([0, number], tf.int64)).numpy(), 20)
        np.testing.assert_array_equal(sequence[..., 0], expected.astype(np.float32) / np.float32(255))


def numbers_of(dataset):
    """All sequences as bytes, to be compared and counted."""
    return [sequence.tobytes() for batch in dataset.as_numpy_iterator() for sequence in batch]


def test_a_sequence_depends_on_its_number_alone():
    make = {"seed": 3, "dtype": "uint8", "num_frames": 4}
    whole = numbers_of(moving_mnist.sequences(DIGITS, count=20, batch_size=20, **make))
    assert numbers_of(moving_mnist.sequences(DIGITS, count=20, batch_size=3, **make)) == whole
    assert numbers_of(moving_mnist.sequences(DIGITS, count=12, start=8, batch_size=5, **make)) == whole[8:]
    assert numbers_of(moving_mnist.sequences(DIGITS, batch_size=5, **make).take(4)) == whole
    shards = [moving_mnist.sequences(DIGITS, count=20, batch_size=1, **make).shard(3, worker) for worker in range(3)]
    assert sorted(one for shard in shards for one in numbers_of(shard)) == sorted(whole)
    assert (
        len({*whole, *numbers_of(moving_mnist.sequences(DIGITS, count=20, batch_size=20, **make | {"seed": 4}))}) == 40
    )


def test_epochs_never_repeat_a_sequence_and_can_be_repeated():
    make = {"seed": 3, "dtype": "uint8", "num_frames": 4, "count": 30, "batch_size": 7, "new_each_epoch": True}
    dataset = moving_mnist.sequences(DIGITS, **make)
    epochs = [numbers_of(dataset) for _ in range(3)]
    seen = {one for epoch in epochs for one in epoch}
    assert len(seen) == 90
    again = moving_mnist.sequences(DIGITS, **make)
    assert [numbers_of(again) for _ in range(3)] == epochs
    resumed = numbers_of(moving_mnist.sequences(DIGITS, **make, start=60))
    assert not set(resumed) & seen
    fixed = moving_mnist.sequences(DIGITS, **make | {"new_each_epoch": False})
    assert numbers_of(fixed) == numbers_of(fixed)


def test_digits_start_and_move_in_every_direction():
    draw, _ = moving_mnist.drawing(DIGITS)
    drawn = np.stack([draw(tf.constant([0, n], tf.int64)).numpy() for n in range(2000)]).reshape(-1, 4)
    for column, high in enumerate((1, 1, 2 * np.pi, 1)):
        counts, _ = np.histogram(drawn[:, column], 8, (0, high))
        assert counts.sum() == 4000 and counts.min() > 400, column


@pytest.mark.parametrize(
    ("digits", "options", "message"),
    [
        (DIGITS.astype("f"), {}, r"must be \[N, 28, 28\] uint8. Received: float32"),
        (DIGITS[:, :20], {}, "Received: uint8"),
        (DIGITS[:0], {}, "Received: uint8"),
        (DIGITS, {"num_digits": 4}, "num_digits must be 1 to 3"),
        (DIGITS, {"num_frames": 0}, "num_frames 1 or more"),
        (DIGITS, {"count": 0}, "count and batch_size must be 1 or more"),
        (DIGITS, {"dtype": "float16"}, "dtype must be float32 or uint8"),
    ],
)
def test_bad_arguments(digits, options, message):
    with pytest.raises(UsageError, match=message):
        moving_mnist.sequences(digits, **{"seed": 0, "batch_size": 2, **options})
