"""The original's PyTorch weights as a run of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from tfav.errors import UsageError
from tfav.io.atomic_write import partial_file
from tfav.systems.av_words import model as models
from tfav.systems.av_words.config import SYSTEM, Config
from tfav.training import run_folder as runs
from tfav.weights import load_pt, load_state_dict

_PARTS = (models.AUDIO, models.VIDEO, models.FUSION)


def load_pytorch(model: keras.Model, parts: Mapping[str, Path | str | Mapping]) -> list:
    """Fills the parts of a model of `build_model` from state dicts of the original.

    Args:
        model: Of the preset `notebook`, or of the sizes of the state dicts.
        parts: `audio`, `video` and `fusion`, or some of them, to a `.pt` or `.npz` file or a dict of arrays.

    Returns:
        The report of each.

    Raises:
        UsageError: Another part.
        WeightsError: As `tfav.weights.load_pt`.
    """
    reports = []
    for name, source in parts.items():
        if name not in _PARTS:
            raise UsageError(f"parts are {', '.join(_PARTS)}. Received: {name}")
        load = load_state_dict if isinstance(source, Mapping) else load_pt
        _, report = load(model.get_layer(name), source, with_report=True)
        reports.append(report)
    return reports


def run_from_pytorch(
    run_dir: Path | str, parts: Mapping[str, Path | str | Mapping], words: Sequence[str], **fields
) -> Path:
    """Makes a run folder of the original's weights, to evaluate, predict, go on from (`init`) as with any other.

    Args:
        run_dir: The folder, new.
        parts: `audio`, `video` and `fusion`, all three, as in `load_pytorch`.
        words: In the order of their numbers; of LRW the lines of `label_sorted.txt`.
        **fields: Of the configuration, on top of the preset `notebook`.

    Returns:
        The folder.

    Raises:
        UsageError: A part is missing, or the folder is taken.
        WeightsError: As `tfav.weights.load_pt`.
    """
    if set(parts) != set(_PARTS):
        raise UsageError(f"all of {', '.join(_PARTS)} are needed. Received: {', '.join(parts) or 'none'}")
    config = Config.preset("notebook", **{"num_classes": len(words), **fields})
    metadata = {"words": list(words)}
    runs.check(run_dir, SYSTEM, config, metadata)
    model = models.build_model(config)
    load_pytorch(model, parts)
    runs.start(run_dir, SYSTEM, config, metadata)
    with partial_file(Path(run_dir) / "best.keras") as partial:
        model.save(partial)
    return Path(run_dir)
