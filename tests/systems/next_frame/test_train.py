"""A run from training to its page: what it keeps, how it goes on, what it scores and predicts."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.systems.next_frame.conftest import SMALL
from tfav import cli
from tfav.data import epoch_order
from tfav.data.mnist import small_digits
from tfav.errors import DataError, TfavError, UsageError
from tfav.io.encoding import write_video
from tfav.io.video import read_video
from tfav.metrics import frame_quality
from tfav.systems.next_frame import (
    Config,
    build_datasets,
    build_model,
    callbacks,
    compile_args,
    describe_evaluation,
    evaluate,
    predict_files,
    predict_next,
    train,
)
from tfav.systems.next_frame.dataset import made_test_set, read_sequences
from tfav.systems.next_frame.evaluate import EXAMPLES_NAME
from tfav.systems.next_frame.model import load_model


def tfav(*arguments):
    return cli.main([str(argument) for argument in arguments])


def test_a_run_goes_on_with_other_sequences(small_config, run_dir, tmp_path, monkeypatch):
    rows = train(small_config, run_dir, verbose=0)  # it had ended: nothing is trained twice
    assert [row["epoch"] for row in rows] == [1, 2]
    assert {"loss", "forecast_mse", "val_loss", "val_forecast_mse"} <= set(rows[-1])
    longer = Config.preset("demo", **{**SMALL, "epochs": 3})
    folder = tmp_path / "run"
    given = []
    monkeypatch.setattr(epoch_order, "begin", lambda epoch, stage="": given.append(epoch))
    train(small_config, folder, verbose=0)
    assert [row["epoch"] for row in train(longer, folder, verbose=0)] == [1, 2, 3]
    assert given == [0, 1, 2]  # whose sequences are asked for; data.build_datasets makes others for each


def test_training_begins_with_the_weights_of_a_run(small_config, run_dir, tmp_path):
    still = {**SMALL, "epochs": 1, "learning_rate": 1e-12, "init": str(run_dir)}
    train(Config.preset("demo", **still), tmp_path / "run", verbose=0)
    before, after = (load_model(run, small_config).trainable_weights for run in (run_dir, tmp_path / "run"))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-6)
    for changes, why in (({"filters": (5,)}, "should be"), ({"init": str(tmp_path / "gone")}, "gone")):
        with pytest.raises(UsageError, match=why):
            train(Config.preset("demo", **{**still, **changes}), tmp_path / "other", verbose=0)
        assert not (tmp_path / "other").exists()


def test_facts_say_what_the_digits_are(run_dir):
    metadata = json.loads((run_dir / "config.json").read_text())["metadata"]
    assert metadata == {"digits": small_digits().source}


def test_scheduled_sampling_goes_down_by_epoch(tmp_path):
    config = Config.preset("demo", **{**SMALL, "epochs": 3, "sampling_epochs": 2})
    train(config, tmp_path / "run", verbose=0)
    share = load_model(tmp_path / "run", config).get_layer("forecaster").teacher_forcing_ratio
    assert float(share) in (0.0, 0.5, 1.0)  # of whichever epoch was best
    from tfav.systems.next_frame import build_model
    from tfav.systems.next_frame.train import ScheduledSampling

    callback = ScheduledSampling(2)
    callback.set_model(build_model(config))
    shares = []
    for epoch in range(4):
        callback.on_epoch_begin(epoch)
        shares.append(float(callback.model.get_layer("forecaster").teacher_forcing_ratio))
    assert shares == [1.0, 0.5, 0.0, 0.0]


def test_scores_are_those_of_the_rollout(small_config, run_dir):
    result = evaluate(run_dir, progress=False)
    sequences = np.concatenate(list(made_test_set(small_config, small_digits()).as_numpy_iterator()))
    forecast = predict_next(load_model(run_dir, small_config), sequences[:, :5], 5, cut=False)
    expected = frame_quality.evaluate(sequences[:, 5:], forecast)
    assert result["count"] == 7 and result["failed"] == []
    assert result["scores"]["mse"] == pytest.approx(expected["mse"], rel=1e-4)
    np.testing.assert_allclose(result["scores"]["per_step"]["ssim"], expected["per_step"]["ssim"], atol=1e-5)
    copied = frame_quality.evaluate(sequences[:, 5:], frame_quality.copy_last_frame(sequences[:, :5], 5))
    assert result["copy_last"]["mse"] == pytest.approx(copied["mse"])
    text = describe_evaluation(result)
    assert "copying the last frame" in text and "29.80" in text and "14.07" in text
    with np.load(run_dir / EXAMPLES_NAME) as examples:
        np.testing.assert_allclose(examples["truth"] / 255, sequences[:5, 5:], atol=0.003)
        np.testing.assert_allclose(examples["prediction"] / 255, np.clip(forecast[:5], 0, 1), atol=0.003)
        errors = frame_quality.per_frame(sequences[:, 5:], forecast)["mse"].mean(1)
        worst = np.argsort(-errors)[:3]
        np.testing.assert_allclose(examples["worst_mse"], errors[worst], rtol=1e-4)
        np.testing.assert_allclose(examples["worst_truth"] / 255, sequences[worst, 5:], atol=0.003)
    for name in frame_quality.NAMES:
        low, high = result["scores"]["intervals"][name]
        assert low < result["scores"][name] < high
    json.dumps(result)


def test_perceptual_scores_are_an_option(run_dir):
    result = evaluate(run_dir, progress=False, perceptual=True, test_sequences=2)
    assert set(result["perceptual"]) == {"scores", "copy_last"}
    for scores in result["perceptual"].values():
        assert 0 <= scores["ms_ssim"] <= 1 and scores["st_rred"] > 0
    assert "MS-SSIM: this run" in describe_evaluation(result) and json.dumps(result)


def test_keras_own_fit_leaves_a_run(small_config, tmp_path):
    run_dir = tmp_path / "run"
    small = dataclasses.replace(small_config, epochs=1)
    data = build_datasets(small)
    model = build_model(small)
    model.compile(**compile_args(small))
    model.fit(data.train, validation_data=data.val, epochs=1, callbacks=callbacks(small, run_dir), verbose=0)
    assert evaluate(run_dir, progress=False)["count"] == 7
    with pytest.raises(UsageError, match="other settings: seed"):
        other = callbacks(dataclasses.replace(small, seed=9), run_dir)
        model.fit(data.train, epochs=1, callbacks=other, verbose=0)


def test_notebook_model_trains_and_is_scored_one_step_ahead(tmp_path):
    small = {**SMALL, "train_sequences": 4, "val_sequences": 2, "test_sequences": 3, "epochs": 1}
    config = Config.preset("notebook", **{**small, "filters": (2, 2, 2), "kernel_sizes": (5, 3, 1)})
    rows = train(config, tmp_path / "run", verbose=0)
    assert len(rows) == 1 and "val_loss" in rows[0]
    result = evaluate(tmp_path / "run", progress=False)
    assert 0 < result["one_step_bce"] < 2 and len(result["scores"]["per_step"]["mse"]) == 10
    assert "binary cross-entropy" in describe_evaluation(result)


def test_folder_of_videos_trained_and_scored(videos, tmp_path):
    config = Config.preset(
        "demo",
        **{**SMALL, "mnist": "", "data_dir": str(videos), "cache_dir": str(tmp_path), "channels": 3, "image_size": 16},
        input_frames=3,
        output_frames=2,
        val_fraction=0.2,
        test_fraction=0.5,
    )
    train(config, tmp_path / "run", verbose=0)
    assert evaluate(tmp_path / "run", part="test", progress=False)["count"] == 6
    assert evaluate(tmp_path / "run", videos, progress=False)["count"] == 12
    rows = predict_files(tmp_path / "run", [videos / "a.mp4"], frames=4)["files"]
    assert len(read_video(rows[0]["wrote"][1]).frames) == 3 + 4


def test_evaluation_goes_on_past_what_cannot_be_used(run_dir, videos, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(videos, mixed)
    cut = {"cache_dir": str(tmp_path / "cache")}
    whole = evaluate(run_dir, mixed, progress=False, **cut)
    assert (whole["count"], whole["failed"]) == (6, [])
    write_video(mixed / "b2.mp4", np.full((4, 32, 48, 3), 90, np.uint8), 10)
    (mixed / "empty.mp4").touch()
    for _ in range(2):  # what is kept of the first time is never taken for the whole
        result = evaluate(run_dir, mixed, progress=False, **cut)
        assert [Path(row["path"]).name for row in result["failed"]] == ["b2.mp4", "empty.mp4"]
        assert "4 frames, and a sequence has 10" in result["failed"][0]["reason"]
        assert (result["count"], result["scores"]) == (6, whole["scores"])
        assert "failed: " in describe_evaluation(result)
        with pytest.raises(DataError, match="2 of 5 videos cannot be used"):
            read_sequences(Config.preset("demo", **{**SMALL, **cut}), mixed)
    for name in "abc":
        (mixed / f"{name}.mp4").unlink()
    with pytest.raises(DataError, match="2 of 2 videos cannot be used"):
        evaluate(run_dir, mixed, progress=False, **cut)


def test_command_line(run_dir, tmp_path, capsys):
    frames = np.full((8, 64, 64, 3), 90, np.uint8)
    film = write_video(tmp_path / "film é.mp4", frames, 10)
    assert tfav("predict", "next_frame", "--run-dir", run_dir, film, "--frames", 7, "--out", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "wrote" in said.out and "warning" not in said.err
    assert len(read_video(tmp_path / "out/film é_next.mp4").frames) == 5 + 7
    assert len(read_video(tmp_path / "out/film é_next.gif").frames) > 1
    assert tfav("evaluate", "next_frame", "--run-dir", run_dir, "--part", "test", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["count"] == 7
    assert tfav("report", "--run-dir", run_dir) == 0
    page = (run_dir / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/gif;base64,") == 5 + 3 and page.count("data:image/png;base64,") == 5 + 3
    assert (
        "copying the last frame" in page
        and "frames ahead" in page
        and "Worst cases" in page
        and "Confusion" not in page
    )


def test_videos_that_cannot_be_used(run_dir, tmp_path, capsys):
    short = write_video(tmp_path / "short.mp4", np.full((4, 64, 64, 3), 90, np.uint8), 10)
    wide = write_video(tmp_path / "wide.mp4", np.full((9, 48, 96, 3), 90, np.uint8), 10)
    (tmp_path / "notes.avi").write_text("notes")
    arguments = ["predict", "next_frame", "--run-dir", run_dir, short, tmp_path / "notes.avi", tmp_path / "gone.mp4"]
    assert tfav(*arguments, wide, "--out", tmp_path / "out", "--json") == 1
    said = capsys.readouterr()
    rows = json.loads(said.out.splitlines()[-1])["files"]
    assert ["error" in row for row in rows] == [True, True, True, False]
    assert "short.mp4: 4 frames, and the model looks at 5" in said.err
    assert "96 x 48, are resized to 64 x 64" in said.err  # another size than the run's
    for frames in ("0", "-3"):
        assert tfav("predict", "next_frame", "--run-dir", run_dir, wide, "--frames", frames) == 2
        assert "--frames must be 1 or more" in capsys.readouterr().err


def test_what_cannot_be_scored(run_dir, tmp_path, small_config):
    np.save(tmp_path / "small.npy", np.full((10, 3, 32, 32), 90, np.uint8))
    with pytest.raises(DataError, match="frames are 32 x 32 x 1, and the model takes 64 x 64 x 1"):
        evaluate(run_dir, tmp_path / "small.npy", progress=False)
    np.save(tmp_path / "mnist_test_seq.npy", np.full((20, 3, 64, 64), 90, np.uint8))
    with pytest.raises(DataError, match="the benchmark's file is 20 x 10000 x 64 x 64"):
        evaluate(run_dir, tmp_path / "mnist_test_seq.npy", progress=False)
    with pytest.raises(UsageError, match="the test set is scored"):
        evaluate(run_dir, part="train", progress=False)
    with pytest.raises(TfavError, match="no readable model"):
        load_model(tmp_path, small_config)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "cnn_lstm", "--run-dir", "r", "v.mp4", "--frames", "3"], "unknown field --frames"),
        (["prepare", "cnn_lstm", "--source", "s", "--out", "o", "--sequences", "3"], "unknown field --sequences"),
        (["predict", "next_frame", "--run-dir", "r", "v.mp4", "--spatial", "x"], "unknown field --spatial"),
    ],
)
def test_flags_of_other_systems(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert tfav(*arguments) == 2
    assert message in capsys.readouterr().err


def test_shipped_weights_predict_as_the_run(tmp_path, small_config, run_dir):
    from tfav.systems.next_frame import write_pretrained

    folder = write_pretrained(run_dir, tmp_path / "pretrained")
    assert {path.name for path in folder.iterdir()} >= {"README.md", "config.json", "weights.npz"}
    assert json.loads((folder / "config.json").read_text())["config"]["mnist"] == ""
    sequences = np.concatenate(list(made_test_set(small_config, small_digits()).as_numpy_iterator()))
    expected = predict_next(load_model(run_dir, small_config), sequences[:, :5], 5)
    found = predict_next(load_model(folder, small_config), sequences[:, :5], 5)
    np.testing.assert_allclose(found, expected, atol=5e-3)  # float16
    with np.load(folder / "weights.npz") as stored:
        arrays = {name: array.ravel()[:1] for name, array in stored.items()}
    np.savez(folder / "weights.npz", **arrays)
    with pytest.raises(TfavError, match="of another model"):
        load_model(folder, small_config)
    (folder / "weights.npz").write_bytes(b"PK")
    with pytest.raises(TfavError, match="not a readable weights file"):
        load_model(folder, small_config)


def test_what_is_shipped_beats_copying():
    """The weights in the package, on sequences of scikit-learn's digits, which they have never seen."""
    result = evaluate("pretrained", progress=False, test_sequences=8, mnist="small")
    assert result["scores"]["mse"] < result["copy_last"]["mse"] / 2
