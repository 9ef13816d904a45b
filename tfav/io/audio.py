"""Sound of any media file as mono samples at a stated rate: decoded by PyAV, resampled by soxr, no program needed.

Two ways to read. Without a window a file gives all its sound, as `librosa.load(path, sr=rate)` does. With one, time 0
is the start of the first video frame, wherever the sound begins, so that frame `k` of a video of 25 frames a second and
sample `640 * k` at 16 kHz are the same moment.
"""

import contextlib
import math
from typing import NamedTuple

import av
import numpy as np
import soxr

from tfav.errors import MediaError
from tfav.io.container import describe_error, open_container
from tfav.ranges import check_number

SAMPLE_RATE = 16000  # Hz
_MARGIN_SEC = 0.1  # read around a window, far longer than soxr's filter, so that its edges are those of the whole
_GAP_SEC = (0.05, 60.0)  # holes in the timestamps between these are filled with silence; longer ones are nonsense
_LARGEST_BLOCK = 4096  # samples that a codec of mp4 packs together
_REPLACE = "Replace it with a fresh copy or remove it."
# What begins later than the first is sought, from the second before it.
_SEEK_FROM_SEC, _SEEK_BEFORE_SEC = 20.0, 5.0


class NoSoundError(MediaError):
    """A file that can be read but has no sound."""


class _Sound(NamedTuple):
    """Mono `samples` `[S]` float32 at `rate`; the first one is heard `start_sec` after the first video frame begins."""

    samples: np.ndarray
    rate: int
    start_sec: float


def read_audio(
    path, sample_rate: int = SAMPLE_RATE, start_sec: float | None = None, duration_sec: float | None = None
) -> np.ndarray:
    """Reads the first sound track of any media file, all channels as their mean.

    Args:
        path: The file: sound, or video with sound.
        sample_rate: Samples per second of the result.
        start_sec: Where to begin, in seconds after the start of the first video frame (of the sound, where there are no
            pictures); may be negative. With neither this nor `duration_sec` all sound is given, from its own start.
        duration_sec: How long; exactly `round(duration_sec * sample_rate)` samples then, silent where there is no
            sound. None: until the end.

    Returns:
        `[S]` float32, -1 to 1; resampling may overshoot that by a little where sound is cut off at full scale.

    Raises:
        NoSoundError: There is no sound track, or an empty one.
        MediaError: The file cannot be read.
        UsageError: A rate or duration that is not positive.

    Reference:
        librosa.load with res_type soxr_hq, which the notebooks use.
    """
    check_number("sample_rate", sample_rate, whole=True, ge=1)
    check_number("start_sec", start_sec)
    check_number("duration_sec", duration_sec, gt=0)
    if start_sec is None and duration_sec is None:
        return _resample(_decode(path), sample_rate)
    start_sec = start_sec or 0.0
    stop_sec = math.inf if duration_sec is None else start_sec + duration_sec
    sound = _decode(path, start_sec, stop_sec, sample_rate)
    samples = _resample(sound, sample_rate)
    first = round((start_sec - sound.start_sec) * sample_rate)
    count = max(0, len(samples) - first) if duration_sec is None else round(duration_sec * sample_rate)
    return take_samples(samples, first, count)


def take_samples(samples: np.ndarray, first: int, count: int) -> np.ndarray:
    """`count` samples from number `first` on, which may lie before the start or beyond the end: silence there.

    Args:
        samples: `[S]`.
        first: May be negative.
        count: 0 or more.

    Returns:
        `[count]`, of the same type.
    """
    taken = np.zeros(count, samples.dtype)
    start, stop = max(first, 0), min(first + count, len(samples))
    if start < stop:
        taken[start - first : stop - first] = samples[start:stop]
    return taken


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Samples of -1 to 1 as they are stored, `[S]` int16."""
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)


def _resample(sound: _Sound, sample_rate: int) -> np.ndarray:
    if sound.rate == sample_rate:
        return sound.samples
    count = math.ceil(len(sound.samples) * sample_rate / sound.rate)
    return take_samples(soxr.resample(sound.samples, sound.rate, sample_rate, quality="HQ"), 0, count)


def _decode(path, start_sec: float = -math.inf, stop_sec: float = math.inf, sample_rate: int = 1) -> _Sound:
    with open_container(path) as container:
        streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
        if not streams:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise NoSoundError(path, f"no sound in it (found: {kinds})", "Use a file with a sound track.")
        zero_sec = _video_start(container)
        if zero_sec is not None and start_sec > _SEEK_FROM_SEC:
            with contextlib.suppress(av.error.FFmpegError):  # some formats cannot
                container.seek(round((zero_sec + start_sec - _SEEK_BEFORE_SEC) * av.time_base))
        chunks, rate, sound_sec, first_time, error = [], 0, 0.0, None, ""
        end_sec = 0.0
        position = skipped = 0  # samples of the whole sound so far, and of its beginning those left out
        for packet in container.demux(streams[0]):
            if packet.pts is not None and packet.duration:
                end_sec = max(end_sec, float((packet.pts + packet.duration) * packet.time_base))
            try:
                frames = packet.decode()
            except av.error.FFmpegError as failure:
                error = describe_error(failure)
                continue
            for frame in frames:
                if not rate:
                    rate, first_time = frame.rate, frame.time
                    if start_sec > _SEEK_FROM_SEC and (first_time is None or first_time > (zero_sec or 0) + start_sec):
                        return _decode(path, _SEEK_FROM_SEC, stop_sec, sample_rate)  # it went astray
                    sound_sec = 0.0 if zero_sec is None or first_time is None else first_time - zero_sec
                elif frame.rate != rate:
                    raise MediaError(path, f"its sound changes from {rate} to {frame.rate} Hz", "Convert it first.")
                mono = _to_mono(frame)
                if frame.time is not None and first_time is not None:
                    gap_sec = frame.time - first_time - position / rate
                    if _GAP_SEC[0] < gap_sec < _GAP_SEC[1]:
                        mono = np.concatenate([np.zeros(round(gap_sec * rate), np.float32), mono])
                chunks.append(mono)
                position += len(mono)
                # What lies before the window goes, in steps that leave the grid of resampled samples where it is.
                step = rate // math.gcd(rate, sample_rate)
                while len(chunks) > 1 and _ends_before(chunks, skipped, rate, sound_sec, start_sec, step):
                    joined = np.concatenate(chunks[:2])
                    cut = len(chunks[0]) // step * step
                    chunks[:2] = [joined[cut:]]
                    skipped += cut
            if rate and sound_sec + position / rate > stop_sec + _MARGIN_SEC:
                break
        padding = _padding(container, end_sec, first_time, rate, position)
    if not position:
        detail = f" ({error})" if error else ""
        raise NoSoundError(path, f"its sound track holds no sound that can be decoded{detail}", _REPLACE)
    samples = np.concatenate(chunks)
    return _Sound(samples[: len(samples) - padding], rate, sound_sec + skipped / rate)


def _ends_before(chunks, skipped, rate, sound_sec, start_sec, step) -> bool:
    end_sec = sound_sec + (skipped + len(chunks[0])) / rate
    return len(chunks[0]) >= step and end_sec < start_sec - _MARGIN_SEC


def _padding(container, end_sec: float, first_time: float | None, rate: int, count: int) -> int:
    # An mp4 states to the sample how long its sound is; what the codec's last block holds beyond that is nothing.
    if "mp4" not in container.format.name.split(",") or first_time is None:
        return 0
    excess = count - round((end_sec - first_time) * rate)
    return excess if 0 < excess < _LARGEST_BLOCK else 0


def _video_start(container) -> float | None:
    for stream in container.streams.video:
        cover = stream.disposition & av.stream.Disposition.attached_pic
        if not cover and stream.start_time is not None:
            return float(stream.start_time * stream.time_base)
    return None


def _to_mono(frame) -> np.ndarray:
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, len(frame.layout.channels)).T
    if samples.dtype.kind == "u":
        samples = samples / np.float32(128) - 1
    elif samples.dtype.kind == "i":
        samples = samples / np.float32(-float(np.iinfo(samples.dtype).min))
    return np.clip(samples.mean(axis=0, dtype=np.float32), -1.0, 1.0)
