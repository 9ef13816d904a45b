"""Drawn mouths and sung letters with known answers: what is said can be read off the picture, and heard.

Each letter has a mouth of its own (width, opening, a glimpse of teeth) and a tone of its own.
"""

import cv2
import numpy as np

# Of the made words: the letters that are seen, and those that are heard. "bin" and "place" look alike, "now" and "soon"
# sound alike.
WORDS: dict[str, tuple[str, str]] = {
    "bin": ("lhl", "ama"),
    "place": ("lhl", "fzf"),
    "blue": ("ozk", "kaq"),
    "white": ("zod", "qud"),
    "now": ("dzo", "pvp"),
    "soon": ("ulh", "pvp"),
}
FRAMES_PER_LETTER = 4

_HEIGHT, _WIDTH = 28, 56  # pixels that the sizes below are meant for
_LOWEST_HZ = 220.0
_STEPS_PER_OCTAVE = 8


def letter_shape(letter: str) -> tuple[float, float, float]:
    """Width and opening of the mouth, 0-1, and how much of the teeth is seen; a closed mouth for anything else."""
    if not ("a" <= letter <= "z"):
        return 0.5, 0.0, 0.0
    place = ord(letter) - ord("a")
    return (place % 3) / 2, 0.25 + 0.25 * (place // 3 % 4), (place // 12) / 2


def letter_hz(letter: str) -> float:
    """The letter's tone in Hz, 220 to 1920; 0, silence, for anything else."""
    return _LOWEST_HZ * 2 ** ((ord(letter) - ord("a")) / _STEPS_PER_OCTAVE) if "a" <= letter <= "z" else 0.0


def draw_mouth(
    shape: tuple[float, float, float],
    center: tuple[float, float],
    skin: float,
    lips: float,
    size: tuple[int, int] = (_HEIGHT, _WIDTH),
) -> np.ndarray:
    """A picture of a mouth, `size` float32, grey 0-255.

    Args:
        shape: From `letter_shape`.
        center: x and y in pixels.
        skin: Grey level.
        lips: Likewise.
        size: Height and width in pixels; the mouth is as large as they allow.
    """
    width, opening, teeth = shape
    scale = min(size[0] / _HEIGHT, size[1] / _WIDTH)
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


def sing(letters: str, samples_per_letter: int, sample_rate: int) -> np.ndarray:
    """One tone after the other, `[len(letters) * samples_per_letter]` float32, 0.3 loud, silence for no letter."""
    hertz = np.repeat([letter_hz(letter) for letter in letters], samples_per_letter)
    phase = 2 * np.pi * np.cumsum(hertz) / sample_rate
    return np.where(hertz > 0, 0.3 * np.sin(phase), 0.0).astype(np.float32)
