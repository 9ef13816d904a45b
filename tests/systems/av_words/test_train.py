"""A chain from training to its scores and its words: what each run keeps, how it goes on, what is said of clips."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tfav import cli
from tfav.errors import DataError, MediaError, TfavError, UsageError
from tfav.io.encoding import write_video
from tfav.speech.synthetic_speaker import WORDS
from tfav.systems.av_words import predict, stages
from tfav.systems.av_words.config import Config
from tfav.systems.av_words.demo import make_shards
from tfav.systems.av_words.evaluate import describe_evaluation, evaluate, parse_snr, snr_name
from tfav.systems.av_words.export import write_pretrained
from tfav.systems.av_words.networks import NETWORKS
from tfav.systems.av_words.predict import open_recognizer
from tfav.systems.av_words.train import dataset, join_metrics, train, with_classes
from tfav.training import run_folder as runs

NETWORKS["small"] = dataclasses.replace(
    NETWORKS["demo"],
    audio_kernel=32,
    audio_stride=32,
    audio_strides=(1, 1, 1, 1),
    audio_widths=(4, 4, 4, 4),
    audio_dim=6,
    video_widths=(4, 4, 4, 4),
    video_dim=6,
    rnn_units=4,
)
NETWORKS["small gates"] = dataclasses.replace(NETWORKS["small"], gates=True)
SMALL = {
    "network": "small",
    "stage_epochs": (1,) * 8,
    "stages": ("audio_conv", "audio_gru", "video_full", "fusion_gru"),
    "noise": ("white",),
    "said_weight": 0.5,
}


@pytest.fixture(scope="module", autouse=True)
def eager():
    """No graphs: building one for each stage would take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def shard_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_shards(folder, num_sentences=12)
    return str(folder)


@pytest.fixture(scope="module")
def run_dir(shard_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(Config.preset("demo", data_dir=shard_dir, **SMALL), folder, verbose=0)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Pictures of noise, of LRW's size and length, with a tone."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    frames = np.random.default_rng(0).integers(0, 255, (29, 256, 256, 3)).astype(np.uint8)
    return write_video(path, frames, 25, sound=0.5 * np.sin(0.3 * np.arange(19456)).astype(np.float32))


def test_each_stage_is_a_run_of_its_own_and_the_chain_goes_on(run_dir, shard_dir):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4] and [row["stage"] for row in rows] == [1, 2, 6, 7]
    assert all("val_accuracy" in row and "loss" in row for row in rows)
    for name in SMALL["stages"]:
        run = runs.load(run_dir / name)
        assert run.metadata == {"words": list(WORDS), "stage": name} and run.config["num_classes"] == 6
        assert (run_dir / name / "best.keras").exists()
    marks = {name: (run_dir / name / "best.keras").stat().st_mtime_ns for name in SMALL["stages"]}
    longer = {**SMALL, "stage_epochs": (1, 1, 1, 1, 1, 1, 2, 1)}
    rows = train(Config.preset("demo", data_dir=shard_dir, **longer), run_dir, verbose=0)
    assert [(row["stage"], row["stage_epoch"]) for row in rows] == [(1, 1), (2, 1), (6, 1), (7, 1), (7, 2)]
    for name in SMALL["stages"][:-1]:  # done already
        assert (run_dir / name / "best.keras").stat().st_mtime_ns == marks[name]
    with pytest.raises(UsageError, match="other settings: network"):
        train(Config.preset("demo", data_dir=shard_dir, **{**SMALL, "network": "demo"}), run_dir, verbose=0)


def test_a_run_of_other_settings_is_refused_before_any_window_is_cut(run_dir, shard_dir, monkeypatch):
    monkeypatch.setattr(dataset, "build_datasets", lambda *_, **__: pytest.fail("the data were opened"))
    other = {**SMALL, "network": "demo", "stage_epochs": (3,) * 8}
    with pytest.raises(UsageError, match="other settings: network"):
        train(Config.preset("demo", data_dir=shard_dir, **other), run_dir, verbose=0)


def test_a_fusion_with_gates_learns_from_the_validation_part(shard_dir, tmp_path):
    config = Config.preset("demo", data_dir=shard_dir, **{**SMALL, "network": "small gates"}, fusion_split="val")
    rows = train(config, tmp_path / "run", verbose=0)
    assert [row["stage"] for row in rows] == [1, 2, 6, 7]
    assert ["val_accuracy" in row for row in rows] == [True, True, True, False]
    assert list(evaluate(tmp_path / "run", part="val", progress=False)["streams"]) == ["both", "audio", "video"]


def test_a_fusion_with_nothing_to_learn_from_is_refused_before_the_streams_are_trained(shard_dir, tmp_path):
    alone = {"fusion_split": "val", "val_fraction": 0.0}
    with pytest.raises(UsageError, match="fusion_split=val needs a validation part"):
        train(Config.preset("demo", data_dir=shard_dir, **SMALL, **alone), tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


def test_a_stage_that_was_broken_off_goes_on_in_itself(run_dir, shard_dir, tmp_path):
    one = {**SMALL, "stages": ("audio_conv",)}
    train(Config.preset("demo", data_dir=shard_dir, **one), tmp_path / "run", verbose=0)
    (tmp_path / "run" / "audio_conv" / "finished.json").unlink()
    two = {**one, "stage_epochs": (2,) * 8}
    rows = train(Config.preset("demo", data_dir=shard_dir, **two), tmp_path / "run", verbose=0)
    assert [row["stage_epoch"] for row in rows] == [1, 2]  # the first one was not trained again
    with pytest.raises(TfavError, match="its fusion is not trained yet"):
        open_recognizer(tmp_path / "run")
    assert not join_metrics(tmp_path / "nothing")


def test_scores_in_noise(run_dir):
    result = evaluate(run_dir, part="val", snr="clean,0", noise="white", progress=False)
    assert list(result["streams"]) == ["both", "audio", "video"] and result["labels"] == list(WORDS)
    assert [row["snr_db"] for row in result["by_snr"]] == [None, 0.0]
    clean, noisy = result["by_snr"]
    assert clean["streams"]["video"] == noisy["streams"]["video"]  # pictures have no noise
    assert np.sum(result["confusion"]) == result["count"] and result["failed"] == []
    assert result["top1"] == result["streams"]["both"]["top1"] and len(result["top1_interval"]) == 2
    json.dumps(result)
    said = describe_evaluation(result)
    assert "clean" in said and "0 dB" in said and "video" in said
    frozen = evaluate(run_dir, part="val", corrupt_video="black", progress=False)
    assert frozen["variant"] == "black"
    assert frozen["streams"]["audio"]["confusion"] == result["streams"]["audio"]["confusion"]
    alone = evaluate(run_dir / "audio_gru", part="val", progress=False)
    assert list(alone["streams"]) == ["audio"] and alone["top1"] == alone["streams"]["audio"]["top1"]


def test_what_cannot_be_scored(run_dir, shard_dir, tmp_path):
    with pytest.raises(UsageError, match="no test part"):
        evaluate(run_dir, part="test", progress=False)
    with pytest.raises(UsageError, match="black, frozen, blurred"):
        evaluate(run_dir, corrupt_video="red")
    with pytest.raises(UsageError, match="white, pink, babble, folder"):
        evaluate(run_dir, noise="rain")
    for wrong in ("loud", "nan", ["0", "x"]):
        with pytest.raises(UsageError, match="snr"):
            parse_snr(wrong)
    assert parse_snr("clean, 20,-5,clean") == [None, 20.0, -5.0] and parse_snr((0, None)) == [0.0, None]
    assert [snr_name(value) for value in (None, -5.0)] == ["clean", "-5 dB"]
    with pytest.raises(UsageError, match="num_classes is 7, and the data have 6"):
        with_classes(Config.preset("demo", num_classes=7), list(WORDS))
    (tmp_path / "words.txt").write_text("bin\nplace\n")
    with pytest.raises(DataError, match="none of the 2 known ones"):
        config = Config.preset("demo", data_dir=shard_dir, words=str(tmp_path / "words.txt"), **SMALL)
        train(config, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


def test_command_line_and_page(run_dir, capsys):
    arguments = ["evaluate", "av_words", "--run-dir", str(run_dir), "--part", "val", "--json"]
    assert cli.main([*arguments, "--snr", "clean,10,0", "--noise", "pink"]) == 0
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])["by_snr"]) == 3
    assert (run_dir / "evaluation_pink.json").exists()
    assert cli.main([*arguments, "--snr", "clean,0"]) == 0
    assert cli.main(["report", "--run-dir", str(run_dir)]) == 0
    page = (run_dir / "report.html").read_text(encoding="utf-8")
    assert "Accuracy against noise" in page and "Words, the hardest first" in page
    assert (run_dir / "accuracy_by_snr.svg").read_text(encoding="utf-8").startswith("<svg")
    assert cli.main(["evaluate", "lipnet", "--run-dir", str(run_dir), "--part", "val", "--snr", "0"]) == 2
    assert "unknown field --snr" in capsys.readouterr().err


@pytest.fixture(scope="module")
def recognizer(run_dir):
    """The run, with LRW's box, so that no face has to be found."""
    found = open_recognizer(run_dir)
    return found._replace(config=Config.preset("demo", **{**SMALL, "num_classes": 6, "mouth_crop": "fixed"}))


def test_a_clip_is_heard_and_seen(recognizer, clip, tmp_path):
    heard = predict.hear(clip, recognizer.config)
    assert heard.window_sec == (0.0, 1.16) and heard.warnings == []
    assert heard.crops.shape == (29, 24, 40) and heard.frames.shape == (29, 256, 256, 3)
    assert np.abs(heard.sound[2000:17000] - 0.5 * np.sin(0.3 * np.arange(2000, 17000))).max() < 0.1
    row = predict.recognize(recognizer, heard, clip, top=3)
    assert row["used"] == "both" and list(row["streams"]) == ["both", "audio", "video"]
    assert row["text"] == row["ranking"][0]["label"] and len(row["ranking"]) == 3
    later = predict.hear(clip, recognizer.config, at=1.0)
    assert later.window_sec == (0.44, 1.6) and "beyond the clip" in later.warnings[0]
    np.testing.assert_array_equal(later.crops[0], heard.crops[11])
    assert (later.crops[-1] == heard.crops[-1]).all() and not later.sound[-4000:].any()
    with pytest.raises(UsageError, match=r"1\.16 s long"):
        predict.hear(clip, recognizer.config, at=2.0)


def test_what_is_missing_falls_back_to_the_other_stream(recognizer, clip, tmp_path):
    frames = np.random.default_rng(1).integers(0, 255, (60, 256, 256, 3)).astype(np.uint8)
    tone = 0.5 * np.sin(0.3 * np.arange(38400)).astype(np.float32)
    cases = {
        "mute.mp4": (frames, None, "video", "no sound track"),
        "silent.mp4": (frames, np.zeros(38400, np.float32), "video", "silent"),
        "small.mp4": (frames[:, :64, :64], tone, "audio", "the fixed mouth crop is made for 256x256"),
        "short.mp4": (frames[:28], tone[:9600], "both", "beyond the clip"),
        "long.mp4": (frames[:30], tone[:19200], "both", ""),
    }
    for name, (pictures, sound, used, words) in cases.items():
        path = write_video(tmp_path / name, pictures, 25, sound=sound)
        row = predict.recognize(recognizer, predict.hear(path, recognizer.config), path)
        assert row["used"] == used, name
        assert words in "; ".join(row["warnings"]), name
    (tmp_path / "tone.wav").write_bytes(predict._wav(tone, 16000))
    heard = predict.hear(tmp_path / "tone.wav", recognizer.config)
    assert heard.crops is None and "no pictures" in heard.warnings[-1]
    assert predict.recognize(recognizer, heard, clip)["used"] == "audio"
    only = recognizer._replace(streams=("video",))
    with pytest.raises(MediaError, match=r"the run knows video only.*no pictures"):
        predict.recognize(only, heard, clip)
    both_gone = write_video(tmp_path / "none.mp4", frames[:, :64, :64], 25)
    with pytest.raises(MediaError, match=r"nothing to recognise a word by.*no sound track.*256x256"):
        predict.hear(both_gone, recognizer.config)


@pytest.mark.parametrize(("lead", "warned"), [(1.0, True), (8.0, False)])
def test_a_guess_is_called_one(recognizer, clip, lead, warned):
    class Model:
        input = ("waveform", "frames")

        def predict_on_batch(self, inputs):
            # Of six words the first leads by so much: 35 %, or all but all.
            return dict.fromkeys(recognizer.streams, lead * np.eye(1, 6))

    heard = predict.hear(clip, recognizer.config)
    row = predict.recognize(recognizer._replace(model=Model()), heard, clip)
    assert row["text"] == recognizer.words[0]
    assert ["has 35%" in line and "6 words" in line for line in row["warnings"]] == [True] * warned


def test_files_and_pages(run_dir, clip, tmp_path, monkeypatch, capsys):
    own = open_recognizer

    def fixed(run_dir, **changes):
        return own(run_dir, mouth_crop="fixed", **changes)

    monkeypatch.setattr(predict, "open_recognizer", fixed)
    (tmp_path / "text.mp4").write_text("no video")
    result = predict.predict_files(run_dir, [clip, tmp_path / "text.mp4"], out=tmp_path / "out", top=2)
    good, bad = result["files"]
    assert "error" in bad and str(tmp_path / "text.mp4") in bad["error"]
    page = (tmp_path / "out" / "clip_words.html").read_text(encoding="utf-8")
    assert good["wrote"] == [str(tmp_path / "out" / "clip_words.html")] and "data:video/mp4;base64," in page
    assert good["text"] in page and "http" not in page and not (tmp_path / "out" / ".clip.mp4").exists()
    assert cli.main(["predict", "av_words", "--run-dir", str(run_dir), str(clip), "--out", str(tmp_path / "cli")]) == 0
    assert good["text"] in capsys.readouterr().out


def test_what_is_shipped_says_the_same(run_dir, tmp_path, monkeypatch):
    scores = evaluate(run_dir, part="val", snr="clean,-5", noise="white", progress=False)
    (run_dir / "evaluation.json").write_text(json.dumps(scores))
    out = write_pretrained(run_dir, tmp_path / "systems/av_words/pretrained")
    card = (out / "README.md").read_text()
    noisy = scores["by_snr"][1]["streams"]["audio"]["top1"]
    assert f"- White at -5 dB: right of {scores['count']} words" in card and f"audio {noisy:.1%} (" in card
    stored = json.loads((out / "config.json").read_text())
    assert stored["config"]["data_dir"] == "" and stored["metadata"]["words"] == list(WORDS)
    monkeypatch.setattr(runs, "_SYSTEMS", tmp_path / "systems")
    rng = np.random.default_rng(0)
    inputs = {
        "waveform": rng.normal(size=(2, 19456)).astype(np.float32),
        "frames": rng.normal(size=(2, 29, 20, 36, 1)).astype(np.float32),
    }
    here, there = (open_recognizer(place).probabilities(inputs) for place in (run_dir, "pretrained"))
    for name in ("both", "audio", "video"):
        np.testing.assert_allclose(here[name], there[name], atol=0.01)
    begun = Config.preset("demo", **{**SMALL, "num_classes": 6, "init": "pretrained", "stages": ("audio_gru",)})
    stages.check_order(tmp_path, begun)  # frozen at what is shipped
    model = stages.build_stage(begun, "audio_gru")
    assert "variables" in stages.begin(model, "audio_gru", tmp_path, begun)[0]
    front = next(w for w in model.weights if w.path == "audio.resnet18.fc/kernel").numpy()
    trained = next(w for w in open_recognizer(run_dir).model.weights if w.path == "audio.resnet18.fc/kernel").numpy()
    np.testing.assert_allclose(front, trained, atol=1e-2)
