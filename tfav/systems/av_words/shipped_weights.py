"""Weights in and out: the small file that is shipped, and the original's weights as a run of its own."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from tfav.errors import UsageError
from tfav.io.atomic_write import partial_file
from tfav.systems.av_words import model as models
from tfav.systems.av_words.config import SYSTEM, Config
from tfav.training import checkpoints
from tfav.training import run_folder as runs
from tfav.weights import load_pt, load_state_dict

_PARTS = (models.AUDIO, models.VIDEO, models.FUSION)
_HERE = ("data_dir", "cache_dir", "face_detector", "words", "train_list", "val_list", "test_list", "noise_dir", "init")


def write_pretrained(run_dir: Path | str, out: Path | str, card: Path | str | None = None) -> Path:
    """Writes what `--run-dir pretrained` needs: a chain's weights as float16, its configuration, a model card.

    Args:
        run_dir: A trained chain; its `evaluation.json`, where there is one, is kept along.
        out: The folder, such as `tfav/systems/av_words/pretrained`.
        card: A text to take as the model card; None writes one with the run's settings and scores.

    Returns:
        The folder.

    Raises:
        UsageError: Not a run of this system.
        TfavError: No readable model, or the file would be larger than 8 MB.
    """
    run = runs.load(run_dir, SYSTEM)
    config = Config.from_dict(run.config, str(run.dir / "config.json"))
    # Paths of the machine that trained mean nothing elsewhere.
    plain = dataclasses.replace(config, split="auto", stages=(), **dict.fromkeys(_HERE, ""))
    if "folder" in plain.noise:
        plain = dataclasses.replace(plain, noise=("babble",))
    return checkpoints.write_shipped(run, plain.to_dict(), out, Path(card) if card is not None else _card(run, config))


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


def _card(run: runs.Run, config: Config) -> str:
    words = run.metadata["words"]
    some = ", ".join(words[:60]) + (f" and {len(words) - 60} more" if len(words) > 60 else "")
    lines = [
        "# av_words: weights",
        "",
        "- For: looking at words from sound and lips without a corpus, on the page and by `--run-dir pretrained`; "
        "beginning a training with (`--init pretrained`). Not for finding out what people say.",
        f"- Model: preset `{config.preset_name}`, stored as float16. It tells {len(words)} words apart: {some}.",
        "- Data: the GRID corpus (Cooke et al., 2006), licence CC BY 4.0; mouths cut out by YuNet."
        if config.layout == "grid"
        else "- Data: LRW (Chung and Zisserman, 2016), for research only.",
        f"- Settings: stages of {', '.join(map(str, config.stage_epochs))} epochs, batches of {config.batch_size}; all "
        "of them stand in `config.json`, scores in `evaluation.json`.",
        *_scores(run.dir / "evaluation.json"),
        "- Cannot: recognise other words; be relied on with other speakers than those it was trained on; use a face "
        "from the side or smaller than 20 pixels.",
        "",
        "To train such weights, score them, and put them here:",
        "",
        "```",
        f"tfav prepare  av_words --source {config.layout} --from {config.layout} --out word_shards",
        f"tfav train    av_words --preset {config.preset_name} --data-dir word_shards --run-dir runs/words",
        "tfav evaluate av_words --run-dir runs/words --part val --snr clean,20,15,10,5,0,-5",
        'python -c "from tfav.systems import av_words; '
        "av_words.write_pretrained('runs/words', 'tfav/systems/av_words/pretrained')\"",
        "```",
        "",
    ]
    return "\n".join(lines)


def _scores(path: Path) -> list[str]:
    if not path.exists():
        return []
    result, lines = json.loads(path.read_bytes()), []
    for row in result["by_snr"]:
        quiet = row["snr_db"] is None
        streams = []
        for name, scores in row["streams"].items():
            low, high = scores["top1_interval"]
            streams.append(f"{name} {scores['top1']:.1%} ({low:.1%} to {high:.1%})")
        noise = "Clean" if quiet else f"{result['noise'].capitalize()} at {row['snr_db']:g} dB"
        lines.append(f"- {noise}: right of {result['count']} words, with 95 % intervals: {', '.join(streams)}.")
    return lines
