"""MNIST's pictures: from a file, Keras' cache or a download; else scikit-learn's small digits, scaled up."""

import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from tfav.errors import DataError, TfavError, UsageError
from tfav.io.atomic_write import DiskFullError
from tfav.io.console import say
from tfav.io.fetch import fetch
from tfav.io.images import resize
from tfav.io.npz import ArraysError, read_npz

SIZE = 28  # pixels
_BOX = 20  # MNIST's digits fill a box of 20 x 20 pixels in the middle
_MAX_BYTES = 1 << 30  # MNIST's are 55 MB
_NUM_SMALL_TEST = 360  # of scikit-learn's 1797: the last fifth
SMALL_DIGITS = "scikit-learn's 8x8 digits, scaled up"


class Digits(NamedTuple):
    """Pictures `[N, 28, 28]` uint8, bright on black, to train on and to test on; `source` says what they are."""

    train: np.ndarray
    test: np.ndarray
    source: str

    @property
    def is_mnist(self) -> bool:
        """Whether these are MNIST's, or the small ones that stand in for them."""
        return self.source != SMALL_DIGITS


def load_digits(path: Path | str = "", *, data_dir: Path | str = "data") -> Digits:
    """Reads MNIST, or what can stand in for it.

    Args:
        path: Keras' `mnist.npz`; `small`: the small digits; empty: Keras' cache (`$KERAS_HOME`, else `~/.keras`), then
            `data_dir/mnist`, then a download to there, and where that cannot be had the small digits.
        data_dir: Where `tfav fetch` puts data sets.

    Returns:
        The pictures; a line is printed where they are not MNIST's.

    Raises:
        UsageError: `path` is not there.
        DataError: The file holds something else.
    """
    if str(path) == "small":
        return small_digits()
    if path:
        if not Path(path).is_file():
            raise UsageError(f"{path}: no such file. Give --mnist Keras' mnist.npz, or leave it out.")
        return _read(Path(path))
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    for known in (home / "datasets" / "mnist.npz", Path(data_dir) / "mnist" / "mnist.npz"):
        if known.is_file():
            return _read(known)
    try:
        return _read(fetch("mnist", data_dir) / "mnist.npz")
    except DiskFullError:
        raise
    except TfavError as error:
        hint = "For MNIST give --mnist FILE or run tfav fetch mnist."
        say(f"note: MNIST cannot be had ({error}) Using {SMALL_DIGITS}. {hint}")
    return small_digits()


def small_digits() -> Digits:
    """scikit-learn's 1797 digits of 8 x 8 pixels at MNIST's size, the last 360 for testing."""
    from sklearn import datasets

    pictures = np.zeros((len(datasets.load_digits().images), SIZE, SIZE), np.uint8)
    margin = (SIZE - _BOX) // 2
    for picture, small in zip(pictures, datasets.load_digits().images, strict=True):
        large = resize(small * (255 / 16), _BOX, _BOX, growing=cv2.INTER_CUBIC)
        picture[margin:-margin, margin:-margin] = np.clip(np.rint(large), 0, 255)
    return Digits(pictures[:-_NUM_SMALL_TEST], pictures[-_NUM_SMALL_TEST:], SMALL_DIGITS)


def _read(path: Path) -> Digits:
    try:
        train, test = read_npz(path, ["x_train", "x_test"], max_bytes=_MAX_BYTES).values()
    except ArraysError as error:
        raise DataError(
            f"{path}: not Keras' mnist.npz, or damaged: x_train and x_test are needed. Fetch it again."
        ) from error
    for name, pictures in (("x_train", train), ("x_test", test)):
        if pictures.ndim != 3 or pictures.shape[1:] != (SIZE, SIZE) or pictures.dtype != np.uint8 or not len(pictures):
            raise DataError(
                f"{path}: {name} must be [N, {SIZE}, {SIZE}] uint8. Received: {pictures.dtype} {pictures.shape}"
            )
    return Digits(train, test, "MNIST")
