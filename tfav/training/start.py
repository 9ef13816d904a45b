"""Starting TensorFlow without the noise."""

import os
import sys
import tempfile


def start_tensorflow() -> None:
    """Imports TensorFlow without its start-up notes, a dozen lines that would bury what the command says.

    They are written by its C++ parts before their log level is known, so the file descriptor itself is turned away.
    Should the import fail, what was written is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said:
        kept = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices("GPU")  # looks for drivers, and complains where there are none
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
