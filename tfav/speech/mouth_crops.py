"""One video to one recording: the mouth cut out, grey, with its sentence, word times and sound.

Frames and samples begin at the same moment, 640 samples a frame. Loads no TensorFlow: the processes that make
recordings have no use for it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from tfav.data.example_files import Record
from tfav.errors import DataError, MediaError
from tfav.io.audio import NoSoundError, read_audio, take_samples, to_int16
from tfav.io.images import resize
from tfav.io.mouth import Box, crop_speaker
from tfav.io.video import read_video
from tfav.speech import lrw
from tfav.speech.grid import FPS, Word, describe_misfit

SAMPLE_RATE = 16000
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
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


def make_sentence(
    path: str,
    name: str,
    text: str,
    words: Sequence[tuple[str, float, float]],
    crop: Crop,
    detector: str,
    needs_sound: bool,
) -> tuple[Record, str]:
    """One sentence.

    Args:
        path: The video, of any rate: it is taken at 25 frames a second by time.
        name: The record's.
        text: What is said.
        words: As `grid.Word`, times in frames.
        crop: What is cut out.
        detector: Path of the face detector's model, for a `Box`.
        needs_sound: Whether a video without sound is refused, and sound that ends early is filled up with silence.

    Returns:
        The record, and a warning or "": `[T, height, width, 1]` uint8 grey; sound `[640 * T]` int16 at 16 kHz, or what
        there is of it.

    Raises:
        MediaError: The video is damaged; it shows no face, or not all the time; it ends before its alignment does; it
            has no sound and needs it.
    """
    frames = read_video(path, every_sec=1 / FPS).frames
    words = [Word(*word) for word in words]
    if misfit := describe_misfit(words, len(frames)):
        raise MediaError(path, misfit.rstrip("."), "Replace the video or its alignment.")
    if needs_sound:
        sound, warnings = read_sound(path, len(frames))
    else:
        sound, warnings = _read_sound_if_any(path, len(frames))
    crops, more = crop_frames(path, frames, crop, detector)
    times = np.array([word[1:] for word in words], np.float32).reshape(-1, 2) / FPS
    spoken = tuple(word.text for word in words)
    record = Record(name, crops[..., None], FPS, text, spoken, times, to_int16(sound), SAMPLE_RATE)
    return record, "; ".join(warnings + more)


def make_word(paths: Sequence[str], name: str, word: str, crop: Crop, detector: str) -> tuple[Record, str]:
    """One clip of LRW, the word in its middle.

    Args:
        paths: The video; or the notebook's two arrays, pictures and sound in any order.
        name: The record's.
        word: What is said.
        crop: What is cut out; arrays are cut out already and only resized.
        detector: Path of the face detector's model, for a `Box`.

    Returns:
        As `make_sentence`. A clip of 29 frames has the last 19,456 samples of its sound, as the notebook takes them.

    Raises:
        MediaError: As `make_sentence`; or an array that is not what it should be.
    """
    if len(paths) == 2:
        frames, sound = _read_arrays(paths)
        crops, warnings = np.stack([_resize(frame, crop) for frame in frames]), []
    else:
        (path,) = paths
        frames = read_video(path, every_sec=1 / FPS).frames
        sound, warnings = read_sound(path, len(frames))
        whole = read_audio(path, SAMPLE_RATE)
        if len(frames) == lrw.NUM_FRAMES:
            sound = whole[-lrw.NUM_SAMPLES :] if len(whole) >= lrw.NUM_SAMPLES else sound
        else:
            warnings.append(f"it has {len(frames)} frames, not {lrw.NUM_FRAMES}; its middle is taken")
        crops, more = crop_frames(path, frames, crop, detector)
        warnings += more
    times = np.array([[0, len(crops) / FPS]], np.float32)
    record = Record(name, crops[..., None], FPS, word, (word,), times, to_int16(sound), SAMPLE_RATE)
    return record, "; ".join(warnings)


def read_sound(path, num_frames: int) -> tuple[np.ndarray, list[str]]:
    """The sound of a video from its first frame to its last, silent where there is none.

    Returns:
        `[640 * num_frames]` float32 at 16 kHz, and warnings.

    Raises:
        NoSoundError: There is none.
        MediaError: The file cannot be read.
    """
    sound = read_audio(path, SAMPLE_RATE, start_sec=0.0)
    missing = num_frames - len(sound) / SAMPLES_PER_FRAME
    warnings = []
    if missing > _SHORT:
        warnings.append(f"its sound ends {missing / FPS:.2f} s before its pictures; silence stands there")
    return take_samples(sound, 0, num_frames * SAMPLES_PER_FRAME), warnings


def _read_sound_if_any(path, num_frames: int) -> tuple[np.ndarray, list[str]]:
    """Sound of the whole frames that it covers; nothing where there is none."""
    nothing = np.zeros(0, np.float32)
    try:
        samples = read_audio(path, SAMPLE_RATE, start_sec=0.0)
    except NoSoundError:
        return nothing, []
    except MediaError as error:  # no reason to do without its pictures
        return nothing, [f"its sound is left out: {error}"]
    return take_samples(samples, 0, min(num_frames, len(samples) // SAMPLES_PER_FRAME) * SAMPLES_PER_FRAME), []


def crop_frames(path, frames: np.ndarray, crop: Crop, detector: str) -> tuple[np.ndarray, list[str]]:
    """The mouth in each frame of a short clip.

    Args:
        path: For messages.
        frames: `[T, H, W, 3]` uint8 RGB.
        crop: What is cut out.
        detector: Path of the face detector's model, for a `Box`.

    Returns:
        `[T, height, width]` uint8 grey, and warnings.

    Raises:
        MediaError: No face, or a size that the fixed place is not made for.
    """
    try:
        if isinstance(crop, Box):
            return crop_speaker(frames, detector, fps=FPS, box=crop)
        return np.stack(list(crop_fixed(frames, crop))), []
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
