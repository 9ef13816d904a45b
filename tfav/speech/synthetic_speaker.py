"""A drawn speaker with known answers: each letter has a mouth of its own and a tone of its own.

Mouths alone for training, and a whole face, which YuNet, the face detector, finds in every frame, for whoever has no
video at hand and for pictures that show nobody. Loads no TensorFlow.
"""

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from tfav.io.encoding import write_video

FPS = 25
SAMPLE_RATE = 16000
FACE_HEIGHT, FACE_WIDTH = 288, 360  # as GRID's
FRAMES_PER_LETTER = 4
# Of the words: the letters that are seen, and those that are heard. "bin" and "place" look alike, "now" and "soon"
# sound alike.
WORDS: dict[str, tuple[str, str]] = {
    "bin": ("lhl", "ama"),
    "place": ("lhl", "fzf"),
    "blue": ("ozk", "kaq"),
    "white": ("zod", "qud"),
    "now": ("dzo", "pvp"),
    "soon": ("ulh", "pvp"),
}
SUNG = ("white", "blue", "soon")  # what `write_singing_face` says

_MOUTH_HEIGHT, _MOUTH_WIDTH = 28, 56  # pixels that the sizes of mouths are meant for
_LOWEST_HZ = 220.0
_STEPS_PER_OCTAVE = 8
_SPOKEN_FRAMES = 2  # of a letter that `speak` says
_PAUSE = 10  # frames of a closed mouth before and after

_BACKGROUND, _COAT, _SKIN, _SHADE, _HAIR = (70, 90, 120), (60, 60, 80), (224, 180, 154), (196, 150, 125), (60, 40, 30)
_OPENING = {"a": 1.0, "e": 0.6, "i": 0.45, "o": 0.9, "u": 0.5, "m": 0.0, "b": 0.0, "p": 0.0, " ": 0.0}  # others 0.25
_ROUND = set("ouwq")
# A mouth alone is a picture 56 pixels wide; one cut out of a video is 1.75 eye distances, of 52 pixels, wide.
_LETTER_SCALE, _LETTER_LIPS = 1.75 * 52 / 56, (120, 70, 70)


# Letters ------------------------------------------------------------------------------------------------------------


def letter_shape(letter: str) -> tuple[float, float, float]:
    """Width and opening of the mouth, 0-1, and how much of the teeth is seen; a closed mouth for what is no letter."""
    if not letter.isalpha():
        return 0.5, 0.0, 0.0
    if not ("a" <= letter <= "z"):
        base = unicodedata.normalize("NFD", letter)[0]
        if "a" <= base <= "z":  # a mark changes the mouth by half a step, to one that no plain letter has
            width, opening, teeth = letter_shape(base)
            return abs(width - 0.25), opening, abs(teeth - 0.25)
        code = ord(letter)
        return (code % 5) / 4, 0.2 + 0.2 * (code // 5 % 5), (code // 25 % 3) / 2
    place = ord(letter) - ord("a")
    return (place % 3) / 2, 0.25 + 0.25 * (place // 3 % 4), (place // 12) / 2


def letter_hz(letter: str) -> float:
    """The letter's tone in Hz, 220 to 1920; 0, silence, for anything else."""
    return _LOWEST_HZ * 2 ** ((ord(letter) - ord("a")) / _STEPS_PER_OCTAVE) if "a" <= letter <= "z" else 0.0


def sing(letters: str, samples_per_letter: int, sample_rate: int) -> np.ndarray:
    """One tone after the other, `[len(letters) * samples_per_letter]` float32, 0.3 loud, silence for no letter."""
    hertz = np.repeat([letter_hz(letter) for letter in letters], samples_per_letter)
    phase = 2 * np.pi * np.cumsum(hertz) / sample_rate
    return np.where(hertz > 0, 0.3 * np.sin(phase), 0.0).astype(np.float32)


# Mouths -------------------------------------------------------------------------------------------------------------


def draw_mouths(letters: str, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Pictures of a mouth whose place, skin and lips are drawn once, with a camera's noise.

    Args:
        letters: One for each frame, a blank for a closed mouth.
        size: Height and width in pixels.
        rng: Of all that is random.

    Returns:
        `[len(letters), height, width, 1]` uint8 grey.
    """
    center = np.array([size[1] / 2, size[0] / 2]) + rng.uniform(-1.5, 1.5, 2)
    skin, lips = rng.uniform(120, 190), rng.uniform(60, 100)
    frames = np.stack([draw_mouth(letter_shape(letter), center, skin, lips, size) for letter in letters])
    return np.clip(frames + rng.normal(0, 4, frames.shape), 0, 255).round().astype(np.uint8)[..., None]


def draw_mouth(
    shape: tuple[float, float, float],
    center: tuple[float, float],
    skin: float,
    lips: float,
    size: tuple[int, int] = (_MOUTH_HEIGHT, _MOUTH_WIDTH),
) -> np.ndarray:
    """A picture of a mouth, `size` float32, grey 0-255.

    Args:
        shape: From `letter_shape`.
        center: x and y in pixels.
        skin: Grey level.
        lips: Grey level.
        size: Height and width in pixels; the mouth is as large as they allow.
    """
    width, opening, teeth = shape
    scale = min(size[0] / _MOUTH_HEIGHT, size[1] / _MOUTH_WIDTH)
    frame = np.full(size, skin, np.float32)
    place = tuple(np.round(np.asarray(center) * 16).astype(int).tolist())  # 4 fractional bits

    def ellipse(half_width: float, half_height: float, grey: float) -> None:
        axes = (round(scale * half_width * 16), max(8, round(scale * half_height * 16)))
        cv2.ellipse(frame, place, axes, 0, 0, 360, float(grey), -1, cv2.LINE_8, 4)

    outer = 9 + 9 * width
    ellipse(outer, 2.5 + 7 * opening, lips)
    if opening:
        ellipse(outer - 2, 7 * opening, 20 + 200 * teeth)
    return frame


# A whole face -------------------------------------------------------------------------------------------------------


def write_speaking_face(path: Path | str) -> Path:
    """A video of the face saying a sentence of GRID's, without sound."""
    return write_video(path, speak("bin blue at f two now"), FPS)


def write_singing_face(path: Path | str) -> Path:
    """A video of the face saying the words of `SUNG` in their mouths and their tones."""
    pause = " " * 6
    seen, heard = (
        pause + pause.join("".join(letter * FRAMES_PER_LETTER for letter in letters) for letters in lines) + pause
        for lines in zip(*(WORDS[word] for word in SUNG), strict=True)
    )
    sound = sing(heard, SAMPLE_RATE // FPS, SAMPLE_RATE)
    return write_video(path, mouth_letters(seen), FPS, sound=sound, sample_rate=SAMPLE_RATE)


def speak(text: str, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Frames of the face saying something, 25 a second. Nobody can read it off the lips.

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
        openings += [_OPENING.get(letter, 0.25)] * _SPOKEN_FRAMES
        rounds += [float(letter in _ROUND)] * _SPOKEN_FRAMES
    smooth = [np.convolve(values + [0.0] * _PAUSE, [0.25, 0.5, 0.25], "same") for values in (openings, rounds)]
    light = _light()
    for number, (opening, rounded) in enumerate(zip(*smooth, strict=True)):
        sway = np.array([3 * np.sin(number / 17), 1.5 * np.sin(number / 11)])
        blink = number % 70 in (40, 41, 42)
        frame = draw_face(opening, rounded, sway=sway, blink=blink) * light
        yield np.clip(frame + rng.normal(0, 3, (FACE_HEIGHT, FACE_WIDTH, 1)), 0, 255).astype(np.uint8)


def mouth_letters(letters: str, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Frames of the face making the mouths of letters, one a frame, a blank for a closed mouth.

    A model that has learned the drawn mouths can read it.

    Args:
        letters: Small letters of any script, and blanks.
        seed: Of the camera's noise.

    Yields:
        `[288, 360, 3]` uint8 RGB.
    """
    rng, light = np.random.default_rng(seed), _light()
    for letter in letters:
        frame = draw_face(0.0, 0.0, shape=letter_shape(letter)) * light
        yield np.clip(frame + rng.normal(0, 3, (FACE_HEIGHT, FACE_WIDTH, 1)), 0, 255).astype(np.uint8)


def draw_face(
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
        shape: Of the mouth, as `letter_shape` gives it, in place of `opening` and `rounded`.

    Returns:
        `[288, 360, 3]` uint8 RGB.
    """
    frame = np.full((FACE_HEIGHT, FACE_WIDTH, 3), _BACKGROUND, np.uint8)
    across, down = np.array([FACE_WIDTH / 2, FACE_HEIGHT / 2 - 5]) + (0 if sway is None else sway)

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
        half = _LETTER_SCALE * (9 + 9 * width)
        oval(0, 48, half, _LETTER_SCALE * (2.5 + 7 * opening), _LETTER_LIPS)
        if opening:
            oval(0, 48, half - 2 * _LETTER_SCALE, _LETTER_SCALE * 7 * opening, (20 + 200 * teeth,) * 3)
        return cv2.GaussianBlur(frame, (0, 0), 1.2)
    half = 27 - 9 * rounded
    oval(0, 48, half, 5 + 11 * opening, (180, 80, 80))
    oval(0, 48, half - 5, 1 + 8 * opening, (60, 20, 25))
    if opening > 0.3:
        oval(0, 48 - 5 * opening, half - 9, 2.5 * opening, (235, 230, 225))
    return cv2.GaussianBlur(frame, (0, 0), 1.2)


def _light() -> np.ndarray:
    """`[288, 360, 1]`: brighter from the upper left, as a lamp would make it."""
    y, x = np.mgrid[:FACE_HEIGHT, :FACE_WIDTH]
    return (1.12 - 0.28 * (((x - 155) / 140) ** 2 + ((y - 119) / 170) ** 2))[..., None]
