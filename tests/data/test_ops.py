"""Clip ops: one draw per clip, dtypes and ranges kept, the imgaug bridge."""

import numpy as np
import pytest
import tensorflow as tf

from tfav.data import ops
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
        ops.random_crop(8, 8),
        ops.random_resized_crop(8, 8, 0.3),
        ops.random_erasing(0.7),
        ops.random_flip(),
        ops.random_shift(3),
        ops.color_jitter(0.4, 0.4, 0.4, 0.2),
        ops.chain(ops.random_crop(12, 12), ops.random_flip(), ops.color_jitter()),
    ],
    ids=["crop", "resized crop", "erasing", "flip", "shift", "color", "chain"],
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
    stretched = in_graph(ops.resize(8, 8), clip)
    boxed = in_graph(ops.letterbox(10, 10), clip)
    assert stretched.shape == (5, 8, 8, 3)
    assert stretched.dtype == boxed.dtype == dtype
    assert np.min(stretched) >= 0 and np.max(stretched) <= 255
    assert not boxed[:, 0].numpy().any()  # 16 x 20 into 10 x 10 leaves a black bar above
    assert boxed[:, 5].numpy().any()


def test_center_crop_is_the_middle(clip):
    assert np.array_equal(in_graph(ops.center_crop(8, 10), clip), clip[:, 4:12, 5:15])


def test_crop_larger_than_the_clip_is_an_error(clip):
    with pytest.raises(tf.errors.InvalidArgumentError, match="larger than the clip"):
        in_graph(ops.random_crop(17, 8), clip)


def test_resized_crop_stretches_by_no_more_than_it_may_and_stays_inside():
    """A ramp tells where each pixel of the result was: its slope is the side of the rectangle over that of the crop."""
    rows, columns = np.meshgrid(np.arange(40.0), np.arange(60.0), indexing="ij")
    ramp = tf.constant(np.stack([rows, columns], axis=-1)[None], tf.float32)
    slopes = []
    for cut in draws(ops.random_resized_crop(32, 50, 0.2), ramp, 40):
        assert cut.shape == (1, 32, 50, 2)
        assert cut.min() >= 0 and cut[..., 0].max() <= 39 and cut[..., 1].max() <= 59
        slopes.append((cut[0, 20, 0, 0] - cut[0, 10, 0, 0], cut[0, 0, 30, 1] - cut[0, 0, 20, 1]))
    down, across = np.array(slopes).T / 10
    assert 0.8 < down.min() < 0.87 and 1.12 < down.max() < 1.26
    assert 0.8 < across.min() < 0.87 and 1.12 < across.max() < 1.21  # 60 of 50 is all there is
    assert abs(np.corrcoef(down, across)[0, 1]) < 0.5
    still = draws(ops.random_resized_crop(32, 50, 0.0), ramp, 15)
    assert all((np.diff(cut[0, :, 0, 0]) == 1).all() and (cut % 1 == 0).all() for cut in still)
    assert len({tuple(cut[0, 0, 0]) for cut in still}) > 8
    with pytest.raises(tf.errors.InvalidArgumentError, match="larger than the clip"):
        in_graph(ops.random_resized_crop(41, 8, 0.1), ramp)


def test_erasing_covers_one_rectangle_in_its_share_of_clips():
    ones = tf.ones([2, 40, 60, 1])
    erase = ops.random_erasing(0.3, fill=7.0)
    covered = [erase(ones, tf.constant([number, 0], tf.int64)).numpy()[0, ..., 0] == 7 for number in range(300)]
    hit = [mask for mask in covered if mask.any()]
    assert 0.2 < len(hit) / 300 < 0.4
    for mask in hit:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert len(rows) <= 23 and len(columns) <= 34
    share = np.mean(hit, axis=0)
    assert share.mean(0).min() > 0.02 and share.mean(1).min() > 0.02  # as far as the edges
    assert not any((cut == 7).any() for cut in draws(ops.random_erasing(0.0, fill=7.0), ones, 10))


def test_flip_mirrors_left_and_right(clip):
    assert np.array_equal(in_graph(ops.random_flip(1.0), clip), clip[:, :, ::-1])
    assert np.array_equal(in_graph(ops.random_flip(0.0), clip), clip)


def test_pad_time_marks_what_is_real():
    black = tf.zeros([2, 4, 4, 3], tf.uint8)  # real frames may be black
    padded, mask = ops.pad_time(4)(black)
    assert padded.shape == (4, 4, 4, 3)
    assert mask.numpy().tolist() == [True, True, False, False]
    cut, mask = ops.pad_time(1)(black)
    assert cut.shape[0] == 1 and mask.numpy().all()


def test_imgaug_bridge_draws_once_per_clip(clip):
    import_imgaug()
    import imgaug.augmenters as iaa

    augmenter = iaa.Sequential([iaa.Fliplr(0.5), iaa.Multiply((0.5, 1.5)), iaa.AdditiveGaussianNoise(scale=(5, 20))])
    results = draws(ops.from_imgaug(augmenter), clip, 6)
    for result in results:
        assert result.shape == clip.shape
        assert (result == result[:1]).all()
    assert any((a != results[0]).any() for a in results[1:])


def test_imgaug_bridge_repeats_for_a_seed_and_keeps_float(clip):
    import_imgaug()
    import imgaug.augmenters as iaa

    operation = ops.from_imgaug(iaa.Affine(rotate=(-30, 30)))
    draws = []
    for _ in range(2):
        tf.random.set_seed(7)
        draws.append(in_graph(operation, tf.cast(clip, tf.float32) / 255).numpy())
    assert np.array_equal(*draws)
    assert draws[0].dtype == np.float32 and draws[0].max() <= 1


def test_imgaug_bridge_refuses_other_things():
    with pytest.raises(UsageError, match="imgaug augmenter"):
        ops.from_imgaug(lambda image: image)
