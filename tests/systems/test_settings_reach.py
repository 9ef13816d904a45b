"""Settings of training arrive at the optimizer, the losses and the schedule of every system."""

import keras
import numpy as np
import pytest

from tfav import systems
from tfav.training import Muon, callbacks
from tfav.training.early_stopping import ReduceLROnPlateau


def config(system, **fields):
    return systems.load(system).Config.preset("demo", **fields)


def optimizer(system, **fields):
    return systems.load(system).compile_args(config(system, **fields))["optimizer"]


def rate_of(made):
    return float(keras.ops.convert_to_numpy(made.learning_rate))


@pytest.mark.parametrize("system", ["cnn_lstm", "two_stream", "lipnet", "next_frame"])
def test_learning_rate(system):
    assert rate_of(optimizer(system, learning_rate=0.0125)) == pytest.approx(0.0125)


@pytest.mark.parametrize("system", ["cnn_lstm", "lipnet", "av_words", "next_frame"])
def test_weight_decay_makes_it_adamw(system):
    with_decay, without = optimizer(system, weight_decay=0.03), optimizer(system, weight_decay=0.0)
    assert type(with_decay) is keras.optimizers.AdamW and with_decay.weight_decay == 0.03
    assert type(without) is keras.optimizers.Adam


@pytest.mark.parametrize("system", ["lipnet", "av_words", "next_frame"])
def test_gradients_are_clipped_by_their_norm(system):
    assert optimizer(system, clip_norm=0.75).global_clipnorm == 0.75
    assert optimizer(system, clip_norm=0.0).global_clipnorm is None


@pytest.mark.parametrize("system", ["lipnet", "av_words", "next_frame"])
def test_average_is_the_optimizers_and_validation_sees_it(system, tmp_path):
    averaging, plain = optimizer(system, ema_momentum=0.9), optimizer(system, ema_momentum=0.0)
    assert averaging.use_ema and averaging.ema_momentum == 0.9 and not plain.use_ema
    for average, expected in ((0.9, True), (0.0, False)):
        used = systems.load(system).callbacks(config(system, ema_momentum=average), tmp_path)
        assert any(isinstance(one, callbacks.ValidateAveraged) for one in used) == expected


def test_lipnets_other_optimizer_and_its_weights_of_losses():
    made = optimizer("lipnet", optimizer="muon", learning_rate=0.01, weight_decay=0.02, clip_norm=1.5)
    assert isinstance(made, Muon) and rate_of(made) == pytest.approx(0.01)
    assert made.get_config()["adam_lr_ratio"] == 0.5 and made.global_clipnorm == 1.5
    assert made.get_config()["weight_decay"] == 0.02
    fields = {"word_loss_weight": 0.6, "mel_loss_weight": 0.1}
    assert systems.load("lipnet").compile_args(config("lipnet", **fields))["loss_weights"] == {
        "labels": 0.04,
        "words": 0.6,
        "sound": 0.1,
    }
    alone = systems.load("lipnet").compile_args(config("lipnet", word_loss_weight=0.0))
    assert alone["loss_weights"] == {"labels": 1.0}


def test_av_words_rates_of_stages_and_weights_of_streams():
    from tfav.systems.av_words.config import STAGES
    from tfav.systems.av_words.train import compile_args, stage_callbacks

    rates = tuple(0.001 * (number + 1) for number in range(len(STAGES)))
    made = config("av_words", stage_rates=rates, stream_weight=0.3, said_weight=0.2)
    for number, stage in enumerate(STAGES):
        given = compile_args(made, stage, ["both", "audio", "video", "audio_said"])
        assert rate_of(given["optimizer"]) == pytest.approx(rates[number])
        assert given["loss_weights"] == {"both": 1.0, "audio": 0.3, "video": 0.3, "audio_said": 0.2}
        assert set(given["metrics"]) == {"both", "audio", "video"}
    assert compile_args(made, STAGES[0], ["audio"])["loss_weights"] == {"audio": 1.0}

    def rates_of(made, stage, epochs):
        used = stage_callbacks(made, "unused", stage, None)
        (schedule,) = [one for one in used if isinstance(one, keras.callbacks.LearningRateScheduler)]
        return [schedule.schedule(epoch) for epoch in epochs]

    halving = config("av_words", stage_rates=rates, schedule="halving")
    cosine = config("av_words", stage_rates=rates, schedule="cosine", stage_epochs=(8,) * len(STAGES))
    # As in the original: halved every five epochs.
    assert rates_of(halving, STAGES[1], (0, 4, 5, 9, 10)) == pytest.approx([0.002, 0.002, 0.001, 0.001, 0.0005])
    assert rates_of(cosine, STAGES[2], (0, 4, 8)) == pytest.approx([0.003, 0.0015, 0.0])


@pytest.mark.parametrize("system", ["cnn_lstm", "two_stream"])
def test_label_smoothing(system):
    """One of three classes is certain: cross-entropy against 0.9 + 0.1 / 3 and 0.1 / 3 of the others."""
    loss = systems.load(system).compile_args(config(system, label_smoothing=0.1))["loss"]
    loss = loss if not isinstance(loss, dict) else next(one for one in loss.values() if one is not None)
    said = np.array([[0.7, 0.2, 0.1]])
    expected = -((0.9 + 0.1 / 3) * np.log(0.7) + 0.1 / 3 * (np.log(0.2) + np.log(0.1)))
    assert float(loss(np.eye(3)[:1], said)) == pytest.approx(expected, rel=1e-4)


def test_lipnets_rates():
    def rates_of(made, epochs):
        used = systems.load("lipnet").callbacks(made, "unused")
        (schedule,) = [one for one in used if isinstance(one, keras.callbacks.LearningRateScheduler)]
        return [schedule.schedule(epoch) for epoch in epochs]

    cosine = config("lipnet", schedule="cosine", learning_rate=0.4, epochs=4)
    assert rates_of(cosine, (0, 2, 4)) == pytest.approx([0.4, 0.2, 0])
    notebook = systems.load("lipnet").Config.preset("notebook", learning_rate=1e-4)
    # The notebook's own: unchanged below epoch 30, counted from 0, then times exp(-0.1) at each.
    assert rates_of(notebook, (0, 29)) == [1e-4, 1e-4]
    assert rates_of(notebook, (30, 32)) == pytest.approx([9.04837e-5, 7.40818e-5])


@pytest.mark.parametrize(("system", "fields"), [("two_stream", {}), ("next_frame", {"val_sequences": 4})])
def test_a_plateau_waits_as_long_as_it_is_told(system, fields, tmp_path):
    made = config(system, schedule="plateau", plateau_patience=7, **fields)
    (schedule,) = [c for c in systems.load(system).callbacks(made, tmp_path) if isinstance(c, ReduceLROnPlateau)]
    assert schedule.patience == 7 and schedule.mode in ("auto", "min") and "accuracy" not in schedule.monitor
    other = systems.load(system).callbacks(config(system, schedule="cosine", **fields), tmp_path)
    assert not any(isinstance(one, ReduceLROnPlateau) for one in other)


@pytest.mark.parametrize("system", ["cnn_lstm", "two_stream", "lipnet", "av_words", "next_frame"])
def test_patience_is_the_early_stops(system, tmp_path):
    for patience, expected in ((3, [3]), (0, [])):
        used = systems.load(system).callbacks(config(system, patience=patience), tmp_path)
        assert [c.patience for c in used if isinstance(c, keras.callbacks.EarlyStopping)] == expected


def test_true_frames_are_shown_for_as_many_epochs_as_asked(tmp_path):
    """From 1 to 0 in a straight line."""
    from tfav.systems.next_frame.train import ScheduledSampling

    assert not [
        c
        for c in systems.load("next_frame").callbacks(config("next_frame", sampling_epochs=0), tmp_path)
        if isinstance(c, ScheduledSampling)
    ]
    used = systems.load("next_frame").callbacks(config("next_frame", sampling_epochs=4), tmp_path)
    (sampling,) = [c for c in used if isinstance(c, ScheduledSampling)]
    model = systems.load("next_frame").build_model(config("next_frame", sampling_epochs=4, filters=(2,)))
    sampling.set_model(model)
    shares = []
    for epoch in range(6):
        sampling.on_epoch_begin(epoch)
        shares.append(float(keras.ops.convert_to_numpy(model.get_layer("forecaster").teacher_forcing_ratio)))
    assert shares == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0, 0.0])
