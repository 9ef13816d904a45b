"""Arrays of any numbers: trained on, forecast and scored in their own units; what is missing touches nothing."""

import json

import keras
import numpy as np
import pytest

from tfav import cli
from tfav.data.synthetic import drifting_field
from tfav.errors import DataError, UsageError
from tfav.io.npz import read_npz
from tfav.report import forecasts
from tfav.systems.next_frame import (
    Config,
    build_datasets,
    build_model,
    compile_args,
    evaluate,
    export,
    open_data,
    open_predictor,
    predict_array,
    predict_files,
    train,
)
from tfav.training.run_folder import load

SMALL = {
    "input_frames": 4,
    "output_frames": 3,
    "filters": (6,),
    "kernel_sizes": (3,),
    "val_fraction": 0.2,
    "test_fraction": 0.2,
    "batch_size": 8,
    "epochs": 2,
    "sampling_epochs": 0,
}
FIELD = 280 + 5 * drifting_field(80, 10, 13, 2, gaps=0.1)


@pytest.fixture(scope="module")
def field_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("fields") / "field.npy"
    np.save(path, FIELD.transpose(3, 1, 0, 2))  # c y t x
    return path


def config_of(path, **fields):
    return Config.preset("demo", **SMALL | {"data_dir": str(path), "axes": "cytx", **fields})


@pytest.fixture(scope="module")
def field_run(field_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    rows = train(config_of(field_file), folder, verbose=0)
    assert rows[-1]["val_forecast_mse"] < rows[0]["val_forecast_mse"]
    return folder


def test_a_run_keeps_what_it_needs_and_answers_in_the_arrays_units(field_file, field_run):
    kept = load(field_run).metadata["array"]
    assert kept["frame"] == [10, 13, 2] and kept["axes"] == "cytx"
    np.testing.assert_allclose(kept["scaling"]["high"], np.nanmax(FIELD[:48], (0, 1, 2)))
    train(config_of(field_file), field_run, verbose=0)  # it had ended; the same data are the same run
    stored = np.load(field_file)
    made = predict_array(field_run, stored, 5)
    assert made.shape == (2, 10, 5, 13) and made.dtype == np.float32 and 250 < made.min() < made.max() < 310
    np.testing.assert_allclose(made, predict_array(field_run, FIELD, 5, axes="tyxc").transpose(3, 1, 0, 2))
    np.testing.assert_allclose(made, predict_array(field_run, stored[:, :, -4:], 5))  # the last four frames decide
    two = predict_array(field_run, np.stack([FIELD[::-1], FIELD]), 5, axes="ntyxc")
    np.testing.assert_allclose(two[1].transpose(3, 1, 0, 2), made, rtol=1e-5)


@pytest.mark.parametrize(("name", "frames"), [("forecast.npy", 24), ("forecast.nc", 2)])
def test_predict_writes_array_and_pictures(field_file, field_run, tmp_path, name, frames, capsys):
    if name.endswith("nc"):
        pytest.importorskip("xarray")
    out = tmp_path / "new" / name
    call = ["predict", "next_frame", "--run-dir", field_run, field_file, "--frames", frames, "--out", out]
    assert cli.main(list(map(str, call))) == 0
    assert sorted(path.name for path in out.parent.iterdir()) == sorted(["forecast.gif", "forecast.png", name])
    assert f"wrote {out}" in capsys.readouterr().out
    if name.endswith("npy"):
        np.testing.assert_allclose(np.load(out), predict_array(field_run, field_file, 24))
        celsius = tmp_path / "c.npy"
        np.save(celsius, np.load(field_file) - 273.15)
        heard = []
        open_predictor(field_run)(field_file, out=tmp_path, progress=lambda share, what: heard.append(share))
        assert heard == sorted(heard) and 0 == heard[0] < heard[-1] <= 1
        row = predict_files(field_run, [celsius, field_file], out=tmp_path / "all", frames=2)["files"][0]
        assert len(row["warnings"]) == 2 and "trained on 280" in row["warnings"][0] and len(row["wrote"]) == 3
        with pytest.raises(UsageError, match=r"is one file\. Received: 2 arrays"):
            predict_files(field_run, [celsius, field_file], out=out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda field: field[..., :1], "1 channels, and the run was trained on 2"),
        (lambda field: field[:3], "3 frames, and the run looks at 4"),
        (
            lambda field: np.where(np.arange(80)[:, None, None, None] == 78, np.nan, field),
            "frame 78 of sequence 0 has no",
        ),
        (
            lambda field: np.where(np.arange(80)[:, None, None, None] == 78, np.inf, field),
            "infinite values in frame 78",
        ),
        (lambda field: field[:, :9], "was trained on frames of 10 x 13 x 2"),
        (lambda field: field[..., 0], "axes must name each axis of 80 x 10 x 13"),
    ],
)
def test_arrays_that_do_not_fit_a_run(field_run, change, message):
    with pytest.raises((DataError, UsageError), match=message) as raised:
        predict_array(field_run, change(FIELD), axes="tyxc")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model": "notebook", "patch_size": 1, "loss": "mse_mae"},
        {"step": "motion", "filters": (4, 4), "kernel_sizes": (3, 3), "loss": "frame_mse", "patch_size": 4},
    ],
    ids=["conv_lstm", "notebook", "motion"],
)
def test_missing_cells_get_no_gradient_and_reach_no_other(field_file, fields):
    config = config_of(field_file, **fields)
    keras.utils.set_random_seed(0)
    model, data = build_model(config), open_data(config)
    frames, truth = next(iter(data.dataset("val")))
    loss = compile_args(config)["loss"]
    hidden = np.isnan(truth)
    assert hidden.mean() > 0.05 and np.isfinite(frames).all()
    import tensorflow as tf

    made = tf.Variable(model(frames))
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(loss(truth, made))
    gradient = tape.gradient(value, made).numpy()
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert not gradient[hidden].any() and (gradient[~hidden] != 0).mean() > 0.99

    def weights_gradient(truth):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(truth, model(frames)))
        return [value, *tape.gradient(value, model.trainable_weights)]

    plain = weights_gradient(truth)
    assert all(np.isfinite(part).all() for part in plain) and any(np.any(part) for part in plain[1:])


def test_what_lies_under_a_mask_is_of_no_account(field_file, tmp_path):
    hidden = np.isnan(np.load(field_file))
    np.save(tmp_path / "mask.npy", hidden)
    batches = []
    for under in (0.0, 1e6):
        np.save(tmp_path / f"{under}.npy", np.where(hidden, np.float32(under), np.load(field_file)))
        config = config_of(tmp_path / f"{under}.npy", mask=str(tmp_path / "mask.npy"))
        batches.append([np.asarray(part) for part in next(iter(build_datasets(config).val))])
    batches.append([np.asarray(part) for part in next(iter(build_datasets(config_of(field_file)).val))])
    for other in batches[1:]:
        for one, two in zip(batches[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_scores_stand_beside_yardsticks_in_the_arrays_units(field_file, field_run):
    result = evaluate(field_run, part="test", progress=False, thresholds=(281.5, 283.0))
    file_windows = open_data(config_of(field_file)).arrays
    frames = np.stack([file_windows.file.read(n, t, t + 7) for n, t in file_windows.windows("test").tolist()])
    assert result["count"] == len(frames) == 4
    stored = [predict_array(field_run, window[:4], 3, axes="tyxc") for window in frames]
    error = np.stack(stored) - frames[:, 4:]
    per_channel = [np.sqrt(np.nanmean(np.nanmean(error[..., c] ** 2, (2, 3)))) for c in range(2)]
    told = [result["channels"]["this run"][name]["rmse"] for name in ("channel_0", "channel_1")]
    np.testing.assert_allclose(told, per_channel, rtol=1e-5)
    assert set(result["yardsticks"]) == {"climatology", "advection"}
    assert set(result["skill"]) == {"persistence", "climatology", "advection"}
    assert all(len(values) == 3 for values in result["skill"].values())
    row = result["events"][2]
    is_there, is_told = frames[:, 4:, ..., 0] >= 283, np.stack(stored)[..., 0] >= 283
    is_told &= np.isfinite(frames[:, 4:, ..., 0])
    assert row["channel"] == "channel_0" and is_there.any()
    hits, either = (is_there & is_told).sum(), (is_there | is_told).sum()
    assert row["threshold"] == 283 and row["scores"]["this run"]["csi"] == pytest.approx(hits / either)
    assert result["peak_memory_mb"] > 100
    json.dumps(result)
    titles = dict(forecasts.sections(field_run, result))
    assert "RMSE of each channel" in titles["Scores"] and "CSI" in titles["Scores"]
    assert titles["Skill by lead time"].count("<svg") == 5  # the skill, and CSI of two channels at two thresholds
    kept = read_npz(field_run / "evaluation_examples.npz")
    assert kept["truth"].shape == (4, 3, 10, 13, 1)
    np.save(field_run / "window.npy", frames[0].transpose(3, 1, 0, 2))
    other = evaluate(field_run, field_run / "window.npy", progress=False, perceptual=True)
    assert other["count"] == 1 and 0 < other["perceptual"]["scores"]["ms_ssim"] < 1
    np.save(field_run / "one.npy", FIELD[..., :1])
    with pytest.raises(DataError, match="1 channels, and the run was trained on 2"):
        evaluate(field_run, field_run / "one.npy", axes="tyxc", progress=False)


def test_an_exported_run_takes_and_gives_the_arrays_units(field_run):
    exported = export(field_run)
    frames = exported.examples[1]["frames"]
    assert 270 < frames.min() < frames.max() < 290
    np.testing.assert_allclose(
        exported.serve(frames=frames)["next_frames"], predict_array(field_run, frames, axes="ntyxc"), rtol=1e-5
    )


def test_settings_of_arrays():
    with pytest.raises(UsageError, match="loss=bce is for pictures"):
        Config.preset("notebook", data_dir="a.npy", axes="tyx")
    assert Config.preset("demo", data_dir="a.zarr").is_array and not Config.preset("demo", data_dir="a.npy").is_array
