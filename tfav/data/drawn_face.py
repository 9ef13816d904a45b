"""A drawn face that speaks: for whoever has no video at hand, and for pictures that show nobody.

YuNet, the face detector, finds it in every frame. Its mouth opens and closes letter by letter; what it says can be read
off its lips by nobody, or, where it makes the mouths of `made_speech`, by a model that has learned those.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from tfav.data.synthetic_speech import letter_shape

HEIGHT, WIDTH = 288, 360  # as GRID's
FPS = 25
_FRAMES_PER_LETTER = 2
_PAUSE = 10  # frames of a closed mouth before and after

_BACKGROUND, _COAT, _SKIN, _SHADE, _HAIR = (70, 90, 120), (60, 60, 80), (224, 180, 154), (196, 150, 125), (60, 40, 30)
_OPENING = {"a": 1.0, "e": 0.6, "i": 0.45, "o": 0.9, "u": 0.5, "m": 0.0, "b": 0.0, "p": 0.0, " ": 0.0}  # others 0.25
_ROUND = set("ouwq")
# Mouths of `made_speech` are 56 pixels wide pictures; one cut out of a video is 1.75 eye distances, of 52 pixels, wide.
_MADE_SCALE, _MADE_LIPS = 1.75 * 52 / 56, (120, 70, 70)


def speak(text: str, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Frames of the face saying something, 25 a second.

    Args:
        text: Letters and spaces.
        seed: Of the camera's noise.

    Yields:
        `[288, 360, 3]` uint8 RGB.
    """
    rng = np.random.default_rng(seed)
    openings = [0.0] * _PAUSE
    rounds = [0.0] * _PAUSE
    for letter in text.lower():
        openings += [_OPENING.get(letter, 0.25)] * _FRAMES_PER_LETTER
        rounds += [float(letter in _ROUND)] * _FRAMES_PER_LETTER
    smooth = [np.convolve(values + [0.0] * _PAUSE, [0.25, 0.5, 0.25], "same") for values in (openings, rounds)]
    light = _light()
    for number, (opening, rounded) in enumerate(zip(*smooth, strict=True)):
        sway = np.array([3 * np.sin(number / 17), 1.5 * np.sin(number / 11)])
        blink = number % 70 in (40, 41, 42)
        frame = draw(opening, rounded, sway=sway, blink=blink) * light + rng.normal(0, 3, (HEIGHT, WIDTH, 1))
        yield np.clip(frame, 0, 255).astype(np.uint8)


def mouth_letters(letters: str, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Frames of the face making the mouths of `made_speech`, one letter a frame, a blank for a closed mouth.

    What it says can be read off its lips by whoever has learned from those drawn mouths.

    Args:
        letters: Small letters and blanks.
        seed: Of the camera's noise.

    Yields:
        `[288, 360, 3]` uint8 RGB.
    """
    rng, light = np.random.default_rng(seed), _light()
    for letter in letters:
        frame = draw(0.0, 0.0, shape=letter_shape(letter)) * light + rng.normal(0, 3, (HEIGHT, WIDTH, 1))
        yield np.clip(frame, 0, 255).astype(np.uint8)


def draw(
    opening: float,
    rounded: float,
    *,
    sway: np.ndarray | None = None,
    blink: bool = False,
    shape: tuple[float, float, float] | None = None,
) -> np.ndarray:
    """One picture of the face.

    Args:
        opening: Of the mouth, 0-1.
        rounded: How round the lips are, 0-1.
        sway: Of the head, `[2]`: pixels to the right and down.
        blink: Whether the eyes are closed.
        shape: Of the mouth, as `made_speech.letter_shape` gives it, in place of `opening` and `rounded`.

    Returns:
        `[288, 360, 3]` uint8 RGB.
    """
    frame = np.full((HEIGHT, WIDTH, 3), _BACKGROUND, np.uint8)
    across, down = np.array([WIDTH / 2, HEIGHT / 2 - 5]) + (0 if sway is None else sway)

    def oval(x, y, half_width, half_height, color, start=0, stop=360, thickness=-1):
        place = round((across + x) * 16), round((down + y) * 16)  # 4 fractional bits
        axes = round(half_width * 16), round(max(0.5, half_height) * 16)
        cv2.ellipse(frame, place, axes, 0, start, stop, color, thickness, cv2.LINE_AA, 4)

    oval(0, 189, 120, 90, _COAT)
    oval(0, 95, 28, 40, _SHADE)
    oval(0, -25, 74, 80, _HAIR)
    oval(0, 0, 62, 82, _SKIN)
    oval(0, -62, 60, 34, _HAIR)
    for side in (-1, 1):
        oval(side * 63, 2, 9, 16, (214, 166, 140))
        oval(side * 30, 25, 14, 9, (228, 170, 150))
        oval(side * 7, 22, 3, 2, (150, 100, 85))
        oval(side * 26, -26, 17, 7, (70, 45, 30), 200, 340, 4)
        if blink:
            oval(side * 26, -14, 13, 6, (120, 80, 60), 10, 170, 2)
            continue
        oval(side * 26, -12, 13, 7, (250, 250, 250))
        oval(side * 26, -12, 6, 6.5, (70, 50, 40))
        oval(side * 26, -12, 3, 3, (10, 10, 10))
        oval(side * 26, -13, 15, 9, (120, 80, 60), 190, 350, 2)
    oval(0, 14, 10, 13, (205, 155, 130), 20, 160, 2)
    if shape is not None:
        width, opening, teeth = shape
        half = _MADE_SCALE * (9 + 9 * width)
        oval(0, 48, half, _MADE_SCALE * (2.5 + 7 * opening), _MADE_LIPS)
        if opening:
            oval(0, 48, half - 2 * _MADE_SCALE, _MADE_SCALE * 7 * opening, (20 + 200 * teeth,) * 3)
        return cv2.GaussianBlur(frame, (0, 0), 1.2)
    half = 27 - 9 * rounded
    oval(0, 48, half, 5 + 11 * opening, (180, 80, 80))
    oval(0, 48, half - 5, 1 + 8 * opening, (60, 20, 25))
    if opening > 0.3:
        oval(0, 48 - 5 * opening, half - 9, 2.5 * opening, (235, 230, 225))
    return cv2.GaussianBlur(frame, (0, 0), 1.2)


def _light() -> np.ndarray:
    """`[288, 360, 1]`: brighter from the upper left, as a lamp would make it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (1.12 - 0.28 * (((x - 155) / 140) ** 2 + ((y - 119) / 170) ** 2))[..., None]
