"""One video to one example: the mouth cut out, grey, with its sentence, times and sound. Loads no TensorFlow."""

from pathlib import Path

import numpy as np

from tfav.data.example_files import Record
from tfav.data.grid import describe_misfit
from tfav.errors import DataError, MediaError
from tfav.io.audio import NoSoundError, read_audio, take_samples, to_int16
from tfav.io.faces import detector_file
from tfav.io.mouth import CLOSE, WIDE, crop_fixed, crop_speaker
from tfav.io.video import read_video
from tfav.systems.lipnet.corpus import FPS, Word

FOLLOWING = {"close": CLOSE, "follow": WIDE}  # boxes that follow the mouth
BOXES = (*FOLLOWING, "fixed")
SAMPLE_RATE = 16000
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS


def crop_clip(
    path: str, record_id: str, text: str, words: list[tuple[str, float, float]], box: str, detector: str
) -> tuple[Record, str]:
    """Cuts the mouth out of a video, and keeps its sound, which training may learn from and reading never hears.

    Args:
        path: The video, of any rate: it is taken at 25 frames a second by time.
        record_id: The example's name.
        text: What is said.
        words: As `corpus.Word`, times in frames.
        box: "close", `[T, 64, 96, 1]`, or "follow", `[T, 56, 104, 1]`, around the mouth with a margin for
            augmentation; or "fixed", the notebook's `[T, 46, 140, 1]`.
        detector: Path of the face detector's model.

    Returns:
        The record, grey uint8, and a warning or "". Its sound is int16 at 16 kHz, 640 samples for each frame; none
        where the video has none.

    Raises:
        MediaError: The video is damaged; it shows no face, or not all the time; it ends before its alignment does.
    """
    frames = read_video(path, every_sec=1 / FPS).frames
    words = [Word(*word) for word in words]
    if misfit := describe_misfit(words, len(frames)):
        raise MediaError(path, misfit.rstrip("."), "Replace the video or its alignment.")
    try:
        crops, warnings = _crop(frames, box, detector)
    except DataError as error:
        raise MediaError(path, str(error).rstrip("."), "Remove the video, or replace it.") from error
    times = np.array([word[1:] for word in words], np.float32).reshape(-1, 2) / FPS
    sound, more = _read_sound(path, len(frames))
    spoken = tuple(word.text for word in words)
    record = Record(record_id, crops[..., None], FPS, text, spoken, times, sound, SAMPLE_RATE)
    return record, "; ".join([*warnings, *more])


def _read_sound(path: str, num_frames: int) -> tuple[np.ndarray, list[str]]:
    nothing = np.zeros(0, np.int16)
    try:
        samples = read_audio(path, SAMPLE_RATE, start_sec=0.0)
    except NoSoundError:
        return nothing, []
    except MediaError as error:  # no reason to do without its pictures
        return nothing, [f"its sound is left out: {error}"]
    samples = take_samples(samples, 0, min(num_frames, len(samples) // SAMPLES_PER_FRAME) * SAMPLES_PER_FRAME)
    return to_int16(samples), []


def _crop(frames: np.ndarray, box: str, detector: str) -> tuple[np.ndarray, list[str]]:
    if box == "fixed":
        return np.stack(list(crop_fixed(frames))), []
    return crop_speaker(frames, detector, fps=FPS, box=FOLLOWING[box])


def to_path(detector: str) -> Path:
    """The detector's model file; fetched before the work is spread over processes, so that it is fetched once."""
    return detector_file(detector or None)
