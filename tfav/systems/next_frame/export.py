"""A run's model for use without tfav: frames in, the frames that follow out; and the weights that are shipped."""

import dataclasses
import json
from pathlib import Path

import tensorflow as tf

from tfav.data.arrays import Scaling
from tfav.systems.next_frame.config import SYSTEM, Config
from tfav.systems.next_frame.dataset import scaling_of
from tfav.systems.next_frame.model import load_model
from tfav.systems.next_frame.rollout import rollout_function
from tfav.training import checkpoints
from tfav.training.export_spec import Exported, made_pictures, portable, resized
from tfav.training.run_folder import Run, open_run

_NUM_EXAMPLES = 3


def export(run_dir: Path | str) -> Exported:
    """The run's best model and its rollout.

    Returns:
        `frames` `[B, input_frames, H, W, C]` uint8 to `next_frames` `[B, output_frames, S, S, C]` float32, 0-1; of a
        run on an array both float32 in its units, with no cell missing.

    Raises:
        UsageError: Not a run of this system.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    roll = rollout_function(portable(load_model(run.dir, config)))
    if scaling := scaling_of(run.metadata):
        return _export_array(roll, config, scaling, tuple(run.metadata["array"]["frame"]))
    size = (config.image_size, config.image_size)

    def serve(frames):
        seen = resized(frames, size) / 255.0
        return {"next_frames": tf.clip_by_value(roll(seen, config.output_frames), 0.0, 1.0)}

    shape = (1, config.input_frames, *size, config.channels)
    return Exported(
        serve,
        {"frames": tf.TensorSpec([None, shape[1], None, None, shape[-1]], tf.uint8, name="frames")},
        [{"frames": made_pictures(seed, shape)} for seed in range(_NUM_EXAMPLES)],
        f"Inside: resizing, scaling to 0-1, the rollout of {config.output_frames} frames. Left to the caller: decoding "
        f"the video{', grey values' if config.channels == 1 else ''}.",
        {"input_frames": config.input_frames, "output_frames": config.output_frames},
    )


def _export_array(roll, config: Config, scaling: Scaling, frame: tuple[int, int, int]) -> Exported:
    offset, size = (part.astype("float32") for part in scaling.affine)
    is_log = scaling.method == "log1p"

    def serve(frames):
        seen = frames - offset
        seen = (tf.sign(seen) * tf.math.log1p(tf.abs(seen)) if is_log else seen) / size
        made = roll(seen, config.output_frames) * size
        return {"next_frames": (tf.sign(made) * tf.math.expm1(tf.abs(made)) if is_log else made) + offset}

    shape = (1, config.input_frames, *frame)
    return Exported(
        serve,
        {"frames": tf.TensorSpec([None, *shape[1:]], tf.float32, name="frames")},
        [{"frames": scaling.inverse(made_pictures(seed, shape) / 255)} for seed in range(_NUM_EXAMPLES)],
        f"Inside: scaling, the rollout of {config.output_frames} frames. Left to the caller: filling missing cells.",
        {"input_frames": config.input_frames, "output_frames": config.output_frames},
    )


def write_pretrained(run_dir: Path | str, out: Path | str) -> Path:
    """Writes what `--run-dir pretrained` needs: a run's best weights as float16, its configuration, a model card.

    Args:
        run_dir: A trained run.
        out: The folder, such as `tfav/systems/next_frame/pretrained`.

    Raises:
        UsageError: Not a run of this system.
        TfavError: No readable model, or larger than 8 MB.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    plain = dataclasses.replace(config, data_dir="", cache_dir="", mnist="", init="")
    return checkpoints.write_shipped(run, plain.to_dict(), out, _card(run, config))


def _card(run: Run, config: Config) -> str:
    lines = [
        "# next_frame: weights",
        "",
        "- For: looking at next-frame prediction without training first, on the page and by `--run-dir pretrained`; "
        "beginning a training with (`--init pretrained`); a figure to compare other models with.",
        f"- Model: `{config.model}`, step `{config.step}`, preset `{config.preset_name}`, stored as float16. Settings: "
        "`config.json`.",
        f"- Data: Moving MNIST, {config.num_digits} digits, made of MNIST's training digits "
        "(Y. LeCun, C. Cortes; CC BY-SA 3.0).",
        f"- Sees {config.input_frames} grey frames of {config.image_size} x {config.image_size}, and goes on for as "
        f"many as are asked for; trained for {config.output_frames}.",
    ]
    scores = run.dir / "evaluation.json"
    if scores.exists():
        result = json.loads(scores.read_bytes())
        ours, floor = result["scores"], result["copy_last"]
        lines.append(
            f"- MSE {ours['mse']:.1f}, SSIM {ours['ssim']:.3f} on {result['count']} sequences ({result['data']}); "
            f"copying the last frame {floor['mse']:.1f}, {floor['ssim']:.3f}."
        )
    lines += [
        "- Cannot: foresee anything but small bright things that drift over black; real videos become blurs.",
        "",
        "To train such weights, score them, and put them here:",
        "",
        "```",
        f"tfav train    next_frame --preset {config.preset_name} --mnist mnist.npz --run-dir runs/frames",
        "tfav evaluate next_frame --run-dir runs/frames --part test",
        'python -c "from tfav.systems import next_frame; '
        "next_frame.write_pretrained('runs/frames', 'tfav/systems/next_frame/pretrained')\"",
        "```",
        "",
    ]
    return "\n".join(lines)
