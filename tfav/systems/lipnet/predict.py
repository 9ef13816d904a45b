"""Any person's video to text with times: mouth found and followed, windows read and stitched, captions written."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfav.errors import DataError, MediaError, UsageError
from tfav.io.encoding import write_gif
from tfav.io.faces import FaceDetector, detector_file, track_faces
from tfav.io.isolate_errors import row_of
from tfav.io.mouth import WIDE, Box, choose_face, crop_mouths, describe_faces, follow
from tfav.io.output_names import as_paths, check_target, name_results, short_name
from tfav.io.progress import Progress, no_progress, with_progress
from tfav.io.video import iter_frames_every, probe
from tfav.speech import subtitles
from tfav.speech.corpus import find_transcripts
from tfav.speech.grid import FPS
from tfav.speech.mouth_crops import crop_fixed
from tfav.speech.text_normalization import normalize_text
from tfav.speech.tokenizer import required_frames
from tfav.speech.transcripts import TimedWord, Utterance, read_transcript
from tfav.systems.lipnet import decoding
from tfav.systems.lipnet.dataset import CROPS
from tfav.systems.lipnet.losses import CTCLoss
from tfav.systems.lipnet.reader import Posteriors, Reader, open_reader, stitched_posteriors
from tfav.training import run_folder as runs

# Mean over the symbols read. Of 150 clips of the speaker, read by the same training without them, none is below; of 15
# clips of other speakers, read by the shipped weights, 14 are.
MIN_POSTERIOR = 0.92
_MIN_FRAMES = 10
_TIMES, _MOUTH = (".srt", ".vtt", ".align", ".TextGrid"), "_mouth.gif"  # what is written of a video, behind its name
_MIN_SYMBOLS_PER_SEC = 2.0  # fewer are no speech; GRID's speakers say about eight


# Files --------------------------------------------------------------------------------------------------------------


class Mouth(NamedTuple):
    """A mouth cut out of a video at 25 frames a second.

    `crops` `[T, H, W]` uint8 grey; `start_sec`: of its first frame in the video; `duration_sec`: of the video;
    `warnings`: what a person should know.
    """

    crops: np.ndarray
    start_sec: float
    duration_sec: float
    warnings: list[str]


class Reading(NamedTuple):
    """What was read: `text`, `words` with times in the video, `readings` by each decoder, `posterior` 0-1."""

    text: str
    words: list[TimedWord]
    readings: dict[str, str]
    posterior: float
    warnings: list[str]


def predict_files(
    run_dir: Path | str,
    files: Sequence[Path | str] | Path | str,
    *,
    face: int | None = None,
    out: Path | str | None = None,
    captions: Path | str | None = None,
    grammar: str | None = None,
    lm: Path | str | None = None,
    hot_words: Path | str | None = None,
) -> dict:
    """Reads lips in video files of any size, rate and length.

    Args:
        run_dir: A trained run, or `pretrained`.
        files: Videos, or one path; one that cannot be read stops no other.
        face: Which face, counted from 1 from the left; None: the one that speaks.
        out: Folder for `NAME.srt`, `.vtt`, `.align`, `.TextGrid` and `NAME_mouth.gif`, with a NAME by
            `output_names.name_results`; None: `predictions/` in the run folder, for
            `pretrained` in the current one.
        captions: An `.mp4` to write of a single file, with the words drawn in as they are said.
        grammar: A grammar file, or `none`; None: the run's.
        lm: A language model, as in `open_reader`; its reading is the answer then, where no grammar is.
        hot_words: Likewise.

    Returns:
        `{"files": [...]}`, JSON-ready: `path`, `text`, `words` (`text`, `start_sec`, `end_sec`), `readings`,
        `posterior`, `in_domain`, `warnings`, `wrote`; or `path` and `error`.

    Raises:
        UsageError: Options that do not apply, no run, or no face detector at the given path.
    """
    files = as_paths(files)
    if captions is not None and (len(files) != 1 or Path(captions).suffix.lower() != ".mp4"):
        raise UsageError(f"--captions takes the name of one .mp4 for one video. Received: {captions}")
    check_target(captions, files, "--captions")
    predict_file = open_predictor(run_dir, grammar=grammar, lm=lm, hot_words=hot_words)
    folder = Path(out) if out is not None else runs.predictions_folder(run_dir)
    names = name_results(files, folder, (*_TIMES, _MOUTH))
    named, options = zip(files, names, strict=True), {"face": face, "captions": captions}
    return {"files": [row_of(path, predict_file, out=folder, name=name, **options) for path, name in named]}


def open_predictor(
    run_dir: Path | str,
    *,
    grammar: str | None = None,
    lm: Path | str | None = None,
    hot_words: Path | str | None = None,
) -> Callable[..., dict]:
    """Opens a run once, to read one video after the other.

    Args:
        run_dir: A trained run, or `pretrained`.
        grammar: A grammar file, or `none`; None: the run's.
        lm: As in `open_reader`.
        hot_words: Likewise.

    Returns:
        A function `(path, *, out, name="", face=None, captions=None, progress=...)` from a video to its row as in
        `predict_files`, `name` being that of its results. It raises `MediaError` for a video that cannot be read,
        `UsageError` for a face that is not there, and whatever `progress` raises.

    Raises:
        UsageError: No run, or no face detector at the given path.
        FetchError: The face detector is not here and cannot be fetched.
    """
    reader = open_reader(run_dir, lm=lm, hot_words=hot_words, **({} if grammar is None else {"grammar": grammar}))
    detector = _detector_of(reader)

    def predict_file(path, *, out, name="", face=None, captions=None, progress: Progress = no_progress) -> dict:
        stem = Path(out) / (name or short_name(Path(path).stem))
        return _predict_file(reader, Path(path), detector, face, stem, captions, progress)

    return predict_file


def _predict_file(reader: Reader, path: Path, detector, face, stem: Path, captions, progress: Progress) -> dict:
    mouth = _mouth_of(reader, path, detector, face, progress=lambda share, what: progress(0.6 * share, what))
    progress(0.6, "Reading the lips")
    reading = read_mouth(reader, mouth)
    progress(0.8, "Writing subtitles")
    stem.parent.mkdir(parents=True, exist_ok=True)
    wrote = [
        str(subtitles.write_times(stem.with_name(f"{stem.name}{suffix}"), reading.words, mouth.duration_sec))
        for suffix in _TIMES
    ]
    pictures = subtitles.draw_mouth(mouth.crops, reading.words, mouth.start_sec, reader.fps)
    wrote.append(str(write_gif(stem.with_name(f"{stem.name}{_MOUTH}"), pictures, reader.fps)))
    progress(0.9, "Drawing captions")
    if captions is not None:
        wrote.append(str(subtitles.burn_captions(path, captions, reading.words)))
    return {
        "path": str(path),
        "text": reading.text,
        "words": [word._asdict() for word in reading.words],
        "readings": reading.readings,
        "posterior": round(reading.posterior, 4),
        "in_domain": reading.posterior >= MIN_POSTERIOR,
        "warnings": [f"{path}: {line}" for line in (*mouth.warnings, *reading.warnings)],
        "wrote": wrote,
    }


def _detector_of(reader: Reader) -> FaceDetector | None:
    """What finds faces; None where the run's crop has a fixed place."""
    return FaceDetector(detector_file()) if isinstance(CROPS[reader.config.mouth_crop], Box) else None


def _mouth_of(reader: Reader, path: Path, detector, face: int | None, progress: Progress = no_progress) -> Mouth:
    """The mouth in a video, as the run has learnt to read it."""
    box = CROPS[reader.config.mouth_crop] if detector else WIDE
    return find_mouth(path, detector, face, box, reader.fps, progress=progress)


def align_files(
    run_dir: Path | str,
    files: Sequence[Path | str] | Path | str,
    *,
    text: str | None = None,
    transcripts: Path | str | None = None,
    out: Path | str | None = None,
    face: int | None = None,
) -> dict:
    """When the words of a known text are said in videos, by a trained run.

    Args:
        run_dir: A trained run, or `pretrained`.
        files: Videos, or one path; one that cannot be aligned stops no other.
        text: What is said in all of them; None: by their transcripts.
        transcripts: A folder of them; None: they lie beside the videos.
        out: Folder for `NAME.align`, `.srt`, `.vtt` and `.TextGrid`; None: `alignments/` in the run folder, for
            `pretrained` in the current one.
        face: Which face, counted from 1 from the left; None: the one that speaks.

    Returns:
        `{"files": [...]}`, JSON-ready: `path`, `text`, `words` (`text`, `start_sec`, `end_sec`), `warnings`, `wrote`;
        or `path` and `error`.

    Raises:
        UsageError: No run, or no face detector at the given path.
    """
    files = as_paths(files)
    reader = open_reader(run_dir, grammar="none")
    detector = _detector_of(reader)
    folder = Path(out) if out is not None else runs.predictions_folder(run_dir).with_name("alignments")

    def align_file(path: Path, *, name: str) -> dict:
        if text is not None:
            said = [Utterance(normalize_text(text).text)]
        else:
            paired = find_transcripts([path], path.parent, Path(transcripts) if transcripts else None)
            if path not in paired.pairs:
                where = transcripts or path.parent
                raise MediaError(
                    path, paired.failures.get(path, f"no transcript of its name in {where}"), "Give --text."
                )
            said = read_transcript(paired.pairs[path]).utterances
        mouth = _mouth_of(reader, path, detector, face)
        posteriors, words = stitched_posteriors(reader, mouth.crops), []
        for utterance in said:
            words += _align_utterance(reader, path, utterance, posteriors, mouth.start_sec)
        folder.mkdir(parents=True, exist_ok=True)
        wrote = [str(subtitles.write_times(folder / f"{name}{kind}", words, mouth.duration_sec)) for kind in _TIMES]
        return {
            "path": str(path),
            "text": " ".join(word.text for word in words),
            "words": [word._asdict() for word in words],
            "warnings": [f"{path}: {line}" for line in mouth.warnings],
            "wrote": wrote,
        }

    named = zip(files, name_results(files, folder, _TIMES), strict=True)
    return {"files": [row_of(path, align_file, name=name) for path, name in named]}


def _align_utterance(reader: Reader, path: Path, utterance: Utterance, posteriors: Posteriors, start_sec: float):
    first, last = 0, len(posteriors.labels)
    if utterance.start_sec is not None:
        first = max(0, math.floor((utterance.start_sec - start_sec) * reader.fps))
        last = min(last, math.ceil((utterance.end_sec - start_sec) * reader.fps))
    heads = None if posteriors.words is None else posteriors.words[first:last]
    try:
        found = reader.align(utterance.text, Posteriors(posteriors.labels[first:last], heads))
    except DataError as error:
        raise MediaError(path, str(error).rstrip("."), "Is this what is said there?") from error
    shift = start_sec + first / reader.fps
    return [TimedWord(word.text, word.start_sec + shift, word.end_sec + shift) for word in found]


def open_scorer(run_dir: Path | str) -> Callable[[Path | str, str], float]:
    """Opens a run once, to ask of one video after the other how well it fits to a text.

    Args:
        run_dir: A trained run, or `pretrained`.

    Returns:
        A function from a video and a text to the log-probability of the text by CTC, less that of the best path, for
        each symbol: about 0 where the model reads just that, the lower the less it does. It raises `MediaError` for a
        video that cannot be read, and `DataError` for a text with symbols that the model does not have, or too long.

    Raises:
        UsageError: No run, or no face detector at the given path.
    """
    reader = open_reader(run_dir, grammar="none")
    detector, symbols = _detector_of(reader), reader.config.symbols()
    loss = CTCLoss(symbols.blank)

    def score(path: Path | str, text: str) -> float:
        classes = symbols.encode(normalize_text(text).text)
        labels = stitched_posteriors(reader, _mouth_of(reader, Path(path), detector, None).crops).labels
        if not len(classes) or required_frames(classes) > len(labels):
            raise DataError(f"{path}: {len(classes)} known symbols do not fit into its {len(labels)} frames.")
        best = labels.max(axis=1).sum()
        return float((-loss.call(classes[None], labels[None])[0] - best) / len(classes))

    return score


def find_mouth(
    path: Path | str,
    detector: FaceDetector | None,
    face: int | None = None,
    box: Box = WIDE,
    fps: float = FPS,
    *,
    progress: Progress = no_progress,
) -> Mouth:
    """Cuts the mouth of one person out of a video, holding a few frames at a time.

    Args:
        path: The video, of any rate, upright.
        detector: Finds faces; None takes the course notebook's fixed place.
        face: Which face, counted from 1; None: the one that speaks.
        box: What the crops show of it.
        fps: Frames per second of the crops, taken by time.
        progress: Told frame by frame; see `tfav.io.progress`.

    Raises:
        MediaError: The video cannot be read, or shows no face long enough; the message says what was seen.
    """
    info = probe(path, exact=False)
    count, warnings = round(info.duration_sec * fps), []
    if not 0.9 < info.fps / fps < 1.1:
        warnings.append(f"filmed at {info.fps:.3g} frames a second, read at {fps:g}")
    if detector is None:
        frames = with_progress(iter_frames_every(path, 1 / fps), count, progress, "Cutting out the mouth")
        crops, start = _or_media_error(path, lambda: list(crop_fixed(frames))), 0
    else:
        frames = with_progress(iter_frames_every(path, 1 / fps), count, progress, "Looking for the face", stop=0.8)
        scene = track_faces(frames, detector)
        track = _or_media_error(path, lambda: choose_face(scene, face, fps=fps))
        if len(scene.tracks) > 1:
            number = next(number for number, other in enumerate(scene.tracks, 1) if other is track)
            warnings.append(f"{len(scene.tracks)} faces, number {number} is read: {describe_faces(scene, fps)}")
        mouth_path = _or_media_error(path, lambda: follow(track, scene, fps=fps))
        warnings += mouth_path.warnings
        frames = with_progress(iter_frames_every(path, 1 / fps), count, progress, "Following the mouth", start=0.8)
        crops, start = list(crop_mouths(frames, mouth_path, box)), mouth_path.start
    if len(crops) < _MIN_FRAMES:
        raise MediaError(path, f"{len(crops)} frames of a mouth are too few to read", "Give a longer video.")
    return Mouth(np.stack(crops), start / fps, max(info.duration_sec, (start + len(crops)) / fps), warnings)


def read_mouth(reader: Reader, mouth: Mouth) -> Reading:
    """Reads what a mouth says: window by window, posteriors stitched, then decoded as a whole.

    The grammar, which is one of single sentences, is for videos that fit into one window; longer ones are read freely.
    """
    posteriors = stitched_posteriors(reader, mouth.crops)
    long = len(mouth.crops) > reader.config.num_frames
    warnings, use_grammar = [], reader.grammar is not None and not (long and not reader.grammar.loop)
    if long and not use_grammar and reader.grammar is not None:
        warnings.append(
            f"longer than {reader.config.num_frames / reader.fps:g} s: read without the grammar, which is for one"
        )
        warnings[-1] += " sentence"
    readings = reader.read(posteriors, ("greedy", "beam", "lm", *(["grammar"] if use_grammar else [])))
    text = readings.get("grammar") or readings.get("lm") or readings["beam"]
    posterior, symbols_per_sec = decoding.mean_posterior(posteriors.labels, reader.config.symbols().blank, reader.fps)
    if posterior < MIN_POSTERIOR or symbols_per_sec < _MIN_SYMBOLS_PER_SEC:
        warnings.append(
            f"out of the model's domain: its mean posterior is {posterior:.2f} (below {MIN_POSTERIOR} it guesses), and "
            f"it sees {symbols_per_sec:.1f} letters a second. It was trained on other sentences, speakers or pictures; "
            "do not believe the text"
        )
        posterior = min(posterior, MIN_POSTERIOR - 1e-4)
    try:
        words = reader.align(" ".join(text.split()), posteriors)
    except DataError:
        words = []
    words = [TimedWord(w.text, w.start_sec + mouth.start_sec, w.end_sec + mouth.start_sec) for w in words]
    return Reading(" ".join(text.split()), words, readings, posterior, warnings)


def _or_media_error(path, work):
    try:
        return work()
    except UsageError:
        raise
    except DataError as error:
        raise MediaError(path, str(error).rstrip("."), "Show one face from the front.") from error
