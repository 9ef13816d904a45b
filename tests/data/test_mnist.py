"""Where the digits come from, and files that are not MNIST."""

import numpy as np
import pytest

from tfav.data import mnist
from tfav.errors import DataError, UsageError
from tfav.io.download import FetchError

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)


def save(path, train=PICTURES, test=PICTURES[:2]):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, x_train=train, x_test=test)
    return path


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No Keras cache of this machine, and no network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))

    def offline(*_):
        raise FetchError("there is no network.")

    monkeypatch.setattr(mnist, "fetch", offline)
    return tmp_path


def test_a_named_file(alone):
    digits = mnist.load_digits(save(alone / "here.npz"))
    assert digits.is_mnist and len(digits.train) == 6 and len(digits.test) == 2
    np.testing.assert_array_equal(digits.train, PICTURES)


def test_keras_cache_then_the_data_folder(alone, capsys):
    save(alone / "data/mnist/mnist.npz", test=PICTURES[:3])
    assert len(mnist.load_digits(data_dir=alone / "data").test) == 3
    save(alone / "keras/datasets/mnist.npz")
    assert len(mnist.load_digits(data_dir=alone / "data").test) == 2
    assert capsys.readouterr().out == ""


def test_download(alone, monkeypatch):
    monkeypatch.setattr(mnist, "fetch", lambda name, data_dir: save(alone / "got/mnist.npz").parent)
    assert mnist.load_digits(data_dir=alone / "data").is_mnist


def test_offline_the_small_digits_and_a_line_that_says_so(alone, capsys):
    digits = mnist.load_digits(data_dir=alone / "data")
    assert not digits.is_mnist and "8x8" in digits.source
    said = capsys.readouterr().out
    assert "there is no network" in said and "8x8 digits" in said and "--mnist FILE" in said
    assert digits.train.shape == (1437, 28, 28) and digits.test.shape == (360, 28, 28)
    assert digits.train.dtype == np.uint8 and digits.train.max() == 255
    assert digits.train[:, :4].max() == 0 and digits.train[:, :, -4:].max() == 0  # as MNIST's: an empty margin
    assert not mnist.load_digits("small").is_mnist


def test_real_file(shared_data):
    digits = mnist.load_digits(shared_data("mnist/mnist.npz"))
    assert digits.train.shape == (60_000, 28, 28) and digits.test.shape == (10_000, 28, 28)


def test_files_that_are_not_mnist(alone):
    with pytest.raises(UsageError, match=r"gone.npz: no such file"):
        mnist.load_digits(alone / "gone.npz")
    with pytest.raises(DataError, match=r"x_train must be \[N, 28, 28\] uint8. Received: float64"):
        mnist.load_digits(save(alone / "a.npz", train=PICTURES / 255))
    np.savez(alone / "b.npz", images=PICTURES)
    with pytest.raises(DataError, match=r"not Keras' mnist\.npz"):
        mnist.load_digits(alone / "b.npz")
    whole = save(alone / "c.npz").read_bytes()
    for length in (0, 100, len(whole) - 500):
        (alone / "d.npz").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"d.npz: (not Keras|damaged)"):
            mnist.load_digits(alone / "d.npz")
