"""The chain of trainings: what each stage trains, on which weights it begins, and what becomes of the last one.

Each stream learns with a temporal convolution back end first, then recurrent layers on what its front end has become,
then end to end. The fusion learns on frozen streams, then all of it together. A stage is a run folder of its own inside
the chain's.

Reference:
    Petridis et al., 2018, "End-to-end audiovisual speech recognition", section 4.3.
"""

from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

from tfav.errors import UsageError
from tfav.io.atomic_write import partial_file
from tfav.systems.av_words import model as models
from tfav.systems.av_words.config import STAGES, SYSTEM, Config
from tfav.training import checkpoints, mixed_precision
from tfav.training import run_folder as runs

# What a stage's weights come from: of each line the last stage that was trained. Frozen parts must come from one.
_PREDECESSORS = {
    "audio_conv": [],
    "audio_gru": [("audio_conv",)],
    "audio_full": [("audio_conv", "audio_gru")],
    "video_conv": [],
    "video_gru": [("video_conv",)],
    "video_full": [("video_conv", "video_gru")],
    "fusion_gru": [("audio_gru", "audio_full"), ("video_gru", "video_full")],
    "fusion_full": [("audio_gru", "audio_full"), ("video_gru", "video_full"), ("fusion_gru",)],
}


def build_stage(config: Config, name: str) -> keras.Model:
    """The model that a stage trains, with random weights.

    What is frozen runs as in inference, dropout and batch normalisation too, and gradients end there.

    Args:
        config: The configuration.
        name: One of `STAGES`.

    Returns:
        A model from a dict with `waveform`, `frames` or both to a dict of logits `[B, steps, num_classes]`: `audio`,
        `video`, `both`, or in the last stage all three; with `said_weight` a stream's stages also give
        `audio_said` or `video_said`, `[B, 29, num_classes + 1]`.
    """
    part, kind = name.split("_")
    with mixed_precision(config.precision):
        if part == models.FUSION:
            return _build_fusion_stage(config, name, frozen=kind == "gru")
        front = models.build_front(config, part)
        inputs = models.stream_inputs(front)
        (given,) = inputs.values()
        features = models.Frozen(front, name=f"frozen_{part}")(given) if kind == "gru" else front(given)
        if kind == "conv":
            outputs, said = {part: models.build_convolutional(config, part)(features)}, f"{part}.front_said"
        else:
            back = models.build_recurrent(config, part)(features)
            outputs, features, said = {part: back["logits"]}, back["features"], f"{part}.said"
        if config.said_weight:
            outputs[part + models.SAID] = models.apply_said(features, config, said)
        return keras.Model(inputs, outputs, name=name)


def _build_fusion_stage(config: Config, name: str, frozen: bool) -> keras.Model:
    audio, video, fusion = models.build_audio(config), models.build_video(config), models.build_fusion(config)
    if config.sizes.gates and frozen:  # the words stay those of the streams
        fusion.get_layer(f"{models.FUSION}.fc").trainable = False
    inputs = models.stream_inputs(audio, video)
    if not frozen:
        return keras.Model(inputs, models.all_steps(audio, video, fusion, inputs), name=name)
    features = [
        models.Frozen(part, "features", name=f"frozen_{part.name}")(tensor)
        for part, tensor in zip((audio, video), inputs.values(), strict=True)
    ]
    return keras.Model(inputs, {models.BOTH: fusion(layers.Concatenate(name="streams")(features))}, name=name)


def stage_data(dataset: tf.data.Dataset | None, model: keras.Model) -> tf.data.Dataset | None:
    """What a stage's model takes and gives, out of the batches of `build_datasets`.

    Raises:
        UsageError: The model also tells what is being said, and the batches do not.
    """
    if dataset is None:
        return None
    wanted, given = sorted(model.input), sorted(model.output)
    has_said = isinstance(dataset.element_spec[1], dict)
    if not has_said and any(name.endswith(models.SAID) for name in given):
        raise UsageError(f"{model.name} learns what is said at each step. Call build_datasets with said=True.")

    def of_stage(inputs, labels):
        labels = labels if has_said else {"word": labels}
        targets = {name: labels["said" if name.endswith(models.SAID) else "word"] for name in given}
        return {key: inputs[key] for key in wanted}, targets

    return dataset.map(of_stage, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def chosen_stages(config: Config) -> list[str]:
    """The stages to train, in the chain's order."""
    return [name for name in STAGES if not config.stages or name in config.stages]


def is_trained(run_dir: Path | str, name: str, config: Config) -> bool:
    """Whether a stage has come to its end."""
    folder = Path(run_dir) / name
    epochs = config.stage_epochs[STAGES.index(name)]
    return (folder / "best.keras").exists() and runs.is_finished(folder, epochs)


def check_order(run_dir: Path | str, config: Config) -> None:
    """Refuses a choice of stages of which one would freeze what was never trained.

    Raises:
        UsageError: Naming the stage and what must come before.
    """
    there = {name for name in STAGES if (Path(run_dir) / name / "best.keras").exists()}
    for name in chosen_stages(config):
        for line in _PREDECESSORS[name]:
            if name.endswith("_gru") and not config.init and not there & set(line):
                raise UsageError(
                    f"stage {name} freezes what {' or '.join(line)} learns, and {run_dir} has no such run. Add it to "
                    "--stages, or give --init weights."
                )
        there.add(name)


def begin(model: keras.Model, name: str, run_dir: Path | str, config: Config) -> list[str]:
    """Fills a stage's model with what the stages before it learnt, or with `config.init`.

    Returns:
        What was done, a line each.

    Raises:
        UsageError: `config.init` is no run of this system, or of other sizes.
        TfavError: A stage's model cannot be read.
    """
    said = []
    if config.init:
        source, before = runs.open_run(config.init, SYSTEM, Config)
        stored = checkpoints.best_model(source.dir, lambda: models.build_model(before))
        said.append(_filled(model, stored, source.dir))
    for line in _PREDECESSORS[name]:
        trained = [path for stage in line if (path := Path(run_dir) / stage / "best.keras").exists()]
        if trained:
            path = trained[-1].parent
            said.append(_filled(model, checkpoints.best_model(path), path))
    if config.sizes.gates and name == "fusion_gru" and not config.init:
        streams = [model.get_layer(f"frozen_{part}").model for part in (models.AUDIO, models.VIDEO)]
        models.begin_words(model.get_layer(models.FUSION), *streams)
        said.append("the words of the fusion: those of the streams")
    return said


def _filled(model: keras.Model, source: keras.Model, where: Path) -> str:
    filled = checkpoints.begin_with(model, source, where, common=True)
    return f"{where}: {len(filled)} variables"


def join(run_dir: Path | str, config: Config) -> Path | None:
    """Writes the whole model, as `build_model` gives it, with what the last stage of the fusion learnt.

    Returns:
        `best.keras` in the chain's folder; None as long as no fusion was trained.
    """
    trained = [name for name in ("fusion_gru", "fusion_full") if is_trained(run_dir, name, config)]
    if not trained:
        return None
    source = Path(run_dir) / trained[-1]
    model = models.build_model(config)
    checkpoints.begin_with(model, checkpoints.best_model(source), source, common=True)
    path = Path(run_dir) / "best.keras"
    with partial_file(path) as partial:
        model.save(partial)
    return path
