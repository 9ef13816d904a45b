"""What was said and when: subtitle files, GRID's alignments, words drawn into pictures as they are said."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfav.errors import DataError
from tfav.io.atomic_write import partial_file
from tfav.io.encoding import write_video
from tfav.io.images import resize
from tfav.io.text_files import write_text
from tfav.io.video import iter_frames, probe
from tfav.metrics.timeline import clock, srt_of
from tfav.speech.grid import FPS, TICKS_PER_FRAME
from tfav.speech.transcripts import TimedWord, group_words

_SHOWN_HEIGHT, _LINE_HEIGHT = 168, 28  # pixels of the mouth's picture, and of the words below it
_SAID, _NOW, _TO_COME = (235, 235, 235), (255, 210, 60), (130, 130, 130)  # RGB
_MAX_WORDS = 8  # in a line


# Pictures -----------------------------------------------------------------------------------------------------------


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
    picture = frame.copy()
    band = picture[-max(14, len(frame) // 9) :]
    band //= 4
    _write(band, _line(words, time_sec))
    return picture


def draw_mouth(crops: np.ndarray, words: Sequence[TimedWord], start_sec: float, fps: float = FPS) -> list[np.ndarray]:
    """The mouth, enlarged, over a line of its words.

    Args:
        crops: `[T, H, W]` uint8.
        words: With times in seconds of the video.
        start_sec: Of the first crop.
        fps: Of the crops.

    Returns:
        `[H, W, 3]` uint8 pictures, one a crop.
    """
    scale = _SHOWN_HEIGHT / crops.shape[1]
    width = round(crops.shape[2] * scale)
    pictures, lines = [], {}
    for number, crop in enumerate(crops):
        # Every other grey, and every eighth of the text's colours: a GIF has 256 of them.
        grey = resize(crop, _SHOWN_HEIGHT, width, growing=cv2.INTER_CUBIC) & 0xFE
        state = tuple(_line(words, start_sec + number / fps))
        if state not in lines:  # the same for as long as no word begins or ends
            lines[state] = np.zeros((_LINE_HEIGHT, width, 3), np.uint8)
            _write(lines[state], state)
            lines[state] &= 0xF8
        pictures.append(np.concatenate([np.repeat(grey[..., None], 3, axis=-1), lines[state]]))
    return pictures


def _line(words: Sequence[TimedWord], time_sec: float) -> list[tuple[str, tuple]]:
    """The words of the present line, each with its colour."""
    current = max((n for n, word in enumerate(words) if word.start_sec <= time_sec), default=0)
    first = current - current % _MAX_WORDS
    line = []
    for word in words[first : first + _MAX_WORDS]:
        colour = _NOW if word.start_sec <= time_sec < word.end_sec else _SAID if word.end_sec <= time_sec else _TO_COME
        line.append((word.text, colour))
    return line


def _write(band: np.ndarray, line: Sequence[tuple[str, tuple]]) -> None:
    """Writes words into a band `[H, W, 3]` uint8 of a picture, in place."""
    if not line:
        return
    height, width = band.shape[:2]
    text = " ".join(word for word, _ in line)
    size = height * 0.62
    font = ImageFont.load_default(size)
    size *= min(1.0, 0.94 * width / max(1.0, font.getlength(text)))
    font = ImageFont.load_default(max(6.0, size))
    strip = Image.fromarray(band)
    draw = ImageDraw.Draw(strip)
    x, y = (width - font.getlength(text)) / 2, height / 2
    for word, colour in line:
        draw.text((x, y), word, fill=colour, font=font, anchor="lm")
        x += font.getlength(word + " ")
    band[:] = np.asarray(strip)


# Files --------------------------------------------------------------------------------------------------------------


def write_times(path: Path | str, words: Sequence[TimedWord], duration_sec: float) -> Path:
    """Writes words with times as `.srt`, `.vtt`, `.align` or `.TextGrid`, by the path's ending.

    `.srt` has a cue for each word; `.vtt` one cue for the sentence with a time stamp before each word; `.align` is
    GRID's own format, with pauses, and `.TextGrid` Praat's.

    Raises:
        DataError: Another ending.
    """
    path = Path(path)
    if path.suffix not in _FORMATS:
        raise DataError(f"{path}: times are written as {', '.join(_FORMATS)}; choose such a name.")
    with partial_file(path) as partial:
        write_text(partial, _FORMATS[path.suffix](list(words), duration_sec))
    return path


def format_srt(words: list[TimedWord], duration_sec: float) -> str:
    """SubRip: a cue for each word."""
    return srt_of(words)


def format_vtt(words: list[TimedWord], duration_sec: float) -> str:
    """WebVTT: a cue for each stretch without a pause of a second, a time stamp before each of its words."""
    lines = ["WEBVTT", ""]
    for cue in group_words(words):
        said = " ".join(f"<{clock(word.start_sec, '.')}>{word.text}" for word in cue)
        lines += [f"{clock(cue[0].start_sec, '.')} --> {clock(cue[-1].end_sec, '.')}", said, ""]
    return "\n".join(lines)


def format_align(words: list[TimedWord], duration_sec: float) -> str:
    """GRID's alignment: `start end word`, in 1/1000 of a frame; `sil` at the ends and `sp` between."""
    rows, place = [], 0.0
    for word in words:
        if word.start_sec > place:
            rows.append((place, word.start_sec, "sp" if rows else "sil"))
        rows.append(word[1:] + word[:1])
        place = word.end_sec
    if duration_sec > place:
        rows.append((place, duration_sec, "sil"))
    scale = FPS * TICKS_PER_FRAME
    return "".join(f"{round(start * scale)} {round(end * scale)} {text}\n" for start, end, text in rows)


def format_textgrid(words: list[TimedWord], duration_sec: float) -> str:
    """Praat's TextGrid with one tier, `words`, pauses left empty."""
    spans, place = [], 0.0
    for word in words:
        start = max(place, word.start_sec)
        end = max(start, word.end_sec)
        spans += [(place, start, "")] if start > place else []
        spans += [(start, end, word.text)] if end > start else []
        place = end
    duration_sec = max(duration_sec, place)
    spans += [(place, duration_sec, "")] if duration_sec > place else []
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", f"{duration_sec:.5f}", "<exists>", "1"]
    head += ['"IntervalTier"', '"words"', "0", f"{duration_sec:.5f}", str(len(spans))]
    quoted = (text.replace('"', '""') for _, _, text in spans)
    rows = [f'{start:.5f}\n{end:.5f}\n"{text}"' for (start, end, _), text in zip(spans, quoted, strict=True)]
    return "\n".join([*head, *rows, ""])


_FORMATS = {".srt": format_srt, ".vtt": format_vtt, ".align": format_align, ".TextGrid": format_textgrid}
