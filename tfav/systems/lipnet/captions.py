"""Words drawn into pictures as they are said: captions burned into a video, the mouth with its text."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfav.io.encoding import write_video
from tfav.io.video import iter_frames, probe
from tfav.systems.lipnet.corpus import FPS
from tfav.systems.lipnet.times import TimedWord

_SHOWN_HEIGHT = 168  # pixels of the mouth's picture
_SAID, _NOW, _TO_COME = (235, 235, 235), (255, 210, 60), (130, 130, 130)  # RGB
_MAX_WORDS = 8  # in a line


def burn_captions(path: Path | str, out: Path | str, words: Sequence[TimedWord]) -> Path:
    """Writes a video again with its words in a band at the bottom, the one being said marked. Without sound.

    Args:
        path: The video.
        out: The `.mp4` to write.
        words: With times in seconds of the video.

    Returns:
        `out`.

    Raises:
        MediaError: It cannot be read or written.
    """
    fps = probe(path, exact=False).fps

    def pictures() -> Iterator[np.ndarray]:
        for _, time_sec, frame in iter_frames(path, strict=False):
            yield caption(frame, words, time_sec)

    return write_video(out, pictures(), fps)


def caption(frame: np.ndarray, words: Sequence[TimedWord], time_sec: float) -> np.ndarray:
    """Draws the words around a moment into a frame `[H, W, 3]` uint8, over a dark band at its bottom."""
    height, width = frame.shape[:2]
    band = max(14, height // 9)
    picture = frame.copy()
    picture[height - band :] //= 4
    _write(picture, words, time_sec, height - band, band, width)
    return picture


def draw_mouth(crops: np.ndarray, words: Sequence[TimedWord], start_sec: float) -> list[np.ndarray]:
    """The mouth, enlarged, over a line of its words.

    Args:
        crops: `[T, H, W]` uint8.
        words: With times in seconds of the video.
        start_sec: Of the first crop.

    Returns:
        `[H, W, 3]` uint8 pictures, one a crop.
    """
    scale = _SHOWN_HEIGHT / crops.shape[1]
    size = round(crops.shape[2] * scale), _SHOWN_HEIGHT
    pictures = []
    for number, crop in enumerate(crops):
        grey = cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC)
        picture = np.concatenate([np.repeat(grey[..., None], 3, axis=-1), np.zeros((28, size[0], 3), np.uint8)])
        _write(picture, words, start_sec + number / FPS, _SHOWN_HEIGHT, 28, size[0])
        pictures.append(picture)
    return pictures


def _write(picture: np.ndarray, words: Sequence[TimedWord], time_sec: float, top: int, band: int, width: int) -> None:
    """Writes the words of the present line into a band of the picture, in place."""
    if not words:
        return
    current = max((n for n, word in enumerate(words) if word.start_sec <= time_sec), default=0)
    first = current - current % _MAX_WORDS
    line = words[first : first + _MAX_WORDS]
    text = " ".join(word.text for word in line)
    size = band * 0.62
    font = ImageFont.load_default(size)
    size *= min(1.0, 0.94 * width / max(1.0, font.getlength(text)))
    font = ImageFont.load_default(max(6.0, size))
    strip = Image.fromarray(picture[top : top + band])
    draw = ImageDraw.Draw(strip)
    x, y = (width - font.getlength(text)) / 2, band / 2
    for word in line:
        said = _NOW if word.start_sec <= time_sec < word.end_sec else _SAID if word.end_sec <= time_sec else _TO_COME
        draw.text((x, y), word.text, fill=said, font=font, anchor="lm")
        x += font.getlength(word.text + " ")
    picture[top : top + band] = np.asarray(strip)
