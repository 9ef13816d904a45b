"""Whatever one file raises is its own error, in a line that names it; Ctrl-C is not."""

import errno

import cv2
import numpy as np
import pytest

from tfav.errors import MediaError, TfavError
from tfav.io.isolate_errors import answers_of, failure_of, row_of


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


@pytest.mark.parametrize("bad", [set(), {0}, {3}, {1, 2}, {0, 1, 2, 3, 4}])
def test_many_asked_together_go_on_past_those_that_fail(bad):
    """A batch of two fails when one of both is bad, as a data set's does."""

    def answer(items):
        for start in range(0, len(items), 2):
            if bad & set(items[start : start + 2]):
                raise ValueError("somewhere in this batch")
            yield from (10 * item for item in items[start : start + 2])

    found = list(answers_of([0, 1, 2, 3, 4], answer, lambda item: f"{item}.mp4"))
    assert [item for item, _ in found] == [0, 1, 2, 3, 4]
    assert {item for item, answer in found if isinstance(answer, TfavError)} == bad
    assert all(answer == 10 * item for item, answer in found if item not in bad)
    assert all(str(answer).startswith(f"{item}.mp4: ") for item, answer in found if item in bad)
