"""A run from training to its scores: what it keeps, how it goes on, what is exported and begun with."""

import json
import types

import keras
import numpy as np
import pytest

from tfav import cli
from tfav.errors import DataError, TfavError, UsageError
from tfav.speech.splits import NamedSplit
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.convert_weights import load_init
from tfav.systems.lipnet.demo import make_shards
from tfav.systems.lipnet.evaluate import describe_evaluation, evaluate
from tfav.systems.lipnet.export import write_pretrained
from tfav.systems.lipnet.model import build_model
from tfav.systems.lipnet.reader import open_reader
from tfav.systems.lipnet.train import callbacks, compile_args, dataset, train
from tfav.training import checkpoints
from tfav.training import run_folder as runs
from tfav.training.weight_averaging import averaged_weights

SMALL = {
    "filters": (2, 3, 4),
    "rnn_units": 4,
    "epochs": 2,
    "ema_momentum": 0.9,
    "grammar": "none",
    "num_frames": 16,
}


@pytest.fixture(scope="module")
def shard_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_shards(folder, num_clips=24, num_slots=1, num_frames=16)
    return str(folder)


@pytest.fixture(scope="module")
def run_dir(shard_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(Config.preset("demo", data_dir=shard_dir, **SMALL), folder, verbose=0)
    return folder


def test_a_run_keeps_rates_and_examples_and_goes_on(run_dir, shard_dir, tmp_path):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert {"loss", "labels_loss", "words_loss", "labels_cer", "val_labels_cer"} <= set(rows[0])
    examples = json.loads((run_dir / "examples.jsonl").read_text().splitlines()[-1])["examples"]
    assert len(examples) == 3 and examples[0]["reference"] in ("bin", "lay", "place", "set")
    config = Config.preset("demo", data_dir=shard_dir, **{**SMALL, "epochs": 3})
    assert [row["epoch"] for row in train(config, run_dir, verbose=0)] == [1, 2, 3]


def test_a_run_of_other_settings_is_refused_before_any_clip_is_read(run_dir, shard_dir, monkeypatch):
    monkeypatch.setattr(dataset, "build_datasets", lambda *_, **__: pytest.fail("the data were opened"))
    with pytest.raises(UsageError, match="other settings: rnn_units"):
        train(Config.preset("demo", data_dir=shard_dir, **{**SMALL, "rnn_units": 5}), run_dir, verbose=0)


def test_without_word_head_and_validation(shard_dir, tmp_path):
    plain = {**SMALL, "word_loss_weight": 0.0, "epochs": 1, "data_dir": shard_dir}
    config = Config.preset("demo", **plain, val_fraction=0.0)
    rows = train(config, tmp_path / "run", verbose=0)
    assert {"loss", "cer"} <= set(rows[0]) and "words_loss" not in rows[0]
    assert set(open_reader(tmp_path / "run").model.output) == {"labels"}
    assert "val_cer" in train(Config.preset("demo", **plain), tmp_path / "other", verbose=0)[0]


def test_scores(run_dir, tmp_path):
    grammar = tmp_path / "one.grammar"
    grammar.write_text("bin lay place set\n")
    result = evaluate(run_dir, part="val", progress=False, grammar=str(grammar))
    for name in ("greedy", "beam", "grammar"):
        assert 0 <= result[f"wer_{name}"] <= 2 and len(result[f"cer_{name}_interval"]) == 2
    assert result["clips"] == len(result["examples"]) and result["failed"] == []
    assert all(row["grammar"] in ("bin", "lay", "place", "set") for row in result["examples"])
    assert result["word_start_error_sec"]["words"] == result["clips"]
    assert "WER" in describe_evaluation(result)
    json.dumps(result)
    assert evaluate(run_dir, progress=False)["clips"] == 24
    with pytest.raises(UsageError, match="no part 'test'"):
        evaluate(run_dir, part="test", progress=False)


def test_command_line_and_page(run_dir, shard_dir, capsys):
    arguments = ["evaluate", "lipnet", "--run-dir", str(run_dir), "--data-dir", shard_dir, "--json"]
    assert cli.main(arguments) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["clips"] == 24
    assert cli.main(["report", "--run-dir", str(run_dir)]) == 0
    page = (run_dir / "report.html").read_text(encoding="utf-8")
    assert "How it came about" in page and "Confusion" not in page and "WER (95 % interval)" in page


def test_the_average_is_what_is_kept(shard_dir):
    config = Config.preset("demo", **{**SMALL, "ema_momentum": 0.75})
    model = build_model(config)
    model.compile(**compile_args(config))
    before = model.get_layer("labels_dense").kernel.numpy()
    frames = np.random.default_rng(0).normal(size=(2, 16, 24, 48, 1)).astype(np.float32)
    inputs = {"frames": frames, "frame_count": np.array([16, 16])}
    targets = {"labels": np.array([[1, 2, 3], [4, 5, 0]]), "words": np.zeros((2, 16), int)}
    for _ in range(11):
        model.train_on_batch(inputs, targets)
    early = model.get_layer("labels_dense").kernel.numpy()
    with averaged_weights(model):  # still too much of what training began with
        np.testing.assert_array_equal(model.get_layer("labels_dense").kernel, early)
    model.train_on_batch(inputs, targets)
    own = model.get_layer("labels_dense").kernel.numpy()
    with averaged_weights(model):
        averaged = model.get_layer("labels_dense").kernel.numpy()
    np.testing.assert_array_equal(model.get_layer("labels_dense").kernel, own)
    assert 0 < np.abs(averaged - before).max() < np.abs(own - before).max()


def test_export_reads_the_same(run_dir, tmp_path, monkeypatch):
    out = write_pretrained(run_dir, tmp_path / "systems/lipnet/pretrained")
    assert (out / "weights.npz").stat().st_size < checkpoints.MAX_BYTES
    stored = json.loads((out / "config.json").read_text())
    assert stored["config"]["data_dir"] == "" and "CC BY 4.0" in (out / "README.md").read_text()
    monkeypatch.setattr(runs, "_SYSTEMS", tmp_path / "systems")
    batch = np.random.default_rng(0).normal(size=(2, 16, 24, 48, 1)).astype(np.float32), np.array([16, 13])
    readers = [open_reader(place) for place in (run_dir, "pretrained")]
    for here, there in zip(*(reader.posteriors(*batch) for reader in readers), strict=True):
        np.testing.assert_allclose(np.exp(here.labels), np.exp(there.labels), atol=0.01)
    with pytest.raises(UsageError, match=r"av_words has no pretrained weights. Systems that ship some: lipnet"):
        runs.load("pretrained", "av_words")
    (out / "weights.npz").write_bytes(b"broken")
    with pytest.raises(TfavError, match="not a readable weights file"):
        open_reader("pretrained")


def test_fine_tuning_keeps_the_front_end_and_all_but_the_last_layer(run_dir, shard_dir, tmp_path):
    begun = {"init": str(run_dir), "freeze": "frontend", "tokenizer": "notebook"}
    config = Config.preset("demo", data_dir=shard_dir, **{**SMALL, **begun})
    model = build_model(config)
    said = load_init(model, config)
    assert "labels_dense: new" in said[-1]
    source = open_reader(run_dir).model
    for name in ("conv1", "rnn2", "words"):
        for ours, theirs in zip(model.get_layer(name).weights, source.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert not model.get_layer("conv1").trainable and model.get_layer("rnn1").trainable
    train(config, tmp_path / "tuned", verbose=0)
    tuned = open_reader(tmp_path / "tuned").model
    np.testing.assert_array_equal(tuned.get_layer("norm2").moving_mean, source.get_layer("norm2").moving_mean)
    assert np.abs(tuned.get_layer("rnn1").weights[0] - source.get_layer("rnn1").weights[0]).max() > 0


def test_a_head_that_the_run_had_not_is_new(run_dir):
    config = Config.preset("demo", **SMALL, init=str(run_dir), mel_loss_weight=1.0)
    model = build_model(config)
    head = model.get_layer("sound").kernel.numpy()
    assert load_init(model, config)[1:] == ["sound: new, since the run had no such head"]
    np.testing.assert_array_equal(model.get_layer("sound").kernel, head)
    source = open_reader(run_dir).model
    np.testing.assert_array_equal(model.get_layer("words").kernel, source.get_layer("words").kernel)


def test_weights_that_do_not_fit(run_dir, shard_dir, tmp_path):
    other = Config.preset("demo", **{**SMALL, "rnn_units": 5}, init=str(run_dir))
    with pytest.raises(UsageError, match=r"rnn1/.* should be \[8, 15\], and the run has it as \[8, 12\]"):
        load_init(build_model(other), other)
    gone = Config.preset("demo", **SMALL, init=str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="no weights to begin with"):
        load_init(build_model(gone), gone)
    out = write_pretrained(run_dir, tmp_path / "out")
    wrong = Config.preset("demo", **{**SMALL, "tokenizer": "notebook"}, init=str(out / "weights.npz"))
    with pytest.raises(TfavError, match=r"labels_dense/kernel should be \[8, 41\].*another alphabet"):
        load_init(build_model(wrong), wrong)


def test_muon_leaves_the_first_layer_and_the_heads_to_adamw():
    options = {"filters": (16, 16), "rnn_units": 3, "tokenizer": "compact", "words": "grid", "num_frames": 12}
    config = Config.preset("cpu", **options, crop_size=(16, 16), mel_loss_weight=1.0)
    model = build_model(config)
    optimizer = compile_args(config)["optimizer"]
    left = {v.path for v in model.trainable_variables if v.path.endswith("kernel") and not optimizer._is_matrix(v)}
    assert left == {f"{name}/kernel" for name in ("conv1", "words", "sound", "labels_dense")}


def test_rates():
    def rates(config, *epochs):
        opened = types.SimpleNamespace(config=config, split=NamedSplit([], ["a"], []))
        used = callbacks(config, "unused", opened=opened)
        (schedule,) = [one for one in used if isinstance(one, keras.callbacks.LearningRateScheduler)]
        return [schedule.schedule(epoch) for epoch in epochs]

    assert rates(Config.preset("notebook"), 29, 31) == pytest.approx([1e-4, 1e-4 * np.exp(-0.2)])
    assert rates(Config.preset("cpu", epochs=10), 0, 5) == pytest.approx([3e-3, 1.5e-3])


def test_clips_that_cannot_be_read_are_counted(run_dir, shard_folder, tmp_path):
    clips = {"s1/good": ("bin blue", [], 15), "s1/short": ("bin blue", [], 4)}
    index = shard_folder(clips)
    with pytest.raises(UsageError, match="the prepared crops are 12x20"):
        evaluate(run_dir, index.folder, progress=False)
    index = shard_folder({"s1/short": ("bin blue", [], 4)}, tmp_path / "short")
    with pytest.raises(DataError, match=r"none of 1 clips can be read; first: .*4 frames are too few"):
        evaluate(run_dir, index.folder, progress=False)
