"""Made speech in other languages: from transcripts of each kind to a model that reads what it was not trained on."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tfav import cli
from tfav.data import shards
from tfav.data.example_files import Record
from tfav.errors import DataError, UsageError
from tfav.io.encoding import write_video
from tfav.speech import self_alignment
from tfav.speech.language_model import estimate
from tfav.speech.self_alignment import label_frames
from tfav.speech.synthetic_speaker import draw_mouths, mouth_letters
from tfav.speech.text_normalization import normalize_text
from tfav.speech.tokenizer import Tokenizer
from tfav.speech.transcripts import read_transcript
from tfav.systems.lipnet import dataset, decoding, predict
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.dataset import build_dataset
from tfav.systems.lipnet.evaluate import evaluate
from tfav.systems.lipnet.reader import Posteriors, open_reader
from tfav.systems.lipnet.train import train

SIZE = 28, 56
SPANISH = ("mañana", "será", "otro", "día", "niño", "señor", "buenos", "sí")
PAUSE = 6
SMALL = {
    "crop_size": (24, 48),
    "filters": (8, 16, 24),
    "rnn_units": 24,
    "ema_momentum": 0.0,
    "val_fraction": 0.25,
    "tokenizer": "characters",
    "words": "learnt",
    "times": "auto",
    "grammar": "none",
    "speed_perturb": 0.0,
    "frame_drop_rate": 0.0,
}


def make_clips(folder, vocabulary, count=40, *, words=2, frames=2, times=False, seed=0, space=" "):
    """Mouths that say words in free order, so many frames a letter."""
    names = {}
    rng = np.random.default_rng(seed)
    for number in range(count):
        names[f"ana/{number:03}"] = [str(word) for word in rng.choice(vocabulary, words)]
    length = max(len(space.join(said)) for said in names.values()) * frames + 2 * PAUSE

    def make(name):
        rng = np.random.default_rng([seed, int(name[4:])])
        said = names[name]
        spoken = "".join(letter * frames for letter in space.join(said))
        start = int(rng.integers(PAUSE // 2, length - len(spoken) - PAUSE // 2 + 1))
        pictures = draw_mouths((" " * start + spoken).ljust(length), SIZE, rng)
        at, spans = start, []
        for word in said:
            spans.append((at / 25, (at + frames * len(word)) / 25))
            at += frames * (len(word) + len(space))
        words = (tuple(said), np.array(spans, np.float32)) if times else ((), np.zeros((0, 2), np.float32))
        return Record(name, pictures, 25.0, space.join(said), *words)

    settings = {"system": "lipnet", "format": dataset.RECORD_FORMAT, "mouth_crop": "tracked", "fps": 25.0}
    shards.write_shards(folder, list(names), make, settings=settings)
    return length


def config_of(folder, length, **changes):
    return Config.preset("demo", **{**SMALL, "data_dir": str(folder), "num_frames": length, **changes})


SCRIPTS = {
    "Cyrillic": ("привет", "мама", "ёлка"),
    "Greek": ("καλημέρα", "ναι", "όχι"),  # noqa: RUF001
    "Devanagari": ("नमस्ते", "हाँ", "पानी"),
    "Arabic": ("سلام", "نعم", "ماء"),
    "Hangul": ("안녕", "네", "물"),
    "German": ("straße", "über", "ja"),
}


@pytest.mark.parametrize("script", [*SCRIPTS, "Chinese"])
def test_symbols_of_any_script_are_learnt_and_come_back(tmp_path, script):
    vocabulary, space = (("你好", "水", "谢谢"), "") if script == "Chinese" else (SCRIPTS[script], " ")
    length = make_clips(tmp_path, vocabulary, 12, frames=3, space=space)
    data = dataset.open_data(config_of(tmp_path, length, min_word_count=2))
    symbols = data.config.symbols()
    assert set(symbols.symbols) == {" ", *"".join(vocabulary)} and symbols.blank == 0
    for inputs, targets in data.dataset("train").take(1):
        read = [symbols.decode(row) for row in targets["labels"].numpy()]
        assert all(set(text.replace(" ", "")) <= set("".join(vocabulary)) and text for text in read)
        assert inputs["frames"].shape[1] == length
    if space:
        assert set(data.config.known_words()) <= set(vocabulary)
        labels = np.concatenate(list(data.own_labels.values()))
        assert {0, 1} <= set(labels) <= {-1, *range(len(data.config.known_words()) + 1)}


def test_what_is_rare_is_told_and_left_out_and_a_run_keeps_what_it_learnt(tmp_path, capsys):
    length = make_clips(tmp_path / "shards", SPANISH, 24)
    config = config_of(tmp_path / "shards", length, min_count=5, min_word_count=3, epochs=1)
    whole = dataset.open_data(dataclasses.replace(config, min_count=1)).config.symbols().symbols
    capsys.readouterr()
    data = dataset.open_data(config)
    kept = data.config.symbols().symbols
    rare = set(whole) - set(kept)
    said = capsys.readouterr().out
    assert rare and all(repr(symbol) in said for symbol in rare) and "left out" in said
    train(config, tmp_path / "run", verbose=0)
    stored = json.loads((tmp_path / "run/config.json").read_text(encoding="utf-8"))
    assert stored["metadata"]["symbols"] == kept and stored["config"]["tokenizer"] == "characters"
    reader = open_reader(tmp_path / "run")
    assert reader.config.symbols().symbols == kept
    assert reader.config.known_words() == data.config.known_words() == tuple(stored["metadata"]["words"])
    assert reader.grammar is None  # GRID's own is for who has learnt GRID
    result = evaluate(tmp_path / "run", part="val", progress=False)
    said = "".join(row["reference"] for row in result["examples"])
    assert result["unseen_symbols"] == {symbol: said.count(symbol) for symbol in said if symbol in rare}
    with pytest.raises(UsageError, match="other symbols"):
        train(dataclasses.replace(config, min_count=1), tmp_path / "run", verbose=0)


def test_words_as_symbols_and_lists_in_files(tmp_path):
    length = make_clips(tmp_path / "shards", SPANISH[:4], 16)
    data = dataset.open_data(config_of(tmp_path / "shards", length, tokenizer="words", min_word_count=1))
    assert data.config.symbols().symbols == tuple(sorted(SPANISH[:4]))
    assert data.config.symbols().decode(data.config.symbols().encode("otro día mañana")) == "otro día mañana"
    (tmp_path / "symbols.txt").write_text("<space>\n" + "\n".join(sorted(set("".join(SPANISH)))), encoding="utf-8")
    (tmp_path / "words.txt").write_text("otro\ndía\n", encoding="utf-8")
    lists = {"tokenizer": str(tmp_path / "symbols.txt"), "words": str(tmp_path / "words.txt")}
    data = dataset.open_data(config_of(tmp_path / "shards", length, **lists))
    assert data.config.known_words() == ("otro", "día") and "ñ" in data.config.symbols().symbols
    with pytest.raises(UsageError, match="tokenizer must be one of characters, words, notebook, compact, or a file"):
        config_of(tmp_path / "shards", length, tokenizer="runes").symbols()
    (tmp_path / "twice.txt").write_text("a\na\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds 'a' twice"):
        config_of(tmp_path / "shards", length, tokenizer=str(tmp_path / "twice.txt")).symbols()


def test_without_frequent_words_or_times_there_is_no_word_head(tmp_path):
    length = make_clips(tmp_path / "shards", SPANISH, 16)
    for changes in ({"min_word_count": 1000}, {"times": "none"}, {"times": "given"}, {"words": "none"}):
        opened = dataset.open_data(config_of(tmp_path / "shards", length, **changes))
        assert opened.config.word_loss_weight == 0 and not opened.own_labels
        assert set(next(iter(opened.dataset("train")))[1]) == {"labels"}


def test_word_times_are_found_from_the_text_and_kept(tmp_path, capsys, monkeypatch):
    length = make_clips(tmp_path / "shards", SPANISH, 60, times=True, words=3)
    config = config_of(tmp_path / "shards", length, times="self", min_word_count=1, val_fraction=0.0)
    config = dataclasses.replace(config, cache_dir=str(tmp_path / "cache"))
    data = dataset.open_data(config)
    entries = shards.in_stored_order(data.index, data.split.train)
    truth = {entry.id: label_frames(entry, "given", data.config.known_words()) for entry in entries}
    right = np.mean([np.mean(data.own_labels[name] == labels) for name, labels in truth.items()])
    monkeypatch.setattr(self_alignment, "_ROUNDS", 0)
    flat = self_alignment.find_labels(data.index, entries, data.config.known_words())
    at_first = np.mean([np.mean(labels == truth[entry.id]) for entry, labels in zip(entries, flat, strict=True)])
    assert at_first < 0.87 and right > 0.9
    assert "finding when the words of 60 clips are said" in capsys.readouterr().out
    again = dataset.open_data(config).own_labels  # as a training that goes on finds them
    assert all(np.array_equal(labels, data.own_labels[name]) for name, labels in again.items())
    assert not capsys.readouterr().out
    # What is trained on, before it is augmented, are these labels.
    rows = {tuple(np.pad(labels, (0, length - len(labels)), constant_values=-1)) for labels in again.values()}
    batches = build_dataset(data.config, data.index, data.split.train, own_labels=again)
    assert {tuple(row) for _, targets in batches for row in targets["words"].numpy()} == rows
    given = dataset.open_data(dataclasses.replace(config, times="auto"))
    assert not given.own_labels  # all have times of their own


# Decoding -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_of_words(tmp_path_factory):
    """A run that was not trained, with its data."""
    folder = tmp_path_factory.mktemp("run")
    length = make_clips(folder / "shards", SPANISH, 16)
    config = config_of(
        folder / "shards", length, epochs=1, filters=(2, 3, 4), rnn_units=4, min_word_count=1, min_count=1
    )
    train(config, folder / "run", verbose=0)
    return folder / "run"


def say_of(text, symbols, frames=2, sure=0.6, other=None):
    """Posteriors of a text, each letter so many frames, a blank between; `other` is nearly as likely in its place."""
    rows = []
    for place, letter in enumerate(text):
        row = np.full(symbols.num_classes, 1e-3)
        row[symbols.encode(letter)[0]] += sure
        if other is not None:
            row[symbols.encode(other[place])[0]] += 1.02 * sure if other[place] != letter else 0
        blank = np.full(symbols.num_classes, 1e-3)
        blank[symbols.blank] += 1
        rows += [row / row.sum()] * (frames - 1) + [blank / blank.sum()]
    return np.log(rows)


def test_a_language_model_and_hot_words_change_what_is_read(run_of_words, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("¡Mañana será otro día!\notro día\nbuenos días señor\n" * 3, encoding="utf-8")
    assert cli.main(["lm", str(text), "--out", str(tmp_path / "a.arpa")]) == 0
    assert "9 sentences" in capsys.readouterr().out
    (tmp_path / "hot.txt").write_text("dío 5\n", encoding="utf-8")
    symbols = open_reader(run_of_words).config.symbols()
    posteriors = Posteriors(say_of("otro día", symbols, other="otro dío"), None)
    assert open_reader(run_of_words).read(posteriors) == {"greedy": "otro dío", "beam": "otro dío"}
    with_model = open_reader(run_of_words, lm=tmp_path / "a.arpa")
    assert with_model.read(posteriors)["lm"] == "otro día"
    hot = open_reader(run_of_words, lm=tmp_path / "a.arpa", hot_words=tmp_path / "hot.txt")
    assert hot.read(posteriors)["lm"] == "otro dío"
    assert cli.main(["lm", str(text), "--tokens", "characters", "--order", "5", "--out", str(tmp_path / "c.arpa")]) == 0
    assert open_reader(run_of_words, lm=tmp_path / "c.arpa").read(posteriors)["lm"] == "otro día"
    (tmp_path / "foreign.txt").write_text("привет мир\n", encoding="utf-8")
    cli.main(["lm", str(tmp_path / "foreign.txt"), "--out", str(tmp_path / "f.arpa")])
    with pytest.raises(DataError, match="no word that the tokenizer can spell"):
        open_reader(run_of_words, lm=tmp_path / "f.arpa")


def test_the_weight_of_a_language_model_is_chosen_on_val_and_kept(run_of_words, tmp_path, monkeypatch, capsys):
    (tmp_path / "t.txt").write_text("otro día\n", encoding="utf-8")
    cli.main(["lm", str(tmp_path / "t.txt"), "--out", str(tmp_path / "t.arpa")])
    tuned = []
    monkeypatch.setattr(
        decoding,
        "tune",
        lambda clips, symbols, language: tuned.append(len(clips)) or (language._replace(weight=1.5), 0.1),
    )
    for _ in range(2):
        result = evaluate(run_of_words, part="val", progress=False, lm=tmp_path / "t.arpa")
        assert "wer_lm" in result
    assert tuned == [result["clips"]] and "weight 1.5" in capsys.readouterr().out
    assert open_reader(run_of_words, lm=tmp_path / "t.arpa").language.weight == 1.5


def test_tuning_takes_what_leaves_the_fewest_words_wrong(tmp_path):
    symbols = Tokenizer("made", "adio ", num_classes=6, drops_unknown=True)
    model = estimate(["dia oda"], 2)
    clips = [("dia", say_of("dia", symbols, other="dio")), ("dia oda", say_of("dia oda", symbols, other="dio oda"))]
    settings, errors = decoding.tune(clips, symbols, decoding.LanguageSettings(model))
    assert errors == 0
    read = decoding.decode_beam(clips[0][1], symbols, decoding.scorer_of(settings, symbols))
    assert read == "dia"
    assert decoding.decode_beam(clips[0][1], symbols, None) == "dio"


# Aligning -----------------------------------------------------------------------------------------------------------


def test_align_writes_the_times_of_known_words(run_of_words, tmp_path, monkeypatch, capsys):
    reader = open_reader(run_of_words)
    symbols, frames = reader.config.symbols(), 3
    said = say_of("otro día", symbols, frames=frames, sure=1.0)
    monkeypatch.setattr(predict, "stitched_posteriors", lambda reader, crops: Posteriors(said, None))
    mouth = predict.Mouth(np.zeros((len(said), 4, 4), np.uint8), 0.4, 2.0, [])
    monkeypatch.setattr(predict, "find_mouth", lambda *_, **options: mouth)
    monkeypatch.setattr(predict, "detector_file", lambda: "")
    monkeypatch.setattr(predict, "FaceDetector", lambda file: None)
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "a.txt").write_text("¡Otro DÍA!", encoding="utf-8")
    (tmp_path / "c.txt").write_text("mañana mañana mañana mañana mañana mañana", encoding="utf-8")
    arguments = [*(str(tmp_path / name) for name in ("a.mp4", "b.mp4", "c.mp4")), "--out", str(tmp_path / "out")]
    assert cli.main(["align", "--run-dir", str(run_of_words), *arguments]) == 1
    told = capsys.readouterr().out
    assert "b.mp4" in told and "no transcript of its name" in told and "frames are too few" in told
    (utterance,) = read_transcript(tmp_path / "out/a.align").utterances
    for kind in ("align", "TextGrid"):  # what is written can be read again
        (again,) = read_transcript(tmp_path / f"out/a.{kind}").utterances
        assert again.text == utterance.text == "otro día"
        starts = [word.start_sec for word in again.words]
        assert starts == pytest.approx([0.4, 0.4 + 5 * frames / 25], abs=2 / 25)


def test_another_sentence_than_is_said_scores_far_lower(run_of_words, tmp_path, monkeypatch):
    said = say_of("otro día", open_reader(run_of_words).config.symbols(), sure=0.9)
    monkeypatch.setattr(predict, "stitched_posteriors", lambda reader, crops: Posteriors(said, None))
    mouth = predict.Mouth(np.zeros((len(said), 4, 4), np.uint8), 0.0, 2.0, [])
    monkeypatch.setattr(predict, "find_mouth", lambda *_, **options: mouth)
    monkeypatch.setattr(predict, "detector_file", lambda: "")
    monkeypatch.setattr(predict, "FaceDetector", lambda file: None)
    score = predict.open_scorer(run_of_words)
    assert score("a.mp4", "¡Otro DÍA!") == pytest.approx(0, abs=0.1)
    assert score("a.mp4", "otro otro") < -1 > score("a.mp4", "día")
    with pytest.raises(DataError, match=r"a\.mp4: 41 known symbols do not fit into its"):
        score("a.mp4", "mañana mañana mañana mañana mañana mañana")
    with pytest.raises(DataError, match=r"a\.mp4: 0 known symbols"):
        score("a.mp4", "♥")


# The guide ----------------------------------------------------------------------------------------------------------

GUIDE = Path(__file__).resolve().parents[3] / "docs/lip-reading-in-your-language.md"
QUICK = "--preset demo --tokenizer characters --words learnt --min-count 1 --min-word-count 1 --epochs 1 --rnn-units 4"


def test_the_guide_does_what_it_says(shared_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFAV_FACE_DETECTOR", str(shared_data("weights/face_detection_yunet_2023mar.onnx")))
    monkeypatch.chdir(tmp_path)
    Path("recordings/ana").mkdir(parents=True)
    texts = ["¡Buenos días!", "Otro día.", "Buenos días, otro…", "¡Sí!", "Sí, otro día", "Buenos…"]
    for number, text in enumerate(texts, 1):
        letters = "".join(letter * 2 for letter in normalize_text(text).text)
        write_video(f"recordings/ana/{number:04}.mp4", mouth_letters(f"    {letters}    ".ljust(30)), 25)
        Path(f"recordings/ana/{number:04}.txt").write_text(text, encoding="utf-8")
    Path("sentences.txt").write_text("\n".join(texts), encoding="utf-8")
    commands = [line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith("tfav ")]
    assert len(commands) == 8
    for command in commands:
        command = command.replace("--preset cpu", f"{QUICK} --val-fraction 0.5").replace(
            "num-frames 150", "num-frames 60"
        )
        assert cli.main(command.split()[1:]) == 0, command
    said = capsys.readouterr().out
    assert (
        "left out" not in said
        and "6 utterances" in said
        and "WER" in said
        and "wrote language.arpa: 6 sentences" in said
    )
    (aligned,) = read_transcript("runs/ana/alignments/0001.align").utterances
    assert aligned.text == "buenos días"
