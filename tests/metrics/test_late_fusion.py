"""Late fusion of probabilities."""

import numpy as np
import pytest

from tfav.errors import UsageError
from tfav.metrics.late_fusion import choose_weight, fuse


def test_fusing():
    spatial, motion = np.array([[0.8, 0.2]]), np.array([[0.1, 0.9]])
    np.testing.assert_allclose(fuse(spatial, motion), [[0.45, 0.55]])
    np.testing.assert_allclose(fuse(spatial, motion, 1.0), spatial)
    np.testing.assert_allclose(fuse(spatial, motion, 0.75), [[0.625, 0.375]])
    with pytest.raises(UsageError, match="same shape"):
        fuse(spatial, motion[:, :1])
    with pytest.raises(UsageError, match="0 to 1"):
        fuse(spatial, motion, 1.5)


def test_the_weight_goes_to_the_better_stream():
    truth = np.arange(6) % 3
    good = np.eye(3)[truth] * 0.6 + 0.4 / 3
    bad = np.eye(3)[(truth + 1) % 3] * 0.9 + 0.1 / 3
    assert choose_weight(truth, good, bad) > 0.8
    assert choose_weight(truth, bad, good) < 0.2
