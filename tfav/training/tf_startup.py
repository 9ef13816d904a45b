"""Starting TensorFlow without the noise."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfav import keras_settings


def start_tensorflow() -> None:
    """Imports TensorFlow without its start-up notes, a dozen lines that would bury what the command says.

    They are written by its C++ parts before their log level is known.

    Raises:
        UsageError: This machine's settings for Keras are such that it does not start.
    """
    keras_settings.check_file()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with muted():
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")  # looks for drivers, and complains where there are none


@contextlib.contextmanager
def muted(*, show_failure: bool = True) -> Iterator[None]:
    """Turns the file descriptor of stderr away, which C++ parts write to.

    Args:
        show_failure: Should what is done inside fail, show what was written until then.
    """
    sys.stderr.flush()
    with _spare_file() as said:
        kept = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            if show_failure:
                said.seek(0)
                os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _spare_file():
    """A file to be read again; where no folder takes one, as in a read-only container, one that forgets."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return Path(os.devnull).open("w+b")
