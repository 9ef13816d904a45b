"""A window with the newest frame and the answer over it, where there is a display."""

import os
import sys
from collections.abc import Callable, Mapping

import cv2
import numpy as np

from tfav.io.images import resize
from tfav.io.text_files import for_plots

_TITLE = "tfav live"
_LARGEST = 960  # pixels of the longer side
_CLOSING_KEYS = (27, ord("q"))
_NUM_LINES = 3


def has_display() -> bool:
    """Whether a window can be opened, as far as the surroundings tell."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_overlay(said: Callable[[str], None]) -> Callable[[np.ndarray, dict | None], bool] | None:
    """A function that shows a frame with a row, and returns False once Esc or q was pressed; None without a display.

    Args:
        said: Is given a line where windows turn out not to work.
    """
    if not has_display():
        return None
    works = True

    def show(picture: np.ndarray, row: dict | None) -> bool:
        nonlocal works
        if not works:
            return True
        try:
            cv2.imshow(_TITLE, cv2.cvtColor(draw_answer(picture, row or {}), cv2.COLOR_RGB2BGR))
            return cv2.waitKey(1) & 0xFF not in _CLOSING_KEYS
        except cv2.error:  # the headless build of OpenCV
            works = False
            said("this OpenCV opens no windows; answers are printed alone.")
            return True

    return show


def draw_answer(picture: np.ndarray, row: Mapping) -> np.ndarray:
    """A copy of a frame `[H, W, 3]` uint8 with the best classes, or the text, of a row at its bottom."""
    scale = min(1.0, _LARGEST / max(picture.shape[:2]))
    picture = resize(picture, *(max(1, round(side * scale)) for side in picture.shape[:2])).copy()
    height = max(12, len(picture) // 16)
    lines = answer_lines(row)[:_NUM_LINES]
    if lines:
        picture[-(len(lines) * height + height // 2) :] //= 4
    for number, line in enumerate(reversed(lines)):
        place = (height // 2, len(picture) - height // 2 - number * height)
        cv2.putText(
            picture, for_plots(line), place, cv2.FONT_HERSHEY_SIMPLEX, height / 32, (255, 255, 255), 1, cv2.LINE_AA
        )
    return picture


def answer_lines(row: Mapping) -> list[str]:
    """A row's answer as lines of text: classes with their probabilities, best first, or what was said."""
    if "text" in row:
        return [row["text"]]
    if row.get("labels") == []:
        return ["none of the classes"]
    return [f"{rank['probability']:6.1%}  {rank['label']}" for rank in row.get("labels", row.get("ranking", ()))]
