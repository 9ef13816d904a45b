"""Clip ops: one draw per clip, dtypes and ranges kept, the imgaug bridge."""

import numpy as np
import pytest
import tensorflow as tf

from tfav.data import augment
from tfav.errors import UsageError
from tfav.old_packages import import_imgaug


@pytest.fixture
def clip():
    """A clip `[5, 16, 20, 3]` whose frames are all the same picture."""
    picture = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
    return tf.constant(np.repeat(picture[None], 5, 0))


def in_graph(operation, clip):
    """Runs an operation as a data set would."""
    return next(iter(tf.data.Dataset.from_tensors(clip).map(operation)))


def draws(operation, clip, count):
    """The operation with as many seeds; without them, another test's global seed would make all draws one."""
    seeds = [tf.constant([number, 0], tf.int64) for number in range(count)]
    return [in_graph(lambda frames, seed=seed: operation(frames, seed), clip).numpy() for seed in seeds]


@pytest.mark.parametrize(
    "operation",
    [
        augment.random_crop(8, 8),
        augment.random_flip(),
        augment.random_shift(3),
        augment.color_jitter(0.4, 0.4, 0.4, 0.2),
        augment.chain(augment.random_crop(12, 12), augment.random_flip(), augment.color_jitter()),
    ],
    ids=["crop", "flip", "shift", "color", "chain"],
)
def test_all_frames_get_the_same_draw_and_clips_differ(operation, clip):
    results = draws(operation, clip, 8)
    for result in results:
        assert result.dtype == np.uint8
        assert (result == result[:1]).all()
    assert any((a != results[0]).any() for a in results[1:])


@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
def test_resize_and_letterbox_keep_dtype_and_range(clip, dtype):
    clip = tf.cast(clip, dtype)
    stretched = in_graph(augment.resize(8, 8), clip)
    boxed = in_graph(augment.letterbox(10, 10), clip)
    assert stretched.shape == (5, 8, 8, 3)
    assert stretched.dtype == boxed.dtype == dtype
    assert np.min(stretched) >= 0 and np.max(stretched) <= 255
    assert not boxed[:, 0].numpy().any()  # 16 x 20 into 10 x 10 leaves a black bar above
    assert boxed[:, 5].numpy().any()


def test_center_crop_is_the_middle(clip):
    assert np.array_equal(in_graph(augment.center_crop(8, 10), clip), clip[:, 4:12, 5:15])


def test_crop_larger_than_the_clip_is_an_error(clip):
    with pytest.raises(tf.errors.InvalidArgumentError, match="larger than the clip"):
        in_graph(augment.random_crop(17, 8), clip)


def test_flip_mirrors_left_and_right(clip):
    assert np.array_equal(in_graph(augment.random_flip(1.0), clip), clip[:, :, ::-1])
    assert np.array_equal(in_graph(augment.random_flip(0.0), clip), clip)


def test_pad_time_marks_what_is_real():
    black = tf.zeros([2, 4, 4, 3], tf.uint8)  # real frames may be black
    padded, mask = augment.pad_time(4)(black)
    assert padded.shape == (4, 4, 4, 3)
    assert mask.numpy().tolist() == [True, True, False, False]
    cut, mask = augment.pad_time(1)(black)
    assert cut.shape[0] == 1 and mask.numpy().all()


def test_imgaug_bridge_draws_once_per_clip(clip):
    import_imgaug()
    import imgaug.augmenters as iaa

    augmenter = iaa.Sequential([iaa.Fliplr(0.5), iaa.Multiply((0.5, 1.5)), iaa.AdditiveGaussianNoise(scale=(5, 20))])
    results = draws(augment.from_imgaug(augmenter), clip, 6)
    for result in results:
        assert result.shape == clip.shape
        assert (result == result[:1]).all()
    assert any((a != results[0]).any() for a in results[1:])


def test_imgaug_bridge_repeats_for_a_seed_and_keeps_float(clip):
    import_imgaug()
    import imgaug.augmenters as iaa

    operation = augment.from_imgaug(iaa.Affine(rotate=(-30, 30)))
    draws = []
    for _ in range(2):
        tf.random.set_seed(7)
        draws.append(in_graph(operation, tf.cast(clip, tf.float32) / 255).numpy())
    assert np.array_equal(*draws)
    assert draws[0].dtype == np.float32 and draws[0].max() <= 1


def test_imgaug_bridge_refuses_other_things():
    with pytest.raises(UsageError, match="imgaug augmenter"):
        augment.from_imgaug(lambda image: image)


# Known answers ------------------------------------------------------------------------------------------------------

SEED = tf.constant([3, 4], tf.int64)


def many(operation, clip, count):
    """As `draws`, in one data set."""
    seeds = tf.data.Dataset.range(count)
    return list(seeds.map(lambda number: operation(clip, tf.stack([number, 0]))).as_numpy_iterator())


def test_mixup_blends_pictures_and_targets_by_the_same_shares():
    """Each example is a unit vector, and so is its target: whatever is blended, both stay equal."""
    ones = tf.eye(32)
    mask = tf.cast(tf.eye(32) > 0, tf.float32)
    for strength, low, high in ((0.2, 0.85, 1.0), (1.0, 0.65, 0.85), (50.0, 0.5, 0.6)):
        inputs, target = augment.mixup(strength)({"x": ones, "mask": mask}, {"y": ones}, SEED)
        mixed = inputs["x"].numpy()
        np.testing.assert_allclose(target["y"], mixed, atol=1e-6)
        np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-6)
        assert (np.diag(mixed) >= 0.5 - 1e-6).all()  # the first of a pair stays the greater part
        assert low < np.diag(mixed).mean() < high
        assert ((mixed > 0).sum(1) <= 2).all() and (mixed.argmax(1) == np.arange(32)).all()
        # A frame is there in the blend if it is there in either.
        assert set(np.unique(inputs["mask"])) == {0, 1} and (inputs["mask"].numpy() >= (mixed > 0)).all()
    np.testing.assert_array_equal(inputs["mask"], mixed > 0)  # of the last, in which all are blended in halves
    again = augment.mixup(1.0)({"x": ones}, ones, SEED)
    np.testing.assert_array_equal(again[1], augment.mixup(1.0)({"x": ones}, ones, SEED)[1])
    assert not np.array_equal(again[1], augment.mixup(1.0)({"x": ones}, ones, SEED + 1)[1])
    halves = augment.mixup(1.0)({"x": tf.cast(ones * 200, tf.uint8)}, ones, SEED)
    np.testing.assert_allclose(halves[0]["x"], 200 * again[1].numpy(), atol=1e-3)


def test_each_shift_of_colour_does_its_own_and_no_more():
    grey, red = np.full((1, 2, 2, 3), 0.5, np.float32), np.zeros((1, 2, 2, 3), np.float32)
    red[..., 0], red[..., 1:] = 0.75, 0.25
    steps = np.zeros((1, 2, 2, 3), np.float32)
    steps[:, 0], steps[:, 1] = 0.25, 0.75
    off = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}

    def all_draws(clip, **on):
        return np.stack(many(augment.color_jitter(**off | on), tf.constant(clip), 40))

    np.testing.assert_allclose(all_draws(red), np.repeat(red[None], 40, 0), atol=1e-6)
    moved = all_draws(grey, brightness=0.2) - 0.5  # every pixel alike, up to a fifth of the range
    assert np.ptp(moved, axis=(1, 2, 3, 4)).max() < 1e-6
    assert -0.2 <= moved.min() < -0.12 and 0.12 < moved.max() <= 0.2
    spread = all_draws(steps, contrast=0.4)
    factors = (spread[:, 0, 1, 0, 0] - spread[:, 0, 0, 0, 0]) / 0.5
    np.testing.assert_allclose(spread.mean((1, 2, 3, 4)), 0.5, atol=1e-5)
    assert 0.6 <= factors.min() < 0.75 and 1.25 < factors.max() <= 1.4
    colours = all_draws(red, saturation=0.4)
    factors = (1 - colours[..., 1] / colours[..., 0])[:, 0, 0, 0] / (1 - 0.25 / 0.75)
    np.testing.assert_allclose(colours[..., 0], 0.75, atol=1e-5)  # the largest stays
    assert 0.6 <= factors.min() < 0.75 and 1.25 < factors.max() <= 1.4
    np.testing.assert_allclose(all_draws(grey, saturation=0.4, hue=0.2), 0.5, atol=1e-5)  # grey has neither
    hues = all_draws(red, hue=0.1)
    np.testing.assert_allclose(
        (hues.max(-1), hues.min(-1)), (np.full_like(hues[..., 0], 0.75), np.full_like(hues[..., 0], 0.25)), atol=1e-5
    )
    turned = (hues[..., 1] - hues[..., 2])[:, 0, 0, 0] / 0.5 / 6  # of the circle, from red to green and to blue
    assert -0.1 <= turned.min() < -0.05 and 0.05 < turned.max() <= 0.1


def test_bright_pixels_do_not_wrap():
    clip = tf.constant(np.array([0, 128, 255], np.uint8).reshape(1, 1, 3, 1).repeat(3, -1))
    made = np.stack(many(augment.color_jitter(0.5, 0.0, 0.0), clip, 30)).astype(int)
    assert (made[..., 0, :] <= made[..., 1, :]).all() and (made[..., 1, :] <= made[..., 2, :]).all()
    assert made.min() == 0 and made.max() == 255


def test_letterbox_keeps_the_aspect_and_resize_does_not():
    wide = np.zeros((1, 8, 16, 1), np.float32)
    wide[:, 2:6, 4:12] = 1  # a rectangle of twice its height
    boxed = augment.letterbox(16, 16)(tf.constant(wide)).numpy()[0, ..., 0] > 0.5
    rows, columns = np.flatnonzero(boxed.any(1)), np.flatnonzero(boxed.any(0))
    assert (len(rows), len(columns)) == (4, 8) and rows[0] == 6 and columns[0] == 4
    stretched = augment.resize(16, 16)(tf.constant(wide)).numpy()[0, ..., 0] > 0.5
    assert (stretched.any(1).sum(), stretched.any(0).sum()) == (8, 8)


@pytest.mark.parametrize("operation", [augment.resize(4, 6), augment.letterbox(4, 6)], ids=["resize", "letterbox"])
def test_shrinking_averages_and_leaves_no_pixel_out(operation):
    """A board of black and white squares of one pixel becomes grey; without antialiasing it stays a pattern."""
    board = (np.indices((32, 48)).sum(0) % 2 * 255).astype(np.uint8)[None, ..., None]
    small = operation(tf.constant(board)).numpy()
    assert small.shape == (1, 4, 6, 1) and abs(small.astype(int) - 127.5).max() < 8


def test_random_crop_reaches_every_place_and_shift_every_distance():
    places = np.arange(5 * 6).reshape(1, 5, 6, 1).astype(np.uint8)
    found = {int(cut[0, 0, 0, 0]) for cut in many(augment.random_crop(3, 3), tf.constant(places), 120)}
    assert found == {row * 6 + column for row in range(3) for column in range(4)}
    shifted = many(augment.random_shift(2), tf.constant(places), 200)
    assert all(picture.shape == (1, 5, 6, 1) for picture in shifted)
    # What stood in the middle, at (2, 2), is found up to two pixels away in each direction.
    middles = {tuple(np.argwhere(picture[0, ..., 0] == 14)[0] - 2) for picture in shifted}
    assert middles == {(down, across) for down in range(-2, 3) for across in range(-2, 3)}
    mirrored = next(p for p in shifted if p[0, 2, 4, 0] == 14)  # moved two to the right
    assert mirrored[0, 2, :4, 0].tolist() == [13, 12, 12, 13]


def test_flip_happens_in_its_share_of_clips(clip):
    flipped = np.mean([not np.array_equal(made, clip) for made in many(augment.random_flip(0.25), clip, 200)])
    assert 0.17 < flipped < 0.33


def test_rows_of_a_batch_have_draws_of_their_own():
    def noise(inputs, target, seed):
        return inputs + tf.random.stateless_uniform([], seed), target

    signature = (tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.int32))
    inputs, target = augment.on_rows(noise, signature)(tf.constant([1.0, 1.0, 5.0]), tf.constant([7, 8, 9]), SEED)
    drawn = inputs.numpy() - [1, 1, 5]
    assert len({round(float(value), 4) for value in drawn}) == 3 and (drawn >= 0).all() and (drawn < 1).all()
    assert target.numpy().tolist() == [7, 8, 9]
    of_the_batch = float(tf.random.stateless_uniform([], augment.split_seed(SEED, 0)))  # with which clips are spliced
    assert not np.isclose(drawn, of_the_batch, atol=1e-5).any()


def test_a_chain_gives_each_of_its_operations_a_draw_of_its_own():
    """Two shifts by one draw would only ever end on the diagonal of equal moves."""

    def count(clip, seed=None):
        return clip * 10 + tf.random.stateless_uniform([], seed, 0, 10, tf.int32)

    pairs = [int(made) for made in many(augment.chain(count, count), tf.constant(0), 40)]
    assert np.mean([pair // 10 == pair % 10 for pair in pairs]) < 0.4
    assert augment.chain()(tf.constant(3)).numpy() == 3
