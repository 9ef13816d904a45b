"""How many words are right, from sound, from lips and from both, in quiet and in noise."""

import dataclasses
import functools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfav.data import shards
from tfav.data.shards import Index
from tfav.errors import DataError, UsageError
from tfav.metrics import classification
from tfav.speech import noise as noises
from tfav.speech.recordings import at_home
from tfav.speech.windows import list_windows
from tfav.systems.av_words.augment import CORRUPTIONS
from tfav.systems.av_words.config import NOISES, Config
from tfav.systems.av_words.dataset import build_dataset, choose_voices, make_split, prepared_index
from tfav.systems.av_words.predict import Recognizer, open_recognizer

CLEAN = "clean"
PARTS = ("train", "val", "test", "all")
_NUM_CONFUSIONS = 20


@dataclasses.dataclass(frozen=True)
class Part:
    """Words to score.

    Attributes:
        config: What windows and noise are like.
        index: Of the recordings.
        recordings: Names of those that are scored.
        known: The words in the order of their numbers.
        voices_of: Recordings that babble is mixed from; None: as `build_dataset` chooses.
        names: One for each window, in their order: `recording:place:word`.
        failed: Recordings that could not be prepared, `path` and `reason` of each.
    """

    config: Config
    index: Index
    recordings: list[str]
    known: tuple[str, ...]
    voices_of: list[str] | None
    names: list[str]
    failed: list[dict]

    @functools.cached_property
    def voices(self) -> noises.Voices:
        """What babble is mixed from, read once for all ratios."""
        if self.voices_of:
            return noises.read_voices(self.index, self.voices_of)
        return choose_voices(self.config, self.index, self.recordings, training=False)

    def dataset(
        self, *, snr_db: float | None = None, noise: str = "babble", corrupt_video: str | None = None
    ) -> tf.data.Dataset:
        """Its batches, as `build_dataset` gives them; row `i` is `names[i]`."""
        return build_dataset(
            self.config,
            self.index,
            self.recordings,
            snr_db=snr_db,
            noise=noise,
            corrupt_video=corrupt_video,
            known=self.known,
            voices=self.voices if snr_db is not None and noise == "babble" else None,
        )


def open_part(config: Config, data_dir: Path | str | None, part: str, known: Sequence[str]) -> Part:
    """Opens words to score.

    Args:
        config: Of the run.
        data_dir: Another folder than the run's own, of shards or videos; None: the run's own.
        part: `train`, `val` or `test` of the run's split; `all`: everything, and of another folder nothing else.
        known: The run's words in the order of their numbers.

    Raises:
        UsageError: No such folder or part; the run's data have no such part.
        DataError: Nothing in it can be used, or words that are not the run's.
    """
    if part not in PARTS:
        raise UsageError(f"part must be one of {', '.join(PARTS)}. Received: part={part}")
    if data_dir is not None and part != "all":
        raise UsageError(f"part={part} is a part of the run's own data. Leave out part or data_dir.")
    if data_dir is not None:
        config = dataclasses.replace(config, data_dir=str(data_dir))
    index, failed = prepared_index(config)
    names, voices_of = [entry.id for entry in index.entries], None
    if data_dir is None:
        split = make_split(names, config)
        voices_of = split.train if len(split.train) > config.babble_voices else None
        names = names if part == "all" else getattr(split, part)
        if not names:
            raise UsageError(f"the run's split has no {part} part. Choose another, or give --data-dir.")
    entries = shards.in_stored_order(index, names)
    examples = list_windows(entries, known, config.num_frames)
    return Part(
        config,
        index,
        [entry.id for entry in entries],
        tuple(known),
        voices_of,
        [f"{example.recording}:{example.place}:{example.word}" for example in examples],
        [{"path": name, "reason": reason} for name, reason in failed.items()],
    )


def evaluate(
    run_dir: Path | str,
    data_dir: Path | str | None = None,
    *,
    part: str = "all",
    snr: str | Sequence | None = None,
    noise: str = "babble",
    corrupt_video: str | None = None,
    progress: bool = True,
    **changes,
) -> dict:
    """Scores words.

    Args:
        run_dir: A trained chain, the folder of one of its stages, or `pretrained`.
        data_dir: What `tfav prepare av_words` made, or videos in the layout of the run; None: the run's own.
        part: `train`, `val` or `test` of the run's split, or `all`.
        snr: Signal to noise ratios to score at, as in `"clean,20,0,-5"` or a sequence of such; None: `clean`.
        noise: Kind of noise: `white`, `pink`, `babble` of the run's training recordings, or `folder`.
        corrupt_video: `black`, `frozen` or `blurred` frames; None: as they are.
        progress: Show a bar.
        **changes: Fields that only the data look at, such as `cache_dir` or `noise_dir`.

    Returns:
        JSON-ready. `streams`: for each of `both`, `audio`, `video` that the run has, what
        `classification.evaluate` gives, under the first of the ratios; `top1`, `top5` with intervals, `confusion`,
        `labels`, `per_class`, `count` of the main one again; `by_snr`: a row for each ratio with `snr_db` (None is
        clean) and `streams` to `top1`, `top5` and their intervals; `confusions`, the most frequent
        `[said, recognised, count]`; `failed`, `seconds`, `data`, `part`, `noise`, `corrupt_video`.

    Raises:
        UsageError: No run, no such part, ratio, noise or corruption, or words that are not the run's.
        DataError: Not one usable window.
    """
    ratios = parse_snr(snr)
    if noise not in NOISES:
        raise UsageError(f"noise must be one of {', '.join(NOISES)}. Received: noise={noise}")
    if corrupt_video is not None and corrupt_video not in CORRUPTIONS:
        raise UsageError(f"corrupt_video must be one of {', '.join(CORRUPTIONS)}. Received: {corrupt_video}")
    started = time.monotonic()
    recognizer = open_recognizer(run_dir, **changes)
    source = open_part(at_home(recognizer.config), data_dir, part, recognizer.words)
    if not len(source.names):
        raise DataError(f"{data_dir or recognizer.config.data_dir}: there is not one word to score.")
    rows, first = [], {}
    with tqdm(
        total=len(ratios) * len(source.names), desc="evaluate", unit="word", disable=None if progress else True
    ) as bar:
        for ratio in ratios:
            dataset = source.dataset(snr_db=ratio, noise=noise, corrupt_video=corrupt_video)
            truth, given = _score(recognizer, dataset, bar)
            streams = {name: classification.evaluate(truth, p, list(recognizer.words)) for name, p in given.items()}
            rows.append({"snr_db": ratio, "streams": {name: _brief(scores) for name, scores in streams.items()}})
            first = first or streams
    main = first[recognizer.streams[0]]
    return {
        **main,
        "streams": first,
        "by_snr": rows,
        "confusions": _confusions(main),
        "failed": source.failed,
        "data": str(data_dir or recognizer.config.data_dir),
        "part": part,
        "noise": noise,
        "corrupt_video": corrupt_video,
        "variant": "_".join(filter(None, [corrupt_video, noise if noise != "babble" and snr else None])),
        "seconds": round(time.monotonic() - started, 2),
    }


def parse_snr(text: str | Sequence | None) -> list[float | None]:
    """Ratios in dB, None for clean, from `"clean,20,-5"` or a sequence of such.

    Raises:
        UsageError: One is no number.
    """
    if text is None:
        return [None]
    words = text.split(",") if isinstance(text, str) else list(text)
    ratios: list[float | None] = []
    for word in words:
        try:
            ratio = None if word is None or str(word).strip().lower() == CLEAN else float(word)
        except ValueError:
            raise UsageError(
                f"snr takes numbers of dB and the word clean, as in clean,20,0,-5. Received: {word!r}"
            ) from None
        if ratio is not None and not np.isfinite(ratio):
            raise UsageError(f"snr must be finite; no noise at all is called clean. Received: {word!r}")
        if ratio not in ratios:
            ratios.append(ratio)
    return ratios


def describe_evaluation(result: dict) -> str:
    """The figures as text."""
    names = list(result["streams"])
    lines = [f"{result['count']} words ({result['data']}, {result['part']}), {result['seconds']} s"]
    if result["corrupt_video"]:
        lines.append(f"pictures: {result['corrupt_video']}")
    lines.append(f"{'SNR (' + result['noise'] + ')':<14}" + "".join(f"{name:>26}" for name in names))
    for row in result["by_snr"]:
        cells = []
        for name in names:
            scores = row["streams"][name]
            low, high = scores["top1_interval"]
            cells.append(f"{scores['top1']:8.1%} ({low:6.1%} to {high:6.1%})")
        lines.append(f"{snr_name(row['snr_db']):<14}" + "".join(f"{cell:>26}" for cell in cells))
    top5 = ", ".join(f"{name} {result['streams'][name]['top5']:.1%}" for name in names)
    lines.append(f"top-5, {snr_name(result['by_snr'][0]['snr_db'])}: {top5}")
    if result["confusions"]:
        lines.append("taken for another: " + ", ".join(f"{a} for {b} {n}x" for a, b, n in result["confusions"][:10]))
    lines += [f"failed: {row['path']}: {row['reason']}" for row in result["failed"]]
    return "\n".join(lines)


def snr_name(ratio: float | None) -> str:
    """`clean`, or the ratio in dB."""
    return CLEAN if ratio is None else f"{ratio:g} dB"


def _score(recognizer: Recognizer, dataset, bar) -> tuple[np.ndarray, dict]:
    truth, given = [], {name: [] for name in recognizer.streams}
    for inputs, words in dataset:
        for name, probabilities in recognizer.probabilities(inputs).items():
            given[name].append(probabilities)
        truth.append(np.asarray(words))
        bar.update(len(words))
    return np.concatenate(truth), {name: np.concatenate(parts) for name, parts in given.items()}


def _brief(scores: dict) -> dict:
    return {name: scores[name] for name in ("top1", "top1_interval", "top5", "top5_interval", "count")}


def _confusions(scores: dict) -> list:
    counts, labels = np.array(scores["confusion"]), scores["labels"]
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_NUM_CONFUSIONS]
    places = [np.unravel_index(place, counts.shape) for place in order]
    return [[labels[a], labels[b], int(counts[a, b])] for a, b in places if counts[a, b]]
