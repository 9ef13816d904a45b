"""A person's video: found, resampled, windowed, read, captioned; what cannot be read says what was seen."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfav import cli
from tfav.errors import MediaError, UsageError
from tfav.io.encoding import write_video
from tfav.io.faces import Face
from tfav.io.mouth import CLOSE
from tfav.io.video import probe, read_video
from tfav.speech import subtitles, synthetic_speaker
from tfav.speech.grammar import grammar_of
from tfav.speech.transcripts import TimedWord
from tfav.systems.lipnet import decoding
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.model import build_model
from tfav.systems.lipnet.predict import (
    MIN_POSTERIOR,
    FaceDetector,
    Mouth,
    find_mouth,
    open_predictor,
    predict_files,
    read_mouth,
)
from tfav.systems.lipnet.reader import Posteriors, Reader, stitched_posteriors, window_starts
from tfav.training import run_folder as runs

TINY = {
    "filters": (2, 3, 4),
    "rnn_units": 4,
    "num_frames": 20,
    "ema_momentum": 0.0,
}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """An untrained model of the notebook's box, which needs no face."""
    config = Config.preset("demo", **{**TINY, "mouth_crop": "fixed", "crop_size": (40, 100)})
    folder = tmp_path_factory.mktemp("runs") / "run"
    runs.start(folder, "lipnet", config.to_dict(), {})
    build_model(config).save(folder / "best.keras")
    return folder


def reader(**changes):
    config = Config.preset("demo", **{**TINY, **changes})
    return Reader(config, build_model(config), grammar_of(config.grammar, config.symbols()))


@pytest.mark.parametrize(
    ("length", "expected"),
    [(75, [0]), (12, [0]), (76, [0, 1]), (125, [0, 50]), (130, [0, 28, 55])],
)
def test_windows_cover_all_and_overlap(length, expected):
    assert window_starts(length, 75) == expected


def test_stitching_takes_each_frame_from_further_inside():
    class Numbered(Reader):
        def posteriors(self, frames, frame_count):
            # Posteriors that carry the place within the window.
            places = np.arange(20.0)[:, None]
            return [Posteriors(places[:count], places[:count]) for count in frame_count]

    config = Config.preset("demo", **TINY)
    crops = np.zeros((45, 56, 104), np.uint8)
    labels, words = stitched_posteriors(Numbered(config, None, None), crops)
    assert labels.shape == words.shape == (45, 1)
    assert labels[:5, 0].tolist() == [0, 1, 2, 3, 4] and labels[-1, 0] == 19
    assert labels[5:40, 0].min() >= 4 and labels[5:40, 0].max() <= 15
    short = stitched_posteriors(reader(), crops[:12])
    assert short.labels.shape == (12, 28) and short.words.shape == (12, 52)


def test_mean_posterior_counts_symbols_once():
    probs = np.full((6, 3), 0.05)
    for frame, (klass, value) in enumerate([(0, 0.9), (1, 0.6), (1, 0.8), (0, 0.9), (2, 0.4), (2, 0.5)]):
        probs[frame, klass] = value
    value, rate = decoding.mean_posterior(np.log(probs), 0)
    assert value == pytest.approx((0.8 + 0.5) / 2) and rate == pytest.approx(2 * 25 / 6)
    assert decoding.mean_posterior(np.log(probs[[0, 3]]), 0) == (0.0, 0.0)


def test_out_of_domain_is_said(make_video):
    read = read_mouth(reader(), Mouth(np.zeros((20, 56, 104), np.uint8), 0.0, 0.8, []))
    assert read.posterior < MIN_POSTERIOR and "out of the model's domain" in read.warnings[-1]
    assert len(read.readings["grammar"].split()) in (0, 6)
    long = read_mouth(reader(), Mouth(np.zeros((30, 56, 104), np.uint8), 0.0, 1.2, []))
    assert "grammar" not in long.readings and "read without the grammar" in long.warnings[0]


def test_command_line(run_dir, make_video, tmp_path, capsys):
    film = make_video(tmp_path / "film é.mp4", 36, fps=50.0)
    arguments = ["predict", "lipnet", "--run-dir", run_dir, film, tmp_path / "gone.mp4", "--out", tmp_path / "out"]
    assert cli.main([*map(str, arguments), "--json"]) == 1
    said = capsys.readouterr()
    row, gone = json.loads(said.out.splitlines()[-1])["files"]
    assert "filmed at 50 frames a second, read at 25" in said.err and "gone.mp4" in gone["error"]
    assert {path.rsplit(".", 1)[1] for path in row["wrote"]} == {"srt", "vtt", "align", "TextGrid", "gif"}
    assert len(read_video(tmp_path / "out/film é_mouth.gif").frames) > 1
    assert row["in_domain"] is False and set(row["readings"]) == {"greedy", "beam", "grammar"}
    burnt = tmp_path / "subtitles.mp4"
    arguments = ["predict", "lipnet", "--run-dir", run_dir, film, "--captions", burnt, "--out", tmp_path / "out"]
    assert cli.main([*map(str, arguments), "--grammar", "none"]) == 0
    assert probe(burnt).num_frames == 36


def test_a_run_opened_once_tells_how_far_it_is_and_can_be_stopped(run_dir, make_video, tmp_path):
    film = make_video(tmp_path / "film.mp4", 36)
    predict, heard = open_predictor(run_dir), []
    row = predict(film, out=tmp_path / "out", progress=lambda share, what: heard.append((share, what)))
    expected = predict_files(run_dir, [film], out=tmp_path / "other")["files"][0]
    assert [Path(path).name for path in row.pop("wrote")] == [Path(path).name for path in expected.pop("wrote")]
    assert row == expected
    shares = [share for share, _ in heard]
    assert shares == sorted(shares) and len(shares) > 36
    assert list(dict.fromkeys(what for _, what in heard)) == [
        "Cutting out the mouth",
        "Reading the lips",
        "Writing subtitles",
        "Drawing captions",
    ]

    def stop(share, what):
        if share > 0.3:
            raise KeyError("enough")

    with pytest.raises(KeyError):
        predict(film, out=tmp_path / "none", progress=stop)
    assert not (tmp_path / "none").exists()


def test_captions_mark_what_is_being_said():
    words = [TimedWord("bin", 0.0, 0.4), TimedWord("blue", 0.4, 0.8)]
    frame = np.full((90, 160, 3), 200, np.uint8)
    early, late = (subtitles.caption(frame, words, sec) for sec in (0.1, 0.5))
    assert (early[:70] == 200).all() and (early[-10:] != late[-10:]).any()
    yellow = [np.argwhere((p[..., 0] > 200) & (p[..., 2] < 120))[:, 1].mean() for p in (early, late)]
    assert yellow[0] < 80 < yellow[1]
    assert subtitles.draw_mouth(np.zeros((2, 56, 104), np.uint8), [], 0.0)[0].shape == (196, 312, 3)


def test_what_cannot_be_read(run_dir, tmp_path, make_video, shared_data, capsys):
    small = write_video(tmp_path / "small.mp4", np.full((20, 64, 64, 3), 90, np.uint8), 25)
    assert "this video is 64x64" in predict_files(run_dir, [small])["files"][0]["error"]
    short = make_video(tmp_path / "short.mp4", 5)
    assert "5 frames of a mouth are too few" in predict_files(run_dir, [short])["files"][0]["error"]
    with pytest.raises(UsageError, match=r"one .mp4 for one video"):
        predict_files(run_dir, [small, short], captions="a.mp4")
    for arguments in (["cnn_lstm", "--face", "1"], ["next_frame", "--captions", "a.mp4"]):
        assert cli.main(["predict", *arguments, "--run-dir", "r", "v.mp4"]) == 2
        assert "unknown field --" in capsys.readouterr().err
    detector = FaceDetector(shared_data("weights/face_detection_yunet_2023mar.onnx"))
    with pytest.raises(MediaError, match="no face was found in 20 frames of 360x288"):
        find_mouth(make_video(tmp_path / "grey.mp4", 20), detector)


def test_of_two_people_the_one_who_speaks_is_read_wherever_they_stand(tmp_path):
    speaking = list(synthetic_speaker.speak("bin blue", seed=1))
    silent = [synthetic_speaker.draw_face(0.0, 0.0)] * len(speaking)
    for pair, number in (((silent, speaking), 2), ((speaking, silent), 1)):
        frames = [np.concatenate(faces, axis=1) for faces in zip(*pair, strict=True)]
        path = write_video(tmp_path / f"{number}.mp4", frames, synthetic_speaker.FPS)
        mouth = find_mouth(path, detect_two)
        assert mouth.warnings[0].startswith(f"2 faces, number {number} is read: 1 at (180, 187)")
        assert len(mouth.crops) == len(speaking)
    other = find_mouth(path, detect_two, face=2, box=CLOSE)
    assert "number 2 is read" in other.warnings[0]
    assert mouth.crops.shape[1:] == (56, 104) and other.crops.shape[1:] == (64, 96)


def detect_two(frame):
    """Knows where two drawn faces stand side by side."""
    middle = np.array([synthetic_speaker.FACE_WIDTH / 2, synthetic_speaker.FACE_HEIGHT / 2 - 5])
    to_mouth, to_eyes, to_other = np.array([[0, 48], [0, -12], [synthetic_speaker.FACE_WIDTH, 0]])
    return [Face(place + to_mouth, place + to_eyes, 52.0, (0, 0, 1, 1), 0.9) for place in (middle, middle + to_other)]


def test_a_real_face_at_another_size_rate_and_orientation(tmp_path, shared_data):
    detector = FaceDetector(shared_data("weights/face_detection_yunet_2023mar.onnx"))
    path = sorted(shared_data("grid/s1").glob("*.mp4"))[0]
    mouth = find_mouth(path, detector)
    assert mouth.crops.shape == (75, 56, 104) and mouth.start_sec == 0
    frames = read_video(path).frames
    doubled = write_video(tmp_path / "fast.mp4", np.repeat(frames, 2, axis=0)[:, :, 40:320], 50)
    other = find_mouth(doubled, detector)
    assert other.crops.shape == (75, 56, 104) and "filmed at 50" in other.warnings[0]
    assert np.corrcoef(mouth.crops[40].ravel(), other.crops[40].ravel())[0, 1] > 0.8
    with pytest.raises(UsageError, match="there is no face 3"):
        find_mouth(path, detector, face=3)


def test_how_sure_the_model_is_of_known_posteriors():
    """Each symbol counts once, by its surest frame; the blank never does."""
    blank = 3
    path = [3, 0, 0, 3, 0, 1, 1, 3]  # a, a again behind a blank, b
    sure = [0.99, 0.5, 0.9, 0.99, 0.6, 0.7, 0.4, 0.99]
    rows = np.array([[(1 - p) / 3] * 4 for p in sure])
    rows[np.arange(8), path] = sure
    mean, a_second = decoding.mean_posterior(np.log(rows), blank)
    assert mean == pytest.approx((0.9 + 0.6 + 0.7) / 3) and a_second == pytest.approx(3 * 25 / 8)
    assert decoding.mean_posterior(np.log(rows[[0, 3]]), blank) == (0.0, 0.0)
    first = decoding.mean_posterior(np.log(rows[1:3]), blank)
    assert first == pytest.approx((0.9, 25 / 2))  # one that begins with the first frame counts too
