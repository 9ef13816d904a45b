"""A run's model for use elsewhere: without tfav, a mouth's grey pictures in, symbols out; or as weights to ship."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfav.systems.lipnet.augment import to_input
from tfav.systems.lipnet.config import SYSTEM, Config
from tfav.systems.lipnet.reader import DECODERS, load_model, open_run
from tfav.training import checkpoints
from tfav.training import run_folder as runs
from tfav.training.export_spec import Exported, made_pictures, portable

_SHARES = (1.0, 0.8, 0.6)  # of an example's frames that are real


def export(run_dir: Path | str) -> Exported:
    """The run's best model from the crops on.

    Returns:
        `mouths` `[B, num_frames, H, W, 1]` uint8 grey and `frame_count` `[B]` int32 to `labels` `[B, num_frames, K]`
        float32, probabilities of each frame, and with a word head `words` `[B, num_frames, 1 + W]`.

    Raises:
        UsageError: Not a run of this system.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir)
    model = portable(load_model(run.dir, config))

    def serve(mouths, frame_count):
        height, width = config.crop_size
        if tuple(mouths.shape[2:4]) != (height, width):
            top, left = (tf.shape(mouths)[2] - height) // 2, (tf.shape(mouths)[3] - width) // 2
            mouths = mouths[:, :, top : top + height, left : left + width]
            mouths = tf.ensure_shape(mouths, [None, config.num_frames, height, width, 1])
        frames = standardized(config, mouths, frame_count)
        answer = model({"frames": frames, "frame_count": frame_count}, training=False)
        return {name: tf.nn.softmax(logits) for name, logits in answer.items()}

    shape = (1, config.num_frames, *config.crop_size, 1)
    counts = [np.array([max(1, round(share * config.num_frames))], np.int32) for share in _SHARES]
    symbols = config.symbols()
    return Exported(
        serve,
        {
            "mouths": tf.TensorSpec([None, config.num_frames, None, None, 1], tf.uint8, name="mouths"),
            "frame_count": tf.TensorSpec([None], tf.int32, name="frame_count"),
        },
        [{"mouths": made_pictures(seed, shape), "frame_count": count} for seed, count in enumerate(counts)],
        "Inside: the crop's middle, standardising over the real frames, softmax. Left to the "
        "caller: finding the mouth (YuNet in OpenCV), and decoding, greedily or by a beam or a grammar.",
        {
            "symbols": symbols.symbols,
            "first_symbol": symbols.first,
            "blank": symbols.blank,
            "words": list(config.known_words()),
            "fps": float(run.metadata.get("fps", 25)),
        },
        # On pictures that are no mouths, as these examples, whose probabilities hang on the last digits: of the shipped
        # weights 1.4e-4 in ONNX, and 8e-6 on three clips of GRID.
        amplifies=10.0,
    )


def standardized(config: Config, frames: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """`augment.to_input` of a batch.

    Args:
        config: `normalize`.
        frames: `[B, num_frames, H, W, 1]` uint8, of the model's size.
        counts: `[B]` int32, frames that are real.

    Returns:
        Like `frames`, float32.
    """
    if config.normalize == "wrapped":  # its means in uint8 have no batched form
        spec = tf.TensorSpec([config.num_frames, *config.crop_size, 1], tf.float32)
        return tf.map_fn(lambda clip: to_input(config, *clip), (frames, counts), fn_output_signature=spec)
    values = tf.cast(frames, tf.float32)
    real = tf.cast(tf.range(config.num_frames)[None] < counts[:, None], tf.float32)[:, :, None, None, None]
    total = tf.cast(counts, tf.float32)[:, None, None, None, None] * np.prod(config.crop_size)
    mean = tf.reduce_sum(values * real, axis=[1, 2, 3, 4], keepdims=True) / total
    off = (values - mean) * real
    variance = tf.reduce_sum(off**2, axis=[1, 2, 3, 4], keepdims=True) / total
    return off * tf.math.rsqrt(variance + 1.0)


# Weights to ship ----------------------------------------------------------------------------------------------------


def write_pretrained(run_dir: Path | str, out: Path | str, card: Path | str | None = None, **changes) -> Path:
    """Writes what `--run-dir pretrained` needs: a run's best weights as float16, its configuration, a model card.

    Args:
        run_dir: A trained run; its `evaluation.json`, where there is one, is kept along.
        out: The folder, such as `tfav/systems/lipnet/pretrained`.
        card: A text to take as the model card; None writes one with the run's settings and scores.
        **changes: Fields of the configuration that only decoding looks at, such as `grammar`.

    Returns:
        The folder.

    Raises:
        UsageError: Not a run of this system.
        TfavError: No readable model, or the file would be larger than 8 MB.
    """
    run, config = runs.open_run(run_dir, SYSTEM, Config)
    config = config.with_learnt(run.metadata)
    # Paths of the machine that trained mean nothing elsewhere.
    here = ("data_dir", "cache_dir", "train_list", "val_list", "test_list", "init", "grammar")
    plain = dataclasses.replace(config, freeze="", **{**dict.fromkeys(here, ""), **changes})
    return checkpoints.write_shipped(run, plain.to_dict(), out, Path(card) if card is not None else _card(run, config))


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
        for name in DECODERS:
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
