"""From a run to words: its model, whole or of one stage, and the probabilities that each part of it gives."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from scipy import special

from tfav.errors import TfavError
from tfav.systems.av_words.config import SYSTEM, Config
from tfav.systems.av_words.model import BOTH, SAID, build_model, by_stream
from tfav.training import checkpoints
from tfav.training import run_folder as runs


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
    run = runs.load(run_dir, SYSTEM)
    config = Config.from_dict(run.config, str(run.dir / "config.json"))
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
