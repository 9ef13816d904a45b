"""Several labels a clip, from a table to thresholds and answers; and classes that are unevenly many."""

import collections
import dataclasses
import json
import shutil

import numpy as np
import pytest

from tfav import cli
from tfav.data.folders import scan
from tfav.errors import DataError, UsageError
from tfav.systems.cnn_lstm import Config, build_datasets, dataset, describe_evaluation, evaluate, open_predictor, train
from tfav.systems.cnn_lstm.predict import predict_files, read_thresholds

KINDS = {"move_left": "move", "move_right": "move", "grow": "size", "shrink": "size"}


@pytest.fixture(scope="module")
def several_config(small_config, videos, tmp_path_factory):
    """What a shape does and of which kind that is; what turns has no kind, and the first of each class no label."""
    rows = ["video,label"]
    for path in sorted(videos.glob("*/*.mp4")):
        label = path.parent.name
        rows.append(f"{path},{'' if '_g00_' in path.name else ';'.join(filter(None, [label, KINDS.get(label)]))}")
    table = tmp_path_factory.mktemp("table") / "labels.csv"
    table.write_text("\n".join(rows), encoding="utf-8")
    return dataclasses.replace(small_config, data_dir=str(table), multi_label=True, epochs=1, val_groups=("03",))


@pytest.fixture(scope="module")
def several_run(several_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "run"
    history = train(several_config, folder, verbose=0)
    assert 0 <= history[-1]["val_map"] <= 1
    return folder


def test_targets_have_a_one_for_each_label(several_config):
    opened = dataset.open_data(several_config)
    assert opened.labels[:1] == ["grow"] and {"move", "size"} < set(opened.labels) and len(opened.labels) == 8
    assert opened.describe()["val"]["move"] == 2 and opened.describe()["val"]["grow"] == 1
    targets = np.concatenate([target for _, target in opened.dataset("train")])
    assert sorted(targets.sum(1).tolist()) == [0] * 6 + [1] * 4 + [2] * 8


def test_thresholds_scores_and_answers(several_run, several_config, videos, capsys):
    result = evaluate(several_run, part="val", progress=False)
    thresholds = json.loads((several_run / "thresholds.json").read_text())
    assert result["multi_label"] and {row["label"]: row["threshold"] for row in result["per_class"]} == thresholds
    assert all(row["f1"] > 0 for row in result["per_class"])  # chosen on these very videos
    assert "mAP" in describe_evaluation(result)
    path = next(videos.glob("grow/*.mp4"))
    (row,) = predict_files(several_run, path, top=8)["files"]
    said = {entry["label"] for entry in row["labels"]}
    assert said == {entry["label"] for entry in row["ranking"] if entry["probability"] >= thresholds[entry["label"]]}
    assert open_predictor(several_run)(path, top=8)["labels"] == row["labels"]
    (several_run / "thresholds.json").write_text(json.dumps(dict.fromkeys(thresholds, 1.1)))
    assert cli.main(["predict", "cnn_lstm", "--run-dir", str(several_run), str(path)]) == 0
    assert "none of the classes" in capsys.readouterr().out
    assert cli.main(["report", "--run-dir", str(several_run)]) == 0


def test_none_below_the_threshold_of_one_label(run_dir, small_config, videos, tmp_path):
    thresholds = read_thresholds(run_dir)
    assert len(set(thresholds.values())) == 1 and (run_dir / "thresholds.json").exists()
    (row,) = predict_files(run_dir, next(videos.glob("grow/*.mp4")), none=True)["files"]
    best = row["ranking"][0]
    assert row["labels"] == ([best] if best["probability"] >= thresholds[best["label"]] else [])
    assert "labels" not in predict_files(run_dir, next(videos.glob("grow/*.mp4")))["files"][0]


def test_sampling_shows_rare_classes_as_often_and_weights_let_them_count_as_much(small_config, videos):
    tree = scan(videos)
    rare = [e for e in tree.examples if e.label != "grow" or "_g00_" in e.name]
    for balance in ("sampling", "weights"):
        config = dataclasses.replace(small_config, balance=balance)
        batches = list(dataset.build_dataset(config, rare, tree.labels, training=True))
        numbers = np.concatenate([batch[1].numpy().argmax(1) for batch in batches])
        if balance == "sampling":
            assert collections.Counter(numbers.tolist()) == dict.fromkeys(range(6), 4)
            continue
        weights = np.concatenate([batch[2] for batch in batches])
        totals = [weights[numbers == number].sum() for number in range(6)]
        np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
        assert weights.mean() == pytest.approx(1) and len(weights) == len(rare)
        plain = build_datasets(config).val
        assert len(next(iter(plain))) == 2


def test_several_labels_need_the_setting(several_config):
    with pytest.raises(DataError, match="line 2: no label"):
        dataset.open_data(dataclasses.replace(several_config, multi_label=False))


def test_no_validation_part_no_threshold(run_dir, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "copy", ignore=shutil.ignore_patterns("thresholds.json"))
    stored = json.loads((copy / "config.json").read_text())
    stored["config"]["val_fraction"] = 0.0
    (copy / "config.json").write_text(json.dumps(stored))
    with pytest.raises(UsageError, match=r"no validation part.*--val-fraction"):
        read_thresholds(copy)
    assert Config.from_dict(stored["config"]).has_val is False
