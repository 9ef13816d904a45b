"""Both streams and their fusion, trained, scored, and gone on with; on two devices as on one."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import PROJECT
from tests.io.clips import write_clip
from tfav.errors import DataError, UsageError
from tfav.systems.two_stream import (
    describe_evaluation,
    evaluate,
    evaluate_fusion,
    open_data,
    open_predictor,
    predict_files,
    predict_streams,
    prepare,
    sampling,
    train,
)
from tfav.systems.two_stream import stream as streams
from tfav.systems.two_stream.stream import load_stream
from tfav.systems.two_stream.train import _groups, choose_run_fusion

MIRRORED = """
import json, sys
from tests.systems.two_stream.test_train import fit_on
print(json.dumps(fit_on("cpu:2", json.loads(sys.argv[1]))))
"""


def fit_on(devices, fields):
    """Train the motion stream for two epochs; returns the number of replicas and the losses."""
    import keras

    from tfav import training
    from tfav.systems.two_stream import Config, build_datasets, build_model, compile_args

    training.prepare_devices(devices)
    config = Config(stream="motion", **fields)
    in_order = build_datasets(config).val  # so that both sides see the same
    with training.strategy(devices) as strategy:
        keras.utils.set_random_seed(1)
        model = build_model(config)
        # Batch norm sees each replica's half of the batch; frozen, both sides compute the same function.
        for layer in model.get_layer("small").layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
        model.compile(**compile_args(config))
    history = model.fit(in_order, epochs=2, verbose=0, shuffle=False)
    return {"replicas": strategy.num_replicas_in_sync, "loss": history.history["loss"]}


def test_a_run_goes_on_and_is_scored_by_video(run_dirs, small_config):
    again = train(small_config("motion", epochs=3, train_samples=2), run_dirs["motion"], verbose=0)
    assert [row["epoch"] for row in again] == [1, 2, 3]  # it had ended: nothing is trained twice
    result = evaluate(run_dirs["motion"], progress=False)
    assert (result["count"], len(result["videos"]), result["failed"]) == (18, 18, [])
    assert 0 <= result["top1"] <= result["top5"] <= 1
    assert "top-1" in describe_evaluation(result)
    assert evaluate(run_dirs["motion"], part="val", progress=False)["count"] == 6
    json.dumps(result)


def test_the_score_of_a_video_is_the_mean_over_its_samples(run_dirs, small_config):
    config = small_config("motion")
    found = sampling.find_examples(config)
    stream = load_stream(run_dirs["motion"], "motion")
    stored = streams.compute(stream, config, found.examples[:2], progress=False)
    from tfav.systems.two_stream.dataset import build_dataset

    inputs = np.concatenate([batch for batch, _ in build_dataset(config, found.examples[:2], found.labels)])
    expected = stream.model(inputs, training=False).numpy().reshape(2, 4, -1).mean(axis=1)
    np.testing.assert_allclose(stored.probabilities, expected, atol=1e-6)
    assert stored.features.shape == (2, 4, 64)


def test_features_stay_on_disk(run_dirs, small_config, monkeypatch):
    config = small_config("motion")
    found, stream = sampling.find_examples(config), load_stream(run_dirs["motion"], "motion")
    first = streams.compute(stream, config, found.examples, progress=False)
    monkeypatch.setattr(streams, "_answers", lambda *_: pytest.fail("computed twice"))
    second = streams.compute(stream, config, found.examples, progress=False)
    np.testing.assert_array_equal(first.features, second.features)
    sound = {file: file.read_bytes() for file in config.cache_path().glob("features-*/v_grow_g00*.npz")}  # any stream's
    try:
        for file, content in sound.items():
            file.write_bytes(content[:-9])
        with pytest.raises(DataError, match=r"v_grow_g00\S*\.npz: damaged. Remove it"):
            streams.compute(stream, config, found.examples, progress=False)
    finally:
        for file, content in sound.items():
            file.write_bytes(content)


def test_fusion(run_dirs, small_config, tmp_path):
    paths = {kind: str(run_dirs[kind]) for kind in run_dirs}
    config = small_config("fusion", epochs=2, gru_units=8, **paths)
    history = train(config, tmp_path / "fusion", verbose=0)
    assert len(history) == 2
    chosen = json.loads((tmp_path / "fusion" / "fusion.json").read_text())
    assert 0 <= chosen["spatial_weight"] <= 1 and chosen["chosen_on"] == 6
    assert set(chosen["right"]) == {"spatial", "motion", "shared"}
    result = evaluate(tmp_path / "fusion", part="val", progress=False)
    assert set(result["streams"]) == {"spatial", "motion", "average", "late", "recurrent"}
    alone = [result["streams"][kind]["top1"] for kind in ("spatial", "motion")]
    assert result["streams"]["late"]["top1"] >= max(alone) and result["fusion"] == chosen
    assert "recurrent" in describe_evaluation(result)
    file = min(Path(config.data_dir).rglob("*.mp4"))
    (plain,) = predict_streams(**run_dirs, files=file)["files"]
    for share, kind in ((1.0, "spatial"), (0.0, "motion")):  # of a fusion run what it chose holds
        told = {"temperatures": {"spatial": 1.0, "motion": 1.0}, "spatial_weight": share}
        (tmp_path / "fusion" / "fusion.json").write_text(json.dumps(told))
        rows = open_predictor(tmp_path / "fusion")(file), predict_files(tmp_path / "fusion", file)["files"][0]
        assert rows[0] == rows[1] and rows[0]["frames"][0]["ranking"] == plain["frames"][0][kind]
    both = evaluate_fusion(run_dirs["spatial"], run_dirs["motion"], config, part="val", progress=False)
    assert both["fused"] == result["streams"]["average"]
    assert both["motion"]["count"] == 6


def test_without_unseen_videos_groups_are_left_out_or_streams_count_alike(run_dirs, small_config, tmp_path):
    config = small_config("fusion", fusion_folds=2, **{kind: str(run_dirs[kind]) for kind in run_dirs})
    opened = open_data(config)
    opened.split = opened.split._replace(val=opened.split.train[:3])
    chosen = choose_run_fusion(config, tmp_path, opened)
    assert chosen["chosen_on"] == 12 and set(chosen["right"]) == {"spatial", "motion", "shared"}
    runs = {path.name: json.loads((path / "config.json").read_bytes())["config"] for path in tmp_path.glob("*/*")}
    assert sorted(runs) == ["motion-0", "motion-1", "spatial-0", "spatial-1"]
    for name, stored in runs.items():
        own = json.loads((run_dirs[name.split("-")[0]] / "config.json").read_bytes())["config"]
        assert stored == own | {"val_fraction": 0.0}
    train_part = opened.split.train
    assert set(_groups(train_part, config, opened)) == {e.name.split("_")[-2][1:] for e in train_part}
    one = [e for e in train_part if e.name.split("_")[-2] == train_part[0].name.split("_")[-2]]
    assert _groups(one, config, opened) == [e.path.as_posix() for e in one]
    for changed in ({"fusion_folds": 0}, {"spatial": str(run_dirs["spatial"] / "best.keras")}):
        alike = choose_run_fusion(dataclasses.replace(config, **changed), tmp_path / "none", opened)
        assert (alike["spatial_weight"], alike["way"], alike["chosen_on"]) == (0.5, "equal", 0)
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_trained_or_scored(run_dirs, small_config, videos_dir, tmp_path):
    with pytest.raises(UsageError, match=r"needs both streams. Give --spatial"):
        train(small_config("fusion", motion=str(run_dirs["motion"])), tmp_path / "f", verbose=0)
    with pytest.raises(UsageError, match="part must be one of"):
        evaluate(run_dirs["motion"], part="dev")
    with pytest.raises(UsageError, match="no test part"):
        evaluate(run_dirs["motion"], part="test")
    with pytest.raises(UsageError, match="other settings: learning_rate"):
        train(small_config("motion", epochs=3, train_samples=2, learning_rate=1.0), run_dirs["motion"], verbose=0)
    other = tmp_path / "videos"
    for label in ("grow", "sing"):
        (other / label).mkdir(parents=True)
        (other / label / f"v_{label}_g00_c00.mp4").write_bytes(sorted(videos_dir.rglob("*.mp4"))[0].read_bytes())
    with pytest.raises(DataError, match="does not know class sing"):
        evaluate(run_dirs["motion"], other)


def test_prepare_writes_the_fields_folders(videos_dir, tmp_path):
    report = prepare(videos_dir / "grow", tmp_path / "out", flow_method="dis", size=32, workers=0, quiet=True)
    assert report.ok and len(report.done) == 3


def test_two_devices_train_as_one(small_config):
    fields = small_config("motion").__dict__ | {"num_classes": 6}
    fields = {k: v for k, v in fields.items() if k != "stream" and not isinstance(v, tuple)}
    command = [sys.executable, "-c", MIRRORED, json.dumps(fields)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = fit_on("cpu", fields), json.loads(done.stdout.splitlines()[-1])
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-4)
    assert one["loss"][-1] < one["loss"][0]


def test_evaluation_goes_on_past_what_cannot_be_used(run_dirs, small_config, videos_dir, tmp_path):
    """An empty file, one too short for a stack, a spatial picture cut in half, one of flow: each gets a line."""
    videos, prepared = tmp_path / "videos", tmp_path / "prepared"
    for name in ("grow/v_grow_g00_c00.mp4", "shrink/v_shrink_g00_c00.mp4", "shrink/v_shrink_g01_c00.mp4"):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(videos_dir / name, videos / name)
    (videos / "grow/v_grow_g08_c00.mp4").touch()
    write_clip(videos / "grow/v_grow_g09_c00.avi", 3)
    result = evaluate(run_dirs["motion"], videos, progress=False)
    assert (result["count"], len(result["videos"])) == (3, 3)
    assert [Path(row["path"]).stem for row in result["failed"]] == ["v_grow_g08_c00", "v_grow_g09_c00"]
    assert "empty" in result["failed"][0]["reason"] and "3 frames, and a stack" in result["failed"][1]["reason"]
    assert "v_grow_g08_c00" in describe_evaluation(result)
    alone = {row["path"]: row for row in evaluate(run_dirs["spatial"], videos, progress=False)["videos"]}
    assert len(alone) == 4  # three frames do for the spatial stream

    prepare(videos_dir, prepared, flow_method="dis", size=32, workers=0, quiet=True)
    whole = {row["path"]: row for row in evaluate(run_dirs["spatial"], prepared, progress=False)["videos"]}
    for path in (prepared / "jpegs_256/v_grow_g00_c00").iterdir():
        if path.stem not in ("frame000001", "frame000005", "frame000010"):  # the three that are looked at before
            path.write_bytes(path.read_bytes()[:-60])
    for path in (prepared / "tvl1_flow/v/v_shrink_g01_c00").iterdir():
        path.write_bytes(path.read_bytes()[:-60])
    result = evaluate(run_dirs["spatial"], prepared, progress=False)
    assert [Path(row["path"]).name for row in result["failed"]] == ["v_grow_g00_c00"]
    assert "cut short" in result["failed"][0]["reason"]
    assert [whole[row["path"]] for row in result["videos"]] == result["videos"] and len(result["videos"]) == 17
    config = small_config("motion", data_dir=str(prepared))
    both = evaluate_fusion(run_dirs["spatial"], run_dirs["motion"], config, progress=False)
    assert [Path(row["path"]).name for row in both["failed"]] == ["v_grow_g00_c00", "v_shrink_g01_c00"]
    assert both["fused"]["count"] == 16
    with pytest.raises(DataError, match=r"1 of 18 videos cannot be used; first: .*v_shrink_g01_c00.*cut short"):
        streams.compute(load_stream(run_dirs["motion"], "motion"), config, sampling.find_examples(config).examples)
