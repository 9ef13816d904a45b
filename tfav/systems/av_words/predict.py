"""Any clip to words: the window cut out of sound and pictures alike, each stream and both asked, a page written."""

import dataclasses
import io
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import keras
import numpy as np
import tensorflow as tf
from scipy import special

from tfav.data.augment import center_crop
from tfav.errors import MediaError, TfavError, UsageError
from tfav.io.audio import NoSoundError, read_audio, take_samples, to_int16
from tfav.io.container import open_container, scan_packets
from tfav.io.encoding import write_video
from tfav.io.isolate_errors import row_of
from tfav.io.output_names import as_paths, name_results, short_name
from tfav.io.progress import Progress, no_progress
from tfav.io.sampling import indices_every_sec
from tfav.io.video import read_video
from tfav.metrics.ranking import ranking
from tfav.speech.clip_page import write_page
from tfav.speech.grid import FPS
from tfav.speech.mouth_crops import Cut, crop_frames
from tfav.speech.recordings import find_detector
from tfav.speech.windows import first_frame
from tfav.systems.av_words.augment import pictures_to_input, sound_to_input
from tfav.systems.av_words.config import SYSTEM, Config
from tfav.systems.av_words.dataset import crop_of
from tfav.systems.av_words.model import AUDIO, BOTH, SAID, VIDEO, build_model, by_stream
from tfav.training import checkpoints
from tfav.training import run_folder as runs

_MARGIN = 12  # frames around the window in which the mouth is followed, so that its path is smooth at the edges too
_SHORT_SEC = 30.0  # longer clips are not read whole
_SILENT = 1e-4  # largest sample of what counts as no sound
_UNSURE = 0.5  # share of the likeliest word, below which it is called a guess


class Recognizer(NamedTuple):
    """A model, its words in the order of their numbers, and the `streams` that it speaks for, the main one first."""

    config: Config
    words: tuple[str, ...]
    model: keras.Model
    streams: tuple[str, ...]

    def probabilities(self, inputs: dict) -> dict[str, np.ndarray]:
        """Of a batch as the data sets give it: each stream to `[B, num_classes]` float32."""
        wanted = {name: inputs[name] for name in self.model.input}
        logits = self.model.predict_on_batch(wanted)
        return {name: special.softmax(_mean(np.asarray(logits[name], np.float32)), axis=-1) for name in self.streams}


def open_recognizer(run_dir: Path | str, **changes) -> Recognizer:
    """A run's model.

    Args:
        run_dir: A chain's folder, the folder of one of its stages, or `pretrained`.
        **changes: Fields of the configuration that only the data look at, such as `cache_dir`.

    Raises:
        UsageError: Not a run of this system.
        TfavError: There is no readable model.
    """
    run, config = runs.open_run(run_dir, SYSTEM, Config)
    words = tuple(run.metadata["words"])
    if "stage" in run.metadata:
        stage = checkpoints.best_model(run.dir)
        # Without the head that is there for training.
        model = keras.Model(stage.input, {key: x for key, x in stage.output.items() if not key.endswith(SAID)})
    else:
        if not (run.dir / "best.keras").exists() and not (run.dir / checkpoints.WEIGHTS_NAME).exists():
            raise TfavError(
                f"{run.dir}: its fusion is not trained yet. Train on, or give the folder of one of its stages, such as "
                f"{run.dir / 'audio_full'}."
            )
        model = by_stream(checkpoints.best_model(run.dir, lambda: build_model(config)))
    streams = tuple(sorted(model.output, key=lambda name: (name != BOTH, name)))
    return Recognizer(dataclasses.replace(config, **changes), words, model, streams)


def _mean(logits: np.ndarray) -> np.ndarray:
    return logits.mean(1) if logits.ndim == 3 else logits


# Files --------------------------------------------------------------------------------------------------------------


class Heard(NamedTuple):
    """The window of a clip that the model is given.

    `frames` `[29, H, W, 3]` uint8 RGB as filmed and `crops` `[29, h, w]` uint8 grey, both None without pictures,
    `crops` alone without a face; `sound` `[num_samples]` float32, None without; `window_sec`: its start and end in the
    clip; `warnings`: what a person should know, a line each.
    """

    frames: np.ndarray | None
    crops: np.ndarray | None
    sound: np.ndarray | None
    window_sec: tuple[float, float]
    warnings: list[str]


def predict_files(
    run_dir: Path | str,
    files: Sequence[Path | str] | Path | str,
    *,
    at: float | None = None,
    out: Path | str | None = None,
    top: int = 5,
) -> dict:
    """Says what word is spoken in each file.

    Args:
        run_dir: A trained run, the folder of one of its stages, or `pretrained`.
        files: Videos or one path, with sound or without, or sound alone; one that cannot be used stops no other.
        at: Second at which the word is said; None: the middle.
        out: Folder for `NAME_words.html`, with a NAME by `output_names.name_results`; None: `predictions/` in the run
            folder, for `pretrained` in the current one.
        top: Words to rank.

    Returns:
        `{"files": [...]}`, JSON-ready: rows as of `open_predictor`, or `path` and `error`.

    Raises:
        UsageError: Options that do not apply, no run, or no face detector at the given path.
    """
    predict_file = open_predictor(run_dir)
    folder = Path(out) if out is not None else runs.predictions_folder(run_dir)
    files = as_paths(files)
    named = zip(files, name_results(files, folder, ["_words.html"]), strict=True)
    return {"files": [row_of(path, predict_file, out=folder, name=name, at=at, top=top) for path, name in named]}


def open_predictor(run_dir: Path | str) -> Callable[..., dict]:
    """Opens a run once, to be asked about one clip after the other.

    Args:
        run_dir: As in `predict_files`.

    Returns:
        A function `(path, *, out, name="", at=None, top=5, progress=...)` from a clip to its row, JSON-ready: `path`;
        `text`, the likeliest word; `ranking`; `used`, which of `both`, `audio` and `video` it is by; `streams`, the
        ranking of each of them that could be asked; `window_sec`, `warnings`, `wrote`. It raises `MediaError` for a
        clip that cannot be used, and whatever `progress` raises.

    Raises:
        UsageError: No run.
        TfavError: There is no readable model.
    """
    recognizer = open_recognizer(run_dir)

    def predict_file(
        path: Path | str,
        *,
        out: Path | str,
        name: str = "",
        at: float | None = None,
        top: int = 5,
        progress: Progress = no_progress,
    ) -> dict:
        progress(0.0, "Reading the clip")
        heard = hear(path, recognizer.config, at)
        progress(0.7, "Recognising the word")
        row = {"path": str(path), **recognize(recognizer, heard, path, top)}
        row["warnings"] = [f"{path}: {line}" for line in row["warnings"]]
        progress(0.8, "Writing the page")
        Path(out).mkdir(parents=True, exist_ok=True)
        page = Path(out) / f"{name or short_name(Path(path).stem)}_words.html"
        row["wrote"] = [str(write_page(page, row, *_playable(heard, recognizer.config, Path(out))))]
        return row

    return predict_file


def hear(path: Path | str, config: Config, at: float | None = None) -> Heard:
    """Cuts the window out of a clip; what is missing in it is None and said in a warning.

    Args:
        path: A video of any rate and size, taken at 25 frames a second by time, or a sound file.
        config: What the model was trained with.
        at: Second at which the word is said; None: the middle. Clips of 29 frames are LRW's and are taken whole, with
            the last of their sound, as there.

    Raises:
        MediaError: The file cannot be read, or has neither sound nor a face.
        UsageError: `at` is not in the clip.
    """
    has_video, has_sound = _streams(path)
    film = _open_film(path) if has_video else None
    length_sec = film.count / FPS if film else len(read_audio(path, config.sample_rate)) / config.sample_rate
    if at is not None and not 0 <= at <= length_sec:
        raise UsageError(f"{path}: it is {length_sec:.2f} s long. Received: at={at:g}")
    warnings = []
    if at is None and length_sec > 1.5 * config.num_frames / FPS:
        warnings.append(f"the word in the middle of {length_sec:.1f} s is taken; --at SEC chooses another")
    middle = length_sec / 2 if at is None else at
    first = first_frame(middle, middle, config.num_frames)
    whole = at is None and film is not None and film.count == config.num_frames
    sound = _sound(path, config, first, whole, warnings) if has_sound else None
    if not has_sound:
        warnings.append("no sound track: by the lips alone")
    frames = mouths = None
    if film:
        frames, mouths = _pictures(path, config, film, first, warnings)
    else:
        warnings.append("no pictures: by the sound alone")
    if sound is None and mouths is None:
        raise MediaError(path, f"there is nothing to recognise a word by ({'; '.join(warnings)})", "Use another clip.")
    window = (round(first / FPS, 3), round((first + config.num_frames) / FPS, 3))
    return Heard(frames, mouths, sound, window, warnings)


def recognize(recognizer: Recognizer, heard: Heard, path: Path | str, top: int = 5) -> dict:
    """The words of a window, by both, or by the stream that is there.

    Raises:
        MediaError: The run knows only the stream that is missing.
    """
    there = {AUDIO: heard.sound is not None, VIDEO: heard.crops is not None}
    there[BOTH] = all(there.values())
    asked = [name for name in recognizer.streams if there[name]]
    if not asked:
        known = " and ".join(recognizer.streams)
        raise MediaError(path, f"the run knows {known} only ({'; '.join(heard.warnings)})", "Use another run.")
    config = recognizer.config
    sound = heard.sound if there[AUDIO] else np.zeros(config.num_samples, np.float32)
    mouths = heard.crops if there[VIDEO] else np.zeros((config.num_frames, *config.prepared_size), np.uint8)
    cut = center_crop(*config.crop_size)
    waveform = sound_to_input(config, tf.constant(sound))
    frames = pictures_to_input(config, cut(tf.constant(mouths[..., None])))
    inputs = {"waveform": waveform.numpy()[None], "frames": frames.numpy()[None]}
    probabilities = recognizer.probabilities(inputs)
    # Both first, where it can be asked; of the streams alone the surer one.
    used = BOTH if BOTH in asked else max(asked, key=lambda name: probabilities[name].max())
    streams = {name: ranking(probabilities[name][0], recognizer.words, top) for name in asked}
    warnings = list(heard.warnings)
    if (share := float(probabilities[used].max())) < _UNSURE:
        count = len(recognizer.words)
        warnings.append(f"unsure, its likeliest word has {share:.0%}: is one of the model's {count} words said there?")
    return {
        "text": streams[used][0]["label"],
        "ranking": streams[used],
        "used": used,
        "streams": streams,
        "window_sec": heard.window_sec,
        "warnings": warnings,
    }


def _streams(path) -> tuple[bool, bool]:
    with open_container(path) as container:
        cover = av.stream.Disposition.attached_pic  # of a song, no video
        pictures = [stream for stream in container.streams.video if not stream.disposition & cover]
        return bool(pictures), bool(container.streams.audio)


def _sound(path, config: Config, first: int, whole: bool, warnings: list[str]) -> np.ndarray | None:
    try:
        if whole:
            sound = read_audio(path, config.sample_rate)
            sound = take_samples(sound, max(0, len(sound) - config.num_samples), config.num_samples)
        else:
            sound = read_audio(path, config.sample_rate, first / FPS, config.num_samples / config.sample_rate)
    except NoSoundError as error:
        warnings.append(f"{error.reason}: by the lips alone")
        return None
    if np.abs(sound).max() < _SILENT:
        warnings.append("its sound is silent: by the lips alone")
        return None
    return sound


class _Film(NamedTuple):
    """The pictures of a clip at 25 a second: how many, and a function that reads those from one up to another."""

    count: int
    read: Callable[[int, int], np.ndarray]


def _open_film(path) -> _Film:
    times = scan_packets(path).times_sec
    if len(times) and times[-1] > _SHORT_SEC:  # a part of it alone is read
        numbers = indices_every_sec(times, 1 / FPS)
        return _Film(len(numbers), lambda start, stop: read_video(path, numbers[start:stop]).frames)
    frames = read_video(path, every_sec=1 / FPS).frames
    return _Film(len(frames), lambda start, stop: frames[start:stop])


def _pictures(path, config: Config, film: _Film, first: int, warnings: list[str]):
    wanted = np.clip(np.arange(first, first + config.num_frames), 0, film.count - 1)
    if first < 0 or first + config.num_frames > film.count:
        warnings.append("the window goes beyond the clip: the nearest picture stands still there, and it is silent")
    start, stop = max(0, wanted[0] - _MARGIN), min(film.count, wanted[-1] + 1 + _MARGIN)
    frames = film.read(start, stop)
    crop = crop_of(config.mouth_crop, config.prepared_size)
    cut = Cut(crop, find_detector(crop))
    error = None
    for lowest, highest in ((start, stop), (wanted[0], wanted[-1] + 1)):  # around the window, else within it
        try:
            part = frames[lowest - start : highest - start]
            mouths, more = crop_frames(path, part, cut)
        except MediaError as failure:
            error = failure
            continue
        warnings += more
        return frames[wanted - start], mouths[wanted - lowest]
    warnings.append(f"{error.reason}: by the sound alone")
    return frames[wanted - start], None


def _playable(heard: Heard, config: Config, folder: Path) -> tuple[bytes, str]:
    if heard.frames is None:
        return _wav(heard.sound, config.sample_rate), "audio/wav"
    path = folder / ".clip.mp4"
    try:
        write_video(path, heard.frames, FPS, sound=heard.sound, sample_rate=config.sample_rate, crf=23)
        return path.read_bytes(), "video/mp4"
    finally:
        path.unlink(missing_ok=True)


def _wav(sound: np.ndarray, sample_rate: int) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(to_int16(sound).tobytes())
    return stream.getvalue()
