"""From a run to a reader: its model, posteriors of clips, and sentences by each way of decoding."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from tfav.systems.lipnet import corpus, decoding
from tfav.systems.lipnet.config import SYSTEM, Config
from tfav.systems.lipnet.grammar import Grammar, grammar_of
from tfav.systems.lipnet.model import build_model
from tfav.training import checkpoints
from tfav.training import run_folder as runs

DECODERS = ("greedy", "beam", "grammar")


class Posteriors(NamedTuple):
    """Of one clip's real frames: `labels` `[T, K]` and `words` `[T, 52]` or None, log-probabilities, float64."""

    labels: np.ndarray
    words: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Reader:
    """A model with what is needed to read from its posteriors."""

    config: Config
    model: keras.Model
    grammar: Grammar | None

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

    def read(self, posteriors: Posteriors, decoders=DECODERS) -> dict[str, str]:
        """The sentence by each way of decoding; `grammar` only where there is one."""
        symbols, config = self.config.symbols(), self.config
        read = {}
        if "greedy" in decoders:
            read["greedy"] = decoding.greedy(posteriors.labels, symbols)
        if "beam" in decoders:
            read["beam"] = decoding.beam(posteriors.labels, symbols, config.beam_width)
        if "grammar" in decoders and self.grammar is not None:
            is_known = posteriors.words is not None and set(self.grammar.words) <= set(corpus.WORDS)
            read["grammar"], _ = decoding.decode_grammar(
                posteriors.labels,
                symbols,
                self.grammar,
                word_log_probs=posteriors.words,
                word_share=config.word_share if is_known else 0.0,
                width=config.beam_width,
            )
        return read


def open_run(run_dir: Path | str) -> tuple[runs.Run, Config]:
    """Reads a run folder of this system, or `pretrained`; without what only training has, the head for sound."""
    run = runs.load(run_dir, SYSTEM)
    config = Config.from_dict(run.config, str(run.dir / "config.json"))
    return run, dataclasses.replace(config, sound_weight=0.0)


def open_reader(run_dir: Path | str, **changes) -> Reader:
    """A run's model, ready to read.

    Args:
        run_dir: A run folder, or `pretrained`.
        **changes: Fields of the configuration that only decoding looks at, such as `grammar`.

    Raises:
        UsageError: Not a run of this system, or a grammar file that is not there.
        DataError: A broken grammar.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir)
    config = dataclasses.replace(config, **changes)
    return Reader(config, load_model(run.dir, config), grammar_of(config))


def load_model(run_dir: Path, config: Config) -> keras.Model:
    """The best model of a run, or the one that its exported weights make; without a head for sound.

    Raises:
        TfavError: There is none.
    """
    model = checkpoints.best_model(run_dir, lambda: build_model(config))
    outputs = {name: output for name, output in model.output.items() if name != "sound"}
    return model if len(outputs) == len(model.output) else keras.Model(model.input, outputs, name=model.name)
