"""Noise at an exact ratio to the signal of a window: white, pink, babble of other recordings, sounds from a folder.

All in TensorFlow operations on single windows, so that it is mixed anew in every epoch, in the data pipeline.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfav.data import augment, shards
from tfav.data.shards import Index
from tfav.errors import DataError, MediaError, UsageError
from tfav.io.audio import read_audio
from tfav.io.listing import VIDEO_SUFFIXES, describe_left_out, walk_files

SILENCE = 1e-4  # root mean square below which a window holds nothing: -80 dB of full scale
MAX_RECORDINGS = 512  # that babble is mixed from
MAX_FOLDER_SEC = 1200
_SOUND_SUFFIXES = VIDEO_SUFFIXES | {".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav"}

Source = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class Voices(NamedTuple):
    """Recordings to mix babble from: `ids` of them, and `samples` `[K, L]` int16, shorter ones repeated."""

    ids: tuple[str, ...]
    samples: np.ndarray


def standardise(waveform: tf.Tensor) -> tf.Tensor:
    """Zero mean and unit deviation over a window, `[S]` float32; silence stays near 0."""
    waveform -= tf.reduce_mean(waveform)
    return waveform / tf.maximum(tf.sqrt(tf.reduce_mean(waveform**2)), SILENCE)


def mix(waveform: tf.Tensor, noise: tf.Tensor, snr_db: tf.Tensor) -> tf.Tensor:
    """Adds noise so that the ratio of the powers over this window is `snr_db` exactly.

    A silent window stays silent: no noise is so low that it would have that ratio to it. Silent noise adds nothing.

    Args:
        waveform: `[S]` float32.
        noise: `[S]` float32, of any loudness.
        snr_db: Scalar float32.
    """
    signal, loudness = tf.reduce_mean(waveform**2), tf.reduce_mean(noise**2)
    scale = tf.sqrt(signal / tf.maximum(loudness, 1e-20) / tf.pow(10.0, tf.cast(snr_db, tf.float32) / 10.0))
    return waveform + tf.where(loudness > 1e-20, scale, 0.0) * noise


def white(num_samples: int) -> Source:
    """Of equal power at all frequencies. A source is a function of the seed `[2]` and of whose window it is for."""
    return lambda seed, own: tf.random.stateless_normal([num_samples], seed)


def pink(num_samples: int) -> Source:
    """Of equal power in every octave: white noise with amplitudes divided by the square root of the frequency."""
    frequencies = np.arange(num_samples // 2 + 1, dtype=np.float32)
    weights = tf.constant(np.where(frequencies > 0, 1 / np.sqrt(np.maximum(frequencies, 1)), 0), tf.complex64)

    def make(seed, own):
        spectrum = tf.signal.rfft(tf.random.stateless_normal([num_samples], seed))
        return tf.signal.irfft(spectrum * weights, [num_samples])

    return make


def babble(voices: Voices, num_samples: int, count: int) -> Source:
    """Several people at once: so many different recordings, each from a random moment on, all equally loud.

    The recording of the window itself is never among them: `own` is its number in `voices`, -1 if it is none of them.

    Raises:
        DataError: There are too few recordings.
    """
    total = len(voices.ids)
    if total <= count:
        raise DataError(
            f"babble of {count} voices needs {count + 1} recordings or more, there are {total}. Lower "
            "babble_voices, or use other noise."
        )
    samples = voices.samples.astype(np.float32)
    loudness = np.sqrt((samples**2).mean(axis=1))
    length = samples.shape[1]
    # Each goes on with its own beginning, so that a piece from any moment on is one slice.
    bank = tf.constant(np.take(voices.samples, np.arange(length + num_samples), axis=1, mode="wrap"))
    weights = tf.constant(1 / np.maximum(loudness, 1.0), tf.float32)
    # Silent recordings are no voices.
    audible = tf.constant(np.where(loudness > SILENCE * 32768, 0.0, 2.0), tf.float32)

    def make(seed, own):
        order = tf.random.stateless_uniform([total], augment.split_seed(seed, 0)) + audible
        order += 4.0 * tf.one_hot(own, total)  # of -1 it is all 0
        chosen = tf.math.top_k(-order, count).indices
        starts = tf.random.stateless_uniform([count], augment.split_seed(seed, 1), 0, length, tf.int32)
        pieces = [tf.slice(bank, [chosen[n], starts[n]], [1, num_samples])[0] for n in range(count)]
        shares = tf.unstack(tf.gather(weights, chosen))
        return tf.add_n([share * tf.cast(piece, tf.float32) for share, piece in zip(shares, pieces, strict=True)])

    return make


def recorded(samples: np.ndarray, num_samples: int) -> Source:
    """A piece from a random moment on of a recording, `[S]` float32, which is repeated where it ends."""
    sound = tf.constant(samples, tf.float32)
    length = len(samples)

    def make(seed, own):
        start = tf.random.stateless_uniform([], seed, 0, length, tf.int32)
        return tf.gather(sound, (start + tf.range(num_samples)) % length)

    return make


def one_of(sources: Sequence[Source]) -> Source:
    """Draws one of several sources for each window."""

    def make(seed, own):
        if len(sources) == 1:
            return sources[0](seed, own)
        kind = tf.random.stateless_uniform([], augment.split_seed(seed, 7), 0, len(sources), tf.int32)
        return tf.switch_case(kind, [lambda source=source: source(seed, own) for source in sources])

    return make


def build_source(config, kinds: Sequence[str], voices: Voices | None = None) -> Source:
    """The source of these kinds of noise.

    Args:
        config: `num_samples`, `sample_rate`, `babble_voices`, `noise_dir`.
        kinds: `white`, `pink`, `babble` or `folder`.
        voices: For babble.

    Raises:
        UsageError: An unknown kind; no `noise_dir`; a folder without sounds.
        DataError: Too few voices, or nothing but silence in the folder.
    """
    nobody = Voices((), np.zeros((0, 1)))
    makers = {
        "white": lambda: white(config.num_samples),
        "pink": lambda: pink(config.num_samples),
        "babble": lambda: babble(voices or nobody, config.num_samples, config.babble_voices),
        "folder": lambda: recorded(read_folder(config.noise_dir, config.sample_rate), config.num_samples),
    }
    unknown = [kind for kind in kinds if kind not in makers]
    if unknown or not kinds:
        raise UsageError(f"noise must be of {', '.join(makers)}. Received: {', '.join(unknown) or 'none'}")
    return one_of([makers[kind]() for kind in kinds])


def read_voices(index: Index, names: Sequence[str]) -> Voices:
    """Reads the sound of recordings for `babble`, at most `MAX_RECORDINGS`, evenly chosen.

    Raises:
        DataError: The shards hold no sound, or names are not there.
    """
    if index.audio_type != "int16":
        raise DataError(f"{index.folder}: no sound in it. Prepare videos that have sound.")
    chosen = np.unique(np.linspace(0, len(names) - 1, min(MAX_RECORDINGS, len(names))).round().astype(int))
    entries = shards.in_stored_order(index, [sorted(names)[number] for number in chosen])
    decode = shards.decoder(index)
    sounds = list(shards.read_rows(index, entries).map(lambda row: decode(row)["audio"]).as_numpy_iterator())
    length = max(map(len, sounds))
    return Voices(tuple(entry.id for entry in entries), np.stack([np.resize(sound, length) for sound in sounds]))


def read_folder(folder: Path | str, sample_rate: int) -> np.ndarray:
    """All sounds under a folder, one after the other, each brought to the same loudness; at most 20 minutes.

    Returns:
        `[S]` float32.

    Raises:
        UsageError: No folder is given, or it is not there.
        DataError: Nothing in it can be heard.
        MediaError: A file cannot be read.
    """
    if not folder:
        raise UsageError("noise from a folder needs noise_dir, a folder of sound files.")
    listing = walk_files(Path(folder), _SOUND_SUFFIXES)
    if line := describe_left_out(folder, listing.unusable()):
        warnings.warn(line, stacklevel=2)
    paths = listing.files
    sounds, left = [], MAX_FOLDER_SEC * sample_rate
    for path in paths:
        if left <= 0:
            break
        try:
            sound = read_audio(path, sample_rate)[:left]
        except MediaError as error:
            raise MediaError(path, error.reason, "Remove it from the folder of noise, or replace it.") from error
        loudness = float(np.sqrt(np.mean(sound**2)))
        if loudness > SILENCE:
            sounds.append(sound / loudness)
            left -= len(sound)
    if not sounds:
        raise DataError(f"{folder}: no sound in it that can be heard. Put sound files there, such as .wav.")
    return np.concatenate(sounds)
