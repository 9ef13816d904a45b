"""Weights in and out: the small file that is shipped, and a beginning taken from other runs and old files."""

import dataclasses
import json
from pathlib import Path

import keras

from tfav.errors import UsageError
from tfav.systems.lipnet.config import SYSTEM, Config
from tfav.systems.lipnet.model import BACKEND, build_model
from tfav.training import checkpoints
from tfav.training import run_folder as runs

_LAST = ("labels_dense",)  # the one layer that depends on the alphabet
_HEADS = {"words": "word_weight", "sound": "sound_weight"}  # layers for training alone, and what asks for them


def write_pretrained(run_dir: Path | str, out: Path | str, card: Path | str | None = None, **changes) -> Path:
    """Writes what `--run-dir pretrained` needs: a run's best weights as float16, its configuration, a model card.

    Args:
        run_dir: A trained run; its `evaluation.json`, where there is one, is kept along.
        out: The folder, such as `tfav/systems/lipnet/pretrained`.
        card: A text to take as the model card; None writes one with the run's settings and scores.
        **changes: Fields of the configuration that only decoding looks at, such as `word_share`.

    Returns:
        The folder.

    Raises:
        UsageError: Not a run of this system.
        TfavError: No readable model, or the file would be larger than 8 MB.
    """
    run = runs.load(run_dir, SYSTEM)
    config = Config.from_dict(run.config, str(run.dir / "config.json"))
    # Paths of the machine that trained mean nothing elsewhere.
    here = ("data_dir", "cache_dir", "face_detector", "train_list", "val_list", "test_list", "init", "grammar")
    plain = dataclasses.replace(config, split="auto", freeze="", **{**dict.fromkeys(here, ""), **changes})
    return checkpoints.write_shipped(run, plain.to_dict(), out, Path(card) if card is not None else _card(run, config))


def load_init(model: keras.Model, config: Config) -> list[str]:
    """Fills a model from `config.init`, all but the last layer where the alphabet is another one; then freezes.

    Args:
        model: Of `config`, not compiled yet.
        config: `init`: a run folder, `pretrained`, an `.npz`, or an old `.h5` file or TensorFlow checkpoint of the
            same builder; `freeze`.

    Returns:
        What was done, a line each.

    Raises:
        UsageError: There is no such run or file.
        TfavError: Weights that do not fit; the message names the tensor.
    """
    said = []
    if config.init:
        said = _fill(model, config)
    if config.freeze == "frontend":
        for layer in model.layers:
            layer.trainable = layer.name in BACKEND
    return said


def _fill(model: keras.Model, config: Config) -> list[str]:
    path = Path(config.init)
    if not runs.is_shipped(config.init) and not path.exists() and not path.with_name(path.name + ".index").exists():
        raise UsageError(f"{path}: there are no weights to begin with. Give --init a run folder or a weights file.")
    if path.suffix == ".npz":
        return [f"{path}: {len(checkpoints.load_arrays(model, path))} variables"]
    if runs.is_shipped(config.init) or (path / "config.json").exists():
        return _fill_from_run(model, config)
    from tfav.systems.lipnet.convert_weights import load_old_weights

    return load_old_weights(model, path).render().splitlines()


def _fill_from_run(model: keras.Model, config: Config) -> list[str]:
    run = runs.load(config.init, SYSTEM)
    before = Config.from_dict(run.config, str(run.dir / "config.json"))
    new = {}
    if before.symbols() != config.symbols():
        new |= dict.fromkeys(_LAST, f"the alphabet is {config.alphabet} and was {before.alphabet}")
    for head, weight in _HEADS.items():
        if getattr(config, weight) and not getattr(before, weight):
            new[head] = "the run had no such head"
    source = checkpoints.best_model(run.dir, lambda: build_model(before))
    filled = checkpoints.begin_with(model, source, run.dir, new=tuple(new))
    return [f"{run.dir}: {len(filled)} variables", *(f"{name}: new, since {why}" for name, why in new.items())]


def _card(run: runs.Run, config: Config) -> str:
    scores = run.dir / "evaluation.json"
    lines = [
        "# lipnet: weights",
        "",
        "- For: reading the speakers they were trained on, as the page and `--run-dir pretrained` do; looking at lip "
        "reading without a corpus; beginning a training with (`--init pretrained`). Not for finding out what people "
        "say.",
        f"- Model: `{config.model}`, preset `{config.preset_name}`, stored as float16.",
        "- Data: the GRID corpus (Cooke et al., 2006), licence CC BY 4.0; mouths cut out by YuNet.",
        f"- Settings: {config.epochs} epochs of batches of {config.batch_size}; all of them stand in `config.json`.",
    ]
    if scores.exists():
        result = json.loads(scores.read_bytes())
        for name in ("greedy", "beam", "grammar"):
            if f"wer_{name}" in result:
                low, high = result[f"wer_{name}_interval"]
                lines.append(
                    f"- WER {name}: {result[f'wer_{name}']:.1%} on {result['clips']} clips (95 % interval {low:.1%} to "
                    f"{high:.1%})."
                )
    lines += [
        "- Cannot: read anything but GRID's 51 words in their order; read other speakers than those it was trained on "
        "with any reliability; read a face from the side, or smaller than 20 pixels.",
        "",
        "To train such weights, score them, and put them here:",
        "",
        "```",
        "tfav prepare  lipnet --source grid --out grid_shards",
        f"tfav train    lipnet --preset {config.preset_name} --data-dir grid_shards --run-dir runs/lips",
        "tfav evaluate lipnet --run-dir runs/lips --part val",
        'python -c "from tfav.systems import lipnet; '
        "lipnet.write_pretrained('runs/lips', 'tfav/systems/lipnet/pretrained')\"",
        "```",
        "",
    ]
    return "\n".join(lines)
