"""One video to one recording: the mouth cut out, grey, with its sentence, word times and sound.

Frames and samples begin at the same moment, 640 samples a frame. Loads no TensorFlow: the processes that make
recordings have no use for it.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from tfav.data.example_files import Record
from tfav.errors import DataError, MediaError
from tfav.io.audio import NoSoundError, read_audio, take_samples, to_int16
from tfav.io.images import resize
from tfav.io.mouth import Box, crop_speaker
from tfav.io.video import probe, read_video
from tfav.io.video_spans import read_span
from tfav.speech import lrw
from tfav.speech.grid import FPS, Word, describe_misfit

SAMPLE_RATE = 16000
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
_BEYOND_SEC = 0.5  # by which a transcript may go on after the video's end
_SHORT = 2  # frames by which sound may end before the pictures without a word about it


class FixedPlace(NamedTuple):
    """Where the mouth is in videos that are all framed alike.

    Attributes:
        frame_size: Height and width of these videos.
        place: Top, bottom, left and right of the mouth.
        width: Of the crop in pixels.
        height: Likewise.
    """

    frame_size: tuple[int, int]
    place: tuple[int, int, int, int]
    width: int
    height: int


Crop = Box | FixedPlace  # what is cut out: followed by the face, or at a fixed place
GRID_PLACE = FixedPlace((288, 360), (190, 236, 80, 220), 140, 46)  # the course notebook's, in GRID's videos
LRW_PLACE = FixedPlace(lrw.SIZE, lrw.BOX, 96, 96)


class Cut(NamedTuple):
    """What of a video becomes a record.

    Attributes:
        crop: What is cut out of the pictures.
        detector: Path of the face detector's model, for a `Box`.
        fps: Frames per second of the record; the video may have another rate.
        needs_sound: Whether a video without sound is refused, and sound that ends early is filled up with silence.
        max_seconds: Longer records are refused.
    """

    crop: Crop
    detector: str
    fps: float = FPS
    needs_sound: bool = False
    max_seconds: float = math.inf


def make_sentence(
    path: str,
    name: str,
    text: str,
    words: Sequence[tuple[str, float, float]],
    cut: Cut,
    span_sec: tuple[float, float] | None = None,
    is_only: bool = True,
) -> tuple[Record, str]:
    """One utterance.

    Args:
        path: The video, of any rate: frames are taken by time.
        name: The record's.
        text: What is said.
        words: As `TimedWord`, times in seconds of the video.
        cut: What becomes of it.
        span_sec: Start and end of what is cut out, in seconds; None: the whole video.
        is_only: Nothing else is said in the video; if it is short it is taken whole.

    Returns:
        The record, and a warning or "": `[T, height, width, 1]` uint8 grey; sound int16 at 16 kHz, as long as the
        pictures, or what there is of it.

    Raises:
        MediaError: The video is damaged; it shows no face, or not all the time; it ends before its transcript does, or
            is too long; it has no sound and needs it.
    """
    start = 0.0
    if span_sec is not None and is_only:
        duration = probe(path, exact=False).duration_sec
        _check_end(path, span_sec[1], duration)
        if duration <= cut.max_seconds:
            span_sec = None
    if span_sec is None:
        frames = read_video(path, every_sec=1 / cut.fps).frames
        if len(frames) > cut.max_seconds * cut.fps + _SHORT:
            raise MediaError(
                path,
                f"it lasts {len(frames) / cut.fps:.1f} s, more than max_seconds={cut.max_seconds:g}",
                "Give it subtitles to be cut by, or raise --max-seconds.",
            )
        told = [Word(word, *(time * FPS for time in times)) for word, *times in words]
        if misfit := describe_misfit(told, round(len(frames) * FPS / cut.fps)):
            raise MediaError(path, misfit.rstrip("."), "Replace the video or its alignment.")
    else:
        start, end = span_sec
        frames = read_span(path, start, end, 1 / cut.fps)
        _check_end(path, end, start + len(frames) / cut.fps)
    sound, warnings = read_sound(path, len(frames), cut, start)
    crops, more = crop_frames(path, frames, cut)
    times = np.clip(np.array([word[1:] for word in words]).reshape(-1, 2) - start, 0, None).astype(np.float32)
    spoken = tuple(word[0] for word in words)
    record = Record(name, crops[..., None], cut.fps, text, spoken, times, to_int16(sound), SAMPLE_RATE)
    return record, "; ".join(warnings + more)


def _check_end(path, end_sec: float, duration_sec: float) -> None:
    if end_sec > duration_sec + _BEYOND_SEC:
        raise MediaError(
            path,
            f"it ends at {duration_sec:.2f} s, and its transcript goes on to {end_sec:.2f} s",
            "Replace the video or its transcript.",
        )


def make_word(paths: Sequence[str], name: str, word: str, cut: Cut) -> tuple[Record, str]:
    """One clip of LRW, the word in its middle.

    Args:
        paths: The video; or the notebook's two arrays, pictures and sound in any order.
        name: The record's.
        word: What is said.
        cut: What becomes of it; arrays are cut out already and only resized.

    Returns:
        As `make_sentence`. A clip of 29 frames has the last 19,456 samples of its sound, as the notebook takes them.

    Raises:
        MediaError: As `make_sentence`; or an array that is not what it should be.
    """
    if len(paths) == 2:
        frames, sound = _read_arrays(paths)
        crops, warnings = np.stack([_resize(frame, cut.crop) for frame in frames]), []
    else:
        (path,) = paths
        frames = read_video(path, every_sec=1 / FPS).frames
        sound, warnings = read_sound(path, len(frames), cut)
        whole = read_audio(path, SAMPLE_RATE)
        if len(frames) == lrw.NUM_FRAMES:
            sound = whole[-lrw.NUM_SAMPLES :] if len(whole) >= lrw.NUM_SAMPLES else sound
        else:
            warnings.append(f"it has {len(frames)} frames, not {lrw.NUM_FRAMES}; its middle is taken")
        crops, more = crop_frames(path, frames, cut)
        warnings += more
    times = np.array([[0, len(crops) / FPS]], np.float32)
    record = Record(name, crops[..., None], FPS, word, (word,), times, to_int16(sound), SAMPLE_RATE)
    return record, "; ".join(warnings)


def read_sound(path, num_frames: int, cut: Cut, start_sec: float = 0.0) -> tuple[np.ndarray, list[str]]:
    """The sound that goes with some frames of a video.

    Args:
        path: The video.
        num_frames: How many.
        cut: Their rate. Where sound is needed, silence stands where there is none; else only whole frames count that
            it covers.
        start_sec: Of the first one.

    Returns:
        `[S]` float32 at 16 kHz, and warnings; where it is not needed and there is none, nothing.

    Raises:
        NoSoundError: There is none, and it is needed.
        MediaError: The file cannot be read, likewise.
    """
    per_frame = SAMPLE_RATE / cut.fps
    wanted = round(num_frames * per_frame)
    try:
        # Of a cut no more is decoded than it needs.
        sound = read_audio(path, SAMPLE_RATE, start_sec, num_frames / cut.fps if start_sec else None)
    except NoSoundError:
        if cut.needs_sound:
            raise
        return np.zeros(0, np.float32), []
    except MediaError as error:
        if cut.needs_sound:
            raise
        return np.zeros(0, np.float32), [f"its sound is left out: {error}"]  # no reason to do without its pictures
    if not cut.needs_sound:
        return take_samples(sound, 0, min(wanted, int(int(len(sound) / per_frame) * per_frame))), []
    missing = num_frames - len(sound) / per_frame
    warnings = []
    if missing > _SHORT:
        warnings.append(f"its sound ends {missing / cut.fps:.2f} s before its pictures; silence stands there")
    return take_samples(sound, 0, wanted), warnings


def crop_frames(path, frames: np.ndarray, cut: Cut) -> tuple[np.ndarray, list[str]]:
    """The mouth in each frame of a short clip.

    Args:
        path: For messages.
        frames: `[T, H, W, 3]` uint8 RGB.
        cut: What is cut out.

    Returns:
        `[T, height, width]` uint8 grey, and warnings.

    Raises:
        MediaError: No face, or a size that the fixed place is not made for.
    """
    try:
        if isinstance(cut.crop, Box):
            return crop_speaker(frames, cut.detector, fps=cut.fps, box=cut.crop)
        return np.stack(list(crop_fixed(frames, cut.crop))), []
    except DataError as error:
        raise MediaError(path, str(error).rstrip("."), "Remove the video, or replace it.") from error


def crop_fixed(frames: Iterable[np.ndarray], place: FixedPlace = GRID_PLACE) -> Iterator[np.ndarray]:
    """The mouth at a fixed place of each frame.

    Yields:
        `[height, width]` uint8 grey.

    Raises:
        DataError: A frame of another size.
    """
    top, bottom, left, right = place.place
    for frame in frames:
        if frame.shape[:2] != place.frame_size:
            (height, width), (own_height, own_width) = place.frame_size, frame.shape[:2]
            raise DataError(
                f"the fixed mouth crop is made for {width}x{height}, this video is {own_width}x{own_height}. Use "
                "mouth_crop=tracked"
            )
        yield _resize(frame[top:bottom, left:right], place)


def _resize(frame: np.ndarray, crop: Crop) -> np.ndarray:
    if frame.ndim == 3:
        frame = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) if frame.shape[2] == 3 else frame[..., 0]
    return resize(frame, crop.height, crop.width)


def _read_arrays(paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    arrays = sorted(((lrw.read_npz(path), path) for path in paths), key=lambda pair: pair[0].ndim)
    (sound, sound_path), (frames, frames_path) = arrays
    if sound.ndim != 1 or not len(sound):
        raise MediaError(sound_path, f"expected sound [S]. Received: shape={sound.shape}", "Make it again.")
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or (frames.ndim == 4 and frames.shape[3] not in (1, 3)):
        raise MediaError(
            frames_path,
            f"expected pictures [T, H, W, 3] or [T, H, W], uint8. Received: shape={frames.shape}, dtype={frames.dtype}",
            "Make it again.",
        )
    if sound.dtype.kind == "i":
        sound = sound / -float(np.iinfo(sound.dtype).min)
    return frames, take_samples(sound[-lrw.NUM_SAMPLES :].astype(np.float32), 0, lrw.NUM_SAMPLES)
