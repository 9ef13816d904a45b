"""A trained run, ready to read: model, symbols and words, grammar, language model; posteriors of any length."""

import dataclasses
import functools
import itertools
import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfav.data.augment import center_crop
from tfav.io.atomic_write import write_json
from tfav.io.checksums import hash_file
from tfav.speech import alignment, grid
from tfav.speech.grammar import Grammar, grammar_of
from tfav.speech.grid import FPS
from tfav.speech.language_model import read_arpa
from tfav.speech.tokenizer import TOKENIZERS
from tfav.speech.transcripts import TimedWord
from tfav.systems.lipnet import decoding
from tfav.systems.lipnet.augment import to_input
from tfav.systems.lipnet.config import SYSTEM, Config
from tfav.systems.lipnet.decoding import LanguageSettings
from tfav.systems.lipnet.model import build_model
from tfav.training import checkpoints
from tfav.training import run_folder as runs

DECODERS = ("greedy", "beam", "lm", "grammar")
LANGUAGE_NAME = "language_model.json"  # in a run folder: how much language models count, by their checksums
OVERLAP = 25  # frames that two windows of a long video share


class Posteriors(NamedTuple):
    """Of one clip's real frames: `labels` `[T, K]` and `words` `[T, 1 + W]` or None, log-probabilities, float64."""

    labels: np.ndarray
    words: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Reader:
    """A model with what is needed to read from its posteriors."""

    config: Config
    model: keras.Model
    grammar: Grammar | None
    fps: float = FPS
    language: LanguageSettings | None = None

    @functools.cached_property
    def _scorer(self):
        return decoding.scorer_of(self.language, self.config.symbols())

    def posteriors(self, frames: np.ndarray, frame_count: np.ndarray) -> list[Posteriors]:
        """Of each clip of a batch as the data sets give it."""
        logits = self.model.predict_on_batch({"frames": frames, "frame_count": frame_count})
        # Never less than 1e-30, so that no path through a frame is impossible.
        log_probs = {name: np.log(np.exp(decoding.log_softmax(value)) + 1e-30) for name, value in logits.items()}
        words = log_probs.get("words", [None] * len(frame_count))
        return [
            Posteriors(labels[:count], None if heads is None else heads[:count])
            for labels, heads, count in zip(log_probs["labels"], words, frame_count, strict=True)
        ]

    def align(self, text: str, posteriors: Posteriors) -> list[TimedWord]:
        """When each word of a text is said, from the clip's first frame on.

        Raises:
            DataError: The text does not fit into the frames.
        """
        config = self.config
        return alignment.align(
            text, posteriors.labels, config.symbols(), posteriors.words, config.known_words(), self.fps
        )

    def read(self, posteriors: Posteriors, decoders=DECODERS) -> dict[str, str]:
        """The sentence by each way of decoding; `lm` and `grammar` only where there is one."""
        symbols = self.config.symbols()
        read = {}
        if "greedy" in decoders:
            read["greedy"] = decoding.greedy(posteriors.labels, symbols)
        if "beam" in decoders:
            read["beam"] = decoding.beam(posteriors.labels, symbols)
        if "lm" in decoders and self.language is not None:
            read["lm"] = decoding.decode_beam(posteriors.labels, symbols, self._scorer)
        if "grammar" in decoders and self.grammar is not None:
            known = self.config.known_words()
            is_known = posteriors.words is not None and set(self.grammar.words) <= set(known)
            read["grammar"], _ = decoding.decode_grammar(
                posteriors.labels,
                symbols,
                self.grammar,
                word_log_probs=posteriors.words,
                head_weight=decoding.HEAD_WEIGHT if is_known else 0.0,
                known_words=known,
            )
        return read


def open_run(run_dir: Path | str) -> tuple[runs.Run, Config]:
    """Reads a run folder of this system, or `pretrained`; without what only training has, the head for sound."""
    run, config = runs.open_run(run_dir, SYSTEM, Config)
    return run, dataclasses.replace(config.with_learnt(run.metadata), mel_loss_weight=0.0)


def open_reader(
    run_dir: Path | str, *, lm: Path | str | None = None, hot_words: Path | str | None = None, **changes
) -> Reader:
    """A run's model, ready to read.

    Args:
        run_dir: A run folder, or `pretrained`.
        lm: A language model in ARPA format; weighted as `tfav evaluate` found best, or by default.
        hot_words: As `decoding.read_hot_words` has it.
        **changes: Fields of the configuration that only decoding looks at, such as `grammar`.

    Raises:
        UsageError: Not a run of this system, or a grammar file that is not there.
        DataError: A broken grammar.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir)
    config = dataclasses.replace(config, **changes)
    grammar = None
    if config.grammar or set(grid.WORDS) <= set(config.known_words()) or config.tokenizer in TOKENIZERS:
        grammar = grammar_of(config.grammar, config.symbols())  # GRID's own only for who has learnt GRID
    language = None
    if lm is not None or hot_words is not None:
        hot = decoding.read_hot_words(hot_words) if hot_words is not None else {}
        language = LanguageSettings(read_arpa(lm) if lm is not None else None, hot_words=hot)
        language = language._replace(**stored_weights(run.dir, lm))
        decoding.scorer_of(language, config.symbols())  # what cannot be used is said before any work
    return Reader(config, load_model(run.dir, config), grammar, float(run.metadata.get("fps", FPS)), language)


def stored_weights(run_dir: Path, lm: Path | str | None) -> dict:
    """`LanguageSettings` that were found best for a language model, nothing for another one."""
    return _all_weights(run_dir).get(hash_file(Path(lm)), {}) if lm is not None else {"bonus": 0.0}


def store_weights(run_dir: Path, lm: Path | str, language: LanguageSettings) -> None:
    """Keeps what was found best for a language model in the run folder."""
    found = {name: getattr(language, name) for name in ("weight", "bonus", "closed")}
    write_json(run_dir / LANGUAGE_NAME, _all_weights(run_dir) | {hash_file(Path(lm)): found})


def _all_weights(run_dir: Path) -> dict[str, dict]:
    path = run_dir / LANGUAGE_NAME
    return json.loads(path.read_bytes()) if path.exists() else {}


def load_model(run_dir: Path, config: Config) -> keras.Model:
    """The best model of a run, or the one that its exported weights make; without a head for sound.

    Raises:
        TfavError: There is none.
    """
    model = checkpoints.best_model(run_dir, lambda: build_model(config))
    outputs = {name: output for name, output in model.output.items() if name != "sound"}
    return model if len(outputs) == len(model.output) else keras.Model(model.input, outputs, name=model.name)


def stitched_posteriors(reader: Reader, crops: np.ndarray) -> Posteriors:
    """Posteriors of every frame of a video of any length, `[T, ...]`.

    Windows of the model's length overlap; each frame is taken from the window in which it stands further inside.
    """
    config = reader.config
    starts = window_starts(len(crops), config.num_frames)
    batch, counts = [], []
    cut = center_crop(*config.crop_size)
    for start in starts:
        frames = tf.constant(crops[start : start + config.num_frames, ..., None])
        counts.append(len(frames))
        batch.append(to_input(config, cut(frames), tf.constant(len(frames))).numpy())
    parts: list[Posteriors] = []
    for place in range(0, len(batch), config.batch_size):
        some = slice(place, place + config.batch_size)
        parts += reader.posteriors(np.stack(batch[some]), np.array(counts[some], np.int32))
    cuts = [0, *((a + config.num_frames + b) // 2 for a, b in itertools.pairwise(starts)), len(crops)]
    spans = [slice(cuts[n] - start, cuts[n + 1] - start) for n, start in enumerate(starts)]
    labels = np.concatenate([part.labels[span] for part, span in zip(parts, spans, strict=True)])
    if parts[0].words is None:
        return Posteriors(labels, None)
    return Posteriors(labels, np.concatenate([part.words[span] for part, span in zip(parts, spans, strict=True)]))


def window_starts(length: int, window: int, overlap: int = OVERLAP) -> list[int]:
    """First frames of windows over a video: evenly spaced, overlapping by `overlap` frames or more."""
    if length <= window:
        return [0]
    step = max(1, window - min(overlap, window // 2))
    count = 1 + -(-(length - window) // step)
    return [round(number * (length - window) / (count - 1)) for number in range(count)]
