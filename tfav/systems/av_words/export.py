"""A run's model for use elsewhere: without tfav, sound and grey pictures in, words out; or as weights to ship."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfav.speech import noise
from tfav.systems.av_words.augment import LRW_DEVIATION, LRW_MEAN
from tfav.systems.av_words.config import SYSTEM, Config
from tfav.systems.av_words.predict import open_recognizer
from tfav.training import checkpoints
from tfav.training import run_folder as runs
from tfav.training.export_spec import Exported, made_pictures, portable

_NUM_EXAMPLES = 3
# Paths of the machine that trained mean nothing elsewhere.
_HERE = ("data_dir", "cache_dir", "words", "train_list", "val_list", "test_list", "noise_dir", "init")


def export(run_dir: Path | str) -> Exported:
    """The run's model from the crops and the samples on.

    Returns:
        `mouths` `[B, 29, H, W, 1]` uint8 grey and `samples` `[B, num_samples]` float32, -1 to 1, those of them that the
        run takes, to `both`, `audio` and `video` `[B, num_classes]` float32, probabilities.

    Raises:
        UsageError: Not a run of this system.
        TfavError: There is no readable model.
    """
    recognizer = open_recognizer(run_dir)
    config, model = recognizer.config, portable(recognizer.model)
    shape = (config.num_frames, *config.crop_size, 1)
    specs = {
        "waveform": tf.TensorSpec([None, config.num_samples], tf.float32, name="samples"),
        "frames": tf.TensorSpec([None, *shape], tf.uint8, name="mouths"),
    }
    specs = {name: spec for name, spec in specs.items() if name in model.input}

    def serve(samples=None, mouths=None):
        inputs = {}
        if "waveform" in specs:
            off = samples - tf.reduce_mean(samples, axis=1, keepdims=True)
            power = tf.reduce_mean(off**2, axis=1, keepdims=True)
            inputs["waveform"] = off / tf.maximum(tf.sqrt(power), noise.SILENCE)
        if "frames" in specs:
            inputs["frames"] = _normalized(tf.cast(mouths, tf.float32), config.normalize)
        logits = model(inputs, training=False)
        steps = {name: value if len(value.shape) == 3 else value[:, None] for name, value in logits.items()}
        return {name: tf.nn.softmax(tf.reduce_mean(value, axis=1)) for name, value in steps.items()}

    examples = []
    for seed in range(_NUM_EXAMPLES):
        noise_like = np.random.default_rng(seed).normal(0, 0.1, (1, config.num_samples)).astype(np.float32)
        given = {"samples": noise_like, "mouths": made_pictures(seed, (1, *shape))}
        examples.append({spec.name: given[spec.name] for spec in specs.values()})
    return Exported(
        serve,
        {spec.name: spec for spec in specs.values()},
        examples,
        "Inside: sound and pictures standardised, the mean over the steps, softmax. Left to the caller: decoding, "
        f"resampling to {config.sample_rate} Hz, finding the mouth (YuNet in OpenCV), the window around the word.",
        {"labels": list(recognizer.words)},
    )


def _normalized(values, how: str):
    if how == "lrw":
        return (values / 255.0 - LRW_MEAN) / LRW_DEVIATION
    mean, variance = tf.nn.moments(values, [1, 2, 3, 4], keepdims=True)
    return (values - mean) * tf.math.rsqrt(variance + 1.0)


# Weights to ship ----------------------------------------------------------------------------------------------------


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
    run, config = runs.open_run(run_dir, SYSTEM, Config)
    plain = dataclasses.replace(config, stages=(), **dict.fromkeys(_HERE, ""))
    if "folder" in plain.noise:
        plain = dataclasses.replace(plain, noise=("babble",))
    return checkpoints.write_shipped(run, plain.to_dict(), out, Path(card) if card is not None else _card(run, config))


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
        else "- Data: recordings with word times."
        if config.layout == "recordings"
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
