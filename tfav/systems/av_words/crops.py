"""One video to one recording: the mouth cut out, grey, with its sound, both from the same moment on.

Loads no TensorFlow: the processes that make recordings have no use for it.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from tfav.data.example_files import Record
from tfav.data.grid import FPS, Word, describe_misfit
from tfav.errors import DataError, MediaError
from tfav.io.audio import read_audio, take_samples, to_int16
from tfav.io.mouth import WIDE, crop_speaker
from tfav.io.video import read_video
from tfav.systems.av_words import corpus

SAMPLE_RATE = 16000
BOXES = ("follow", "fixed")
_PER_FRAME = SAMPLE_RATE // FPS
_SHORT = 2  # frames by which sound may end before the pictures without a word about it


def make_sentence(
    path: str,
    name: str,
    text: str,
    words: Sequence[tuple[str, float, float]],
    box: str,
    size: tuple[int, int],
    detector: str,
) -> tuple[Record, str]:
    """One sentence of GRID.

    Args:
        path: The video, of any rate: it is taken at 25 frames a second by time.
        name: The record's.
        text: What is said.
        words: As `grid.Word`, times in frames.
        box: As in `crop_frames`.
        size: Height and width of the crop.
        detector: Path of the face detector's model.

    Returns:
        The record, and a warning or "": `[T, height, width, 1]` uint8 grey, `[640 * T]` int16 at 16 kHz.

    Raises:
        MediaError: The video is damaged, has no sound, shows no face, or ends before its alignment does.
    """
    frames = read_video(path, every_sec=1 / FPS).frames
    words = [Word(*word) for word in words]
    if misfit := describe_misfit(words, len(frames)):
        raise MediaError(path, misfit.rstrip("."), "Replace the video or its alignment.")
    sound, warnings = read_sound(path, len(frames))
    crops, more = crop_frames(path, frames, box, size, detector)
    times = np.array([word[1:] for word in words], np.float32).reshape(-1, 2) / FPS
    record = Record(
        name, crops[..., None], FPS, text, tuple(word.text for word in words), times, to_int16(sound), SAMPLE_RATE
    )
    return record, "; ".join(warnings + more)


def make_word(
    paths: Sequence[str], name: str, word: str, box: str, size: tuple[int, int], detector: str
) -> tuple[Record, str]:
    """One clip of LRW, the word in its middle.

    Args:
        paths: The video; or the notebook's two arrays, pictures and sound in any order.
        name: The record's.
        word: What is said.
        box: As in `crop_frames`; arrays are cut out already.
        size: Height and width of the crop.
        detector: Path of the face detector's model.

    Returns:
        As `make_sentence`. A clip of 29 frames has the last 19,456 samples of its sound, as the notebook takes them.

    Raises:
        MediaError: As `make_sentence`; or an array that is not what it should be.
    """
    if len(paths) == 2:
        frames, sound = _read_arrays(paths)
        crops, warnings = np.stack([_resize(frame, size) for frame in frames]), []
    else:
        (path,) = paths
        frames = read_video(path, every_sec=1 / FPS).frames
        sound, warnings = read_sound(path, len(frames))
        whole = read_audio(path, SAMPLE_RATE)
        if len(frames) == corpus.NUM_FRAMES:
            sound = whole[-corpus.NUM_SAMPLES :] if len(whole) >= corpus.NUM_SAMPLES else sound
        else:
            warnings.append(f"it has {len(frames)} frames, not {corpus.NUM_FRAMES}; its middle is taken")
        crops, more = crop_frames(path, frames, box, size, detector)
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
    missing = num_frames - len(sound) / _PER_FRAME
    warnings = []
    if missing > _SHORT:
        warnings.append(f"its sound ends {missing / FPS:.2f} s before its pictures; silence stands there")
    return take_samples(sound, 0, num_frames * _PER_FRAME), warnings


def crop_frames(
    path, frames: np.ndarray, box: str, size: tuple[int, int], detector: str
) -> tuple[np.ndarray, list[str]]:
    """The mouth in each frame.

    Args:
        path: For messages.
        frames: `[T, H, W, 3]` uint8 RGB.
        box: `follow`, found by the face and kept in the middle; or `fixed`, LRW's `[115:211, 79:175]` of 256x256.
        size: Height and width of the crop in pixels.
        detector: Path of the face detector's model, for `follow`.

    Returns:
        `[T, height, width]` uint8 grey, and warnings.

    Raises:
        MediaError: No face, or a size that the fixed box is not made for.
    """
    height, width = size
    try:
        if box == "follow":
            return crop_speaker(frames, detector, fps=FPS, box=WIDE._replace(width=width, height=height))
        if frames.shape[1:3] != corpus.SIZE:
            raise DataError(
                f"the fixed box is made for 256x256, this video is {frames.shape[2]}x{frames.shape[1]}. Let the box "
                "follow the mouth"
            )
    except DataError as error:
        raise MediaError(path, str(error).rstrip("."), "Remove the video, or replace it.") from error
    top, bottom, left, right = corpus.BOX
    return np.stack([_resize(frame[top:bottom, left:right], size) for frame in frames]), []


def _resize(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if frame.ndim == 3:
        frame = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) if frame.shape[2] == 3 else frame[..., 0]
    if frame.shape == tuple(size):
        return frame
    how = cv2.INTER_AREA if frame.shape[1] > size[1] else cv2.INTER_LINEAR
    return cv2.resize(frame, size[::-1], interpolation=how)


def _read_arrays(paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    arrays = sorted(((corpus.read_npz(path), path) for path in paths), key=lambda pair: pair[0].ndim)
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
    return frames, take_samples(sound[-corpus.NUM_SAMPLES :].astype(np.float32), 0, corpus.NUM_SAMPLES)
