"""TV-L1 in NumPy against OpenCV's: the same bits, whatever the frames."""

import cv2
import numpy as np
import pytest

from tfav.io import optical_flow, tvl1


def opencv_flow(previous, following):
    return cv2.optflow.DualTVL1OpticalFlow_create().calc(previous, following, None)


def smooth_pair(height, width, seed=0, shift=(1, 2)):
    """A smooth pattern that moves down and to the right, and a square that does not, `[H, W]` uint8 each."""
    down, right = shift
    noise = np.random.default_rng(seed).integers(0, 256, (height + down, width + right), dtype=np.uint8)
    pattern = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.0), None, 0, 255, cv2.NORM_MINMAX)
    previous, following = pattern[down:, right:].copy(), pattern[:height, :width].copy()
    for frame in (previous, following):
        frame[4:10, 5:12] = 128  # flat, so that its gradient is nothing
    return previous, following


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (45, 33), (64, 81)])
def test_equals_opencv_at_any_size(size):
    pair = smooth_pair(*size)
    ours = tvl1.compute_tvl1(*pair)
    assert ours.dtype == np.float32 and np.abs(ours).max() > 0.5
    np.testing.assert_array_equal(ours, opencv_flow(*pair))


def test_equals_opencv_on_a_frame_of_several_blocks(monkeypatch):
    pair = smooth_pair(30, 41, seed=1)
    whole = tvl1.compute_tvl1(*pair)
    np.testing.assert_array_equal(whole, opencv_flow(*pair))
    for block_pixels in (1, 41 * 7):  # a row at a time, and blocks that do not come out even
        monkeypatch.setattr(tvl1, "_BLOCK_PIXELS", block_pixels)
        np.testing.assert_array_equal(tvl1.compute_tvl1(*pair), whole)


def test_equals_opencv_on_noise_on_black_and_on_a_cut():
    noise = np.random.default_rng(2).integers(0, 256, (2, 40, 48), dtype=np.uint8)
    black = np.zeros((40, 48), np.uint8)
    ramp = np.broadcast_to(np.arange(48, dtype=np.uint8) // 16, (40, 48)).copy()  # gradients of 0 and nearly 0
    for previous, following in [noise, (black, black), (black, noise[0]), (ramp, np.roll(ramp, 1, axis=1))]:
        np.testing.assert_array_equal(tvl1.compute_tvl1(previous, following), opencv_flow(previous, following))


def test_a_still_pair_equals_opencv():
    frame, _ = smooth_pair(40, 48)
    ours = tvl1.compute_tvl1(frame, frame)
    np.testing.assert_array_equal(ours, opencv_flow(frame, frame))
    assert np.abs(ours).max() < 1e-3


def scale_of_one_block(rest, gradient, flow_values):
    """A scale with these images, `[H, W]` float32, as they are in the middle of iterating."""
    width = rest.shape[1]
    scale = tvl1._Scale(np.zeros(rest.shape, np.float32), np.zeros(rest.shape, np.float32))
    squared = gradient[0] * gradient[0] + gradient[1] * gradient[1]
    scale._image(scale.rest)[...] = rest
    for component in (0, 1):
        scale._image(scale.gradient[component])[...] = gradient[component]
        scale._image(scale.flow[component])[...] = flow_values[component]
    scale._image(scale.threshold)[...] = tvl1._LIMIT * squared
    flat = squared <= np.finfo(np.float32).eps
    scale._image(scale.divisor)[...] = np.where(flat, np.float32(-1), -squared)
    scale.nearly_flat = np.flatnonzero(flat & ((gradient[0] != 0) | (gradient[1] != 0))) + width
    return scale


def test_residuals_on_the_threshold_and_gradients_of_nearly_nothing():
    height, width = 16, 64
    random = np.random.default_rng(3)
    gradient = random.normal(0, 5, (2, height, width)).astype(np.float32)
    gradient[:, 8:] = random.normal(0, 2e-4, (2, 8, width)).astype(np.float32)
    squared = gradient[0] * gradient[0] + gradient[1] * gradient[1]
    threshold = tvl1._LIMIT * squared
    signs = random.choice(np.array([-1, 1], np.float32), (height, width))
    over = np.where(np.arange(width) % 4 == 3, np.nextafter(threshold, np.float32(1e9)), threshold)
    rest = signs * np.where(np.arange(width) % 4 == 2, threshold / 2, over).astype(np.float32)
    zeros = np.zeros((2, height, width), np.float32)
    scale = scale_of_one_block(rest, gradient, zeros)
    scale._change_flow(width, width + height * width)

    steps = np.where(squared > np.finfo(np.float32).eps, -rest / squared, np.float32(0))  # the rule, branch by branch
    steps = np.where(rest < -threshold, tvl1._LIMIT, np.where(rest > threshold, -tvl1._LIMIT, steps))
    assert (np.abs(steps) > tvl1._LIMIT).any()  # rounded up by the division: what clipping alone gets wrong
    for component in (0, 1):
        np.testing.assert_array_equal(scale._image(scale.next_flow[component]), steps * gradient[component])


def test_lengths_are_those_of_hypot():
    scale = tvl1._Scale(*np.zeros((2, 64, 256), np.float32))
    random = np.random.default_rng(4)
    dx, dy = (random.normal(size=(2, 65 * 256)) * 10.0 ** random.integers(-30, 5, (2, 65 * 256)) for _ in range(2))
    dx, dy = dx.astype(np.float32), dy.astype(np.float32)
    exact = np.hypot(dx.astype(np.float64), dy.astype(np.float64))
    lengths = cv2.magnitude(dx.astype(np.float64), dy.astype(np.float64))
    assert (np.abs(lengths.view(np.int64) - exact.view(np.int64)) <= 2).all()  # the module allows for 4
    middle = 1 + 2.0**-24  # half way between two float32, so the next double up or down rounds to another one
    lengths[:, :3] = np.nextafter(middle, 0), middle, np.nextafter(middle, 2)
    lengths[:, 3] = 1 + 2.0**-23  # a float32, and to be left alone
    scale._mend_lengths(lengths, dx, dy)
    np.testing.assert_array_equal(lengths[:, :3], exact[:, :3])
    assert (lengths[:, 3] == 1 + 2.0**-23).all()
    np.testing.assert_array_equal(lengths[:, 4:].astype(np.float32), exact[:, 4:].astype(np.float32))


def test_another_opencv_and_unusual_sizes_go_to_opencv(monkeypatch):
    pair, narrow = smooth_pair(40, 48), smooth_pair(60, 15)
    np.testing.assert_array_equal(optical_flow.compute_flow(*narrow), opencv_flow(*narrow))
    assert tvl1.equals_opencv() and tvl1.is_covered((16, 16)) and not tvl1.is_covered((60, 15))

    monkeypatch.setattr(optical_flow, "compute_tvl1", lambda previous, following: "ours")
    assert optical_flow.compute_flow(*pair) == "ours"
    monkeypatch.setattr(optical_flow, "equals_opencv", lambda: False)
    np.testing.assert_array_equal(optical_flow.compute_flow(*pair), opencv_flow(*pair))


def test_the_self_check_notices_a_change(monkeypatch):
    tvl1.equals_opencv.cache_clear()
    monkeypatch.setattr(tvl1, "NUM_WARPS", 4)
    assert not tvl1.equals_opencv()
    tvl1.equals_opencv.cache_clear()
