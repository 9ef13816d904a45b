"""What each stage trains and leaves alone, where its weights come from, and what becomes of the last one."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.systems.av_words.test_model import TINY, made_inputs
from tfav.errors import UsageError
from tfav.systems.av_words import stages
from tfav.systems.av_words.config import STAGES, Config
from tfav.systems.av_words.losses import WordAccuracy, WordLoss
from tfav.systems.av_words.model import Frozen, build_model, by_stream
from tfav.systems.av_words.networks import NETWORKS
from tfav.systems.av_words.train import compile_args, stage_callbacks
from tfav.training import run_folder as runs

OUTPUTS = {
    **dict.fromkeys(("audio_conv", "audio_gru", "audio_full"), ("audio",)),
    **dict.fromkeys(("video_conv", "video_gru", "video_full"), ("video",)),
    "fusion_gru": ("both",),
    "fusion_full": ("audio", "both", "video"),
}
# Layers, by the beginning of their names, that a stage must not change.
LEFT_ALONE = {
    "audio_gru": ("audio.fronted1D", "audio.resnet18"),
    "video_gru": ("video.frontend3D", "video.resnet34"),
    "fusion_gru": ("audio.", "video."),
}
WORDS = np.array([1, 3])


def small(**changes):
    return Config.preset("demo", **{**TINY, "dropout": 0.3, **changes})


def steps_of(model, config, count=2):
    """Trains on two windows; gives the weights that changed."""
    model.compile(**compile_args(config, model.name, sorted(model.output)), run_eagerly=True)  # no graph for two steps
    before = {weight.path: weight.numpy() for weight in model.weights}
    inputs = made_inputs(config)
    for _ in range(count):
        model.train_on_batch({key: inputs[key] for key in model.input}, dict.fromkeys(model.output, WORDS))
    return {w.path for w in model.weights if "seed" not in w.path and np.abs(w.numpy() - before[w.path]).max() > 0}


@pytest.mark.parametrize(
    "name",
    [name if name in (*LEFT_ALONE, "fusion_full") else pytest.param(name, marks=pytest.mark.slow) for name in STAGES],
)
def test_a_stage_changes_what_it_should(name):
    config = small()
    model = stages.build_stage(config, name)
    assert tuple(sorted(model.output)) == OUTPUTS[name]
    changed = steps_of(model, config)
    left = LEFT_ALONE.get(name, ())
    assert not [path for path in changed if path.startswith(left)] if left else True
    wanted = {w.path for w in model.weights if "seed" not in w.path and not (left and w.path.startswith(left))}
    missing = {path for path in wanted - changed if not path.endswith(("/bias", "/beta"))}
    assert not missing  # means and deviations of batch normalisation too


def test_what_is_frozen_runs_as_in_inference():
    """The same answer in training twice, though there is dropout in front."""
    config = small(dropout=0.3)
    model = stages.build_stage(config, "fusion_gru")
    inputs = made_inputs(config)
    front = keras.Model(model.input, [part.output for part in model.layers if isinstance(part, Frozen)])
    assert len(front.outputs) == 2
    first, second = (front(inputs, training=True) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def saved(run_dir, name, config, epochs=1):
    """A stage's model as a trained one leaves it, with weights that tell it apart."""
    model = stages.build_stage(config, name)
    for weight in model.weights:
        if "seed" not in weight.path:
            weight.assign(np.random.default_rng(STAGES.index(name)).normal(size=weight.shape))
    (run_dir / name).mkdir(parents=True)
    model.save(run_dir / name / "best.keras")
    runs.mark_finished(run_dir / name, epochs)
    return {weight.path: weight.numpy() for weight in model.weights}


def same(model, expected, start):
    paths = [weight.path for weight in model.weights if weight.path.startswith(start)]
    assert paths
    for weight in model.weights:
        if weight.path.startswith(start) and "seed" not in weight.path:
            np.testing.assert_array_equal(weight, expected[weight.path])


def test_a_stage_begins_with_what_the_last_one_learnt(tmp_path):
    config = small(stage_epochs=(1,) * 8)
    after_conv = saved(tmp_path, "audio_conv", config)
    model = stages.build_stage(config, "audio_gru")
    assert "audio_conv" in stages.begin(model, "audio_gru", tmp_path, config)[0]
    same(model, after_conv, "audio.resnet18")
    after_gru = saved(tmp_path, "audio_gru", config)
    model = stages.build_stage(config, "audio_full")
    stages.begin(model, "audio_full", tmp_path, config)
    same(model, after_gru, "audio.")
    after_video = saved(tmp_path, "video_full", config)
    model = stages.build_stage(config, "fusion_gru")
    assert len(stages.begin(model, "fusion_gru", tmp_path, config)) == 2
    same(model, after_gru, "audio.")
    same(model, after_video, "video.")


def test_the_whole_is_what_the_last_stage_learnt(tmp_path):
    config = small(stage_epochs=(1,) * 8)
    assert stages.join(tmp_path, config) is None
    saved(tmp_path, "fusion_gru", config)
    last = saved(tmp_path, "fusion_full", config)
    whole = keras.saving.load_model(stages.join(tmp_path, config), compile=False)
    same(whole, last, ("audio.", "video.", "fusion."))
    inputs = made_inputs(config)
    trained = keras.saving.load_model(tmp_path / "fusion_full" / "best.keras", compile=False)(inputs)
    for name, value in by_stream(whole)(inputs).items():
        np.testing.assert_allclose(value, np.mean(trained[name], axis=1), rtol=1e-4, atol=1e-4)
    begun = build_model(config)
    begin = small(init=str(tmp_path))
    runs.start(tmp_path / "other", "av_words", {}, {})
    with pytest.raises(UsageError, match="not a run folder"):
        stages.begin(begun, "fusion_gru", tmp_path / "other", begin)


def test_what_would_freeze_chance_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"stage audio_gru freezes what audio_conv learns.*--stages"):
        stages.check_order(tmp_path, small(stages=("audio_gru",)))
    with pytest.raises(UsageError, match="video_gru or video_full"):
        stages.check_order(tmp_path, small(stages=("audio_full", "fusion_gru")))
    stages.check_order(tmp_path, small(stages=("video_full", "audio_full", "fusion_gru")))
    stages.check_order(tmp_path, small())
    with pytest.raises(UsageError, match="stages must be one of audio_conv"):
        small(stages=("audio",))
    assert stages.chosen_stages(small(stages=("fusion_gru", "audio_conv"))) == ["audio_conv", "fusion_gru"]


def test_other_sizes_are_told(tmp_path):
    saved(tmp_path, "audio_conv", small())
    NETWORKS["tiny wide"] = dataclasses.replace(NETWORKS["tiny demo"], audio_dim=8)
    other = small(network="tiny wide")
    with pytest.raises(
        UsageError, match=r"audio\.resnet18\.fc/kernel should be \[4, 8\], and the run has it as \[4, 6\]"
    ):
        stages.begin(stages.build_stage(other, "audio_gru"), "audio_gru", tmp_path, other)


def test_batches_for_a_stage():
    config = small()
    model = stages.build_stage(config, "video_conv")
    dataset = tf.data.Dataset.from_tensors((made_inputs(config), WORDS))
    inputs, words = next(iter(stages.stage_data(dataset, model)))
    assert set(inputs) == {"frames"} and set(words) == {"video"}
    assert stages.stage_data(None, model) is None


@pytest.mark.slow
def test_what_is_said_at_each_step_is_learnt_by_a_head_of_its_own(tmp_path):
    config = small(said_weight=0.5, dropout=0.0)
    said = np.full((2, 29), config.num_classes)  # nothing
    said[:, 10:20] = WORDS[:, None]
    heads = {"audio_conv": "audio.front_said/", "audio_gru": "audio.said/", "video_full": "video.said/"}
    for name, head in heads.items():
        part, model = name.split("_")[0], stages.build_stage(config, name)
        assert sorted(model.output) == [part, f"{part}_said"]
        assert model.output[f"{part}_said"].shape == (None, 29, config.num_classes + 1)
        with pytest.raises(UsageError, match="build_datasets with said=True"):
            stages.stage_data(tf.data.Dataset.from_tensors((made_inputs(config), WORDS)), model)
        batch = (made_inputs(config), {"word": WORDS, "said": said})
        data = stages.stage_data(tf.data.Dataset.from_tensors(batch), model)
        model.compile(**compile_args(config, name, sorted(model.output)))
        before = {weight.path: weight.numpy() for weight in model.weights if weight.path.startswith(head)}
        history = model.fit(data, epochs=60, verbose=0).history
        assert len(before) == 2 and all((w.numpy() != before[w.path]).any() for w in model.weights if w.path in before)
        assert history[f"{part}_said_loss"][-1] < 0.7 * history[f"{part}_said_loss"][0]  # 0.1 to 0.4 by seed
        total = history[f"{part}_loss"][-1] + 0.5 * history[f"{part}_said_loss"][-1]
        assert history["loss"][-1] == pytest.approx(total, rel=1e-4)
    stages.build_stage(config, "fusion_gru")  # whose streams have no such head
    saved(tmp_path, "audio_full", config)
    stages.begin(stages.build_stage(config, "fusion_full"), "fusion_full", tmp_path, config)


def test_loss_and_accuracy():
    logits = np.log(np.array([[[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], [[0.2, 0.2, 0.6], [0.3, 0.3, 0.4]]], np.float32))
    words = np.array([1, 2])
    mean = logits.mean(1)
    expected = -mean[[0, 1], words] + np.log(np.exp(mean).sum(1))
    steps = -np.array([np.log([0.2, 0.6]).mean(), np.log([0.6, 0.4]).mean()])
    np.testing.assert_allclose(WordLoss().call(words, logits), expected, rtol=1e-5)
    np.testing.assert_allclose(WordLoss(0.5).call(words, logits), expected + 0.5 * steps, rtol=1e-5)
    np.testing.assert_allclose(WordLoss().call(words[:, None], mean), expected, rtol=1e-5)
    accuracy = WordAccuracy()
    accuracy.update_state(words, logits)
    assert float(accuracy.result()) == np.mean(mean.argmax(1) == words)
    for thing in (WordLoss(0.5), WordAccuracy()):
        again = type(thing).from_config(thing.get_config())
        assert again.get_config() == thing.get_config()


def rate(config, stage, epoch):
    """What the stage's schedule gives."""
    (schedule,) = [
        callback
        for callback in stage_callbacks(config, "unused", stage, None)
        if isinstance(callback, keras.callbacks.LearningRateScheduler)
    ]
    return schedule.schedule(epoch)


def test_rates():
    config = Config.preset("notebook")
    assert [rate(config, "audio_conv", epoch) for epoch in (0, 4, 5, 10)] == [3e-4, 3e-4, 1.5e-4, 7.5e-5]
    config = small(stage_rates=(0.5,) * 7 + (1.0,), stage_epochs=(4,) * 8, schedule="cosine")
    assert rate(config, "fusion_full", 0) == 1.0
    assert rate(config, "audio_conv", 2) == pytest.approx(0.25)
    assert config.epochs == 4 and config.learning_rate == 1.0


def test_a_fusion_with_gates_begins_as_the_streams_together(tmp_path):
    config = small(network="tiny gates", dropout=0.0)
    for name in ("audio_full", "video_full"):
        saved(tmp_path, name, config)
    model = stages.build_stage(config, "fusion_gru")
    stages.begin(model, "fusion_gru", tmp_path, config)
    fusion = model.get_layer("fusion")
    kernel, _ = fusion.get_layer("fusion.gates").get_weights()
    inputs = made_inputs(config)
    audio, video = (model.get_layer(f"frozen_{part}").model for part in ("audio", "video"))
    heard, seen = audio(inputs["waveform"])["logits"], video(inputs["frames"])["logits"]
    np.testing.assert_allclose(model(inputs)["both"], heard + seen, rtol=1e-4, atol=1e-4)
    # Shut for the sound, the lips' words are left.
    fusion.get_layer("fusion.gates").set_weights([np.zeros_like(kernel), np.array([-50, np.log(np.e - 1)])])
    own = audio.get_layer("audio.back").get_layer("audio.gru.fc").get_weights()[1]
    np.testing.assert_allclose(model(inputs)["both"], seen + own, rtol=1e-4, atol=1e-4)


def test_gates_are_trained_and_shipped(tmp_path):
    config = small(network="tiny gates")
    changed = steps_of(stages.build_stage(config, "fusion_gru"), config)
    assert changed == {"fusion.gates/kernel", "fusion.gates/bias"}
    assert {"fusion.gates/kernel", "fusion.fc/kernel"} <= steps_of(stages.build_stage(config, "fusion_full"), config)
    model = build_model(config)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    inputs = made_inputs(config)
    np.testing.assert_allclose(again(inputs), model(inputs), atol=1e-6)
