"""Whatever one file raises is its own error, in a line that names it; Ctrl-C is not."""

import errno

import cv2
import numpy as np
import pytest

from tfav.errors import MediaError
from tfav.io.per_file import failure_of, row_of


def opencv_error():
    try:
        cv2.resize(np.zeros((4, 4), np.uint8), (0, 0))
    except cv2.error as error:
        return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (opencv_error(), "not expected: error: OpenCV"),
        (ValueError("need at least one\narray"), "not expected: ValueError: need at least one array. Leave"),
        (IndexError(), "not expected: IndexError. Leave"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("x" * 5000), "not expected: RuntimeError: xxx"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left"),
    ],
)
def test_any_error_is_one_line_that_names_the_file(error, words):
    def predict(path):
        raise error

    row = row_of("é/clip.mp4", predict)
    assert row["path"] == "é/clip.mp4" and words in row["error"]
    assert row["error"].startswith("é/clip.mp4: ") and "\n" not in row["error"] and len(row["error"]) < 500


def test_what_is_known_stays_as_it_is_and_ctrl_c_goes_through():
    known = MediaError("other.mp4", "cut", "Mend it.")
    assert failure_of("a.mp4", known) is known

    def interrupted(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        row_of("a.mp4", interrupted)
    assert row_of("a.mp4", lambda path, top: {"path": path, "top": top}, top=3) == {"path": "a.mp4", "top": 3}
