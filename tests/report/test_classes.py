"""The page of a classifier: which videos stand where, beside which words, and whose picture."""

import base64
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from tfav.metrics import classification
from tfav.report import classes
from tfav.report.video_clips import gif_data_url
from tfav.training import run_folder as runs

LABELS = ["up", "down", "<left>"]


@pytest.fixture
def result(tmp_path):
    """Eight videos as folders of one-coloured frames, brighter from video to video; four are scored wrongly."""
    rows = [  # label, probability of each class
        ("up", (0.7, 0.2, 0.1)),
        ("up", (0.3, 0.6, 0.1)),  # wrong by .6
        ("up", (0.05, 0.05, 0.9)),  # wrong by .9
        ("down", (0.2, 0.5, 0.3)),
        ("down", (0.8, 0.1, 0.1)),  # wrong by .8
        ("<left>", (0.1, 0.1, 0.8)),
        ("<left>", (0.4, 0.3, 0.3)),  # wrong by .4
        ("<left>", (0.2, 0.2, 0.6)),
    ]
    probabilities = np.array([row for _, row in rows])
    scored = classification.evaluate(np.array([LABELS.index(label) for label, _ in rows]), probabilities, LABELS)
    scored["videos"] = []
    for number, (label, row) in enumerate(rows):
        folder = tmp_path / f"video{number}"
        folder.mkdir()
        for frame in range(2):
            cv2.imwrite(str(folder / f"frame_{frame}.png"), np.full((30, 40, 3), 30 * number, np.uint8))
        order = np.argsort(-np.array(row), kind="stable")
        ranks = [{"label": LABELS[index], "probability": row[index]} for index in order]
        scored["videos"].append({"path": str(folder), "label": label, "ranking": ranks})
    runs.start(tmp_path / "run", "cnn_lstm", {}, {})
    return scored | {"failed": []}, tmp_path / "run"


def cards(page):
    """Of each card: whether right, the number of the video by the brightness of its picture, label, ranks."""
    found = []
    pattern = r'<div class="card (\w+)"><img src="data:image/gif;base64,([^"]+)"[^>]*><b>([^<]*)</b><br>(.*?)</div>'
    for side, picture, label, ranks in re.findall(pattern, page):
        with open_gif(picture) as gif:
            number = round(np.asarray(gif.convert("L")).mean() / 30)
        found.append((side, number, label, ranks.split("<br>")[:-1]))
    return found


def open_gif(encoded):
    import io

    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def test_worst_mistakes_are_the_surest_first_each_with_its_own_picture(result):
    scored, run_dir = result
    worst = cards(dict(classes.sections(run_dir, scored))["Worst mistakes"])
    assert [number for _, number, *_ in worst] == [2, 4, 1, 6]
    assert {side for side, *_ in worst} == {"wrong"}
    assert [label for *_, label, _ in worst] == ["up", "down", "up", "&lt;left&gt;"]
    assert worst[1][3] == ["up 80 %", "down 10 %", "&lt;left&gt; 10 %"]


def test_only_so_many_mistakes_are_shown_and_none_where_there_are_none(result):
    scored, run_dir = result
    wrong = [video for video in scored["videos"] if video["ranking"][0]["label"] != video["label"]]
    many = dict(classes.sections(run_dir, scored | {"videos": wrong * 3}))
    assert [number for _, number, *_ in cards(many["Worst mistakes"])] == [2, 2, 2, 4, 4, 4]
    right = [video for video in scored["videos"] if video not in wrong]
    assert cards(dict(classes.sections(run_dir, scored | {"videos": right}))["Worst mistakes"]) == []


def test_examples_are_the_first_of_each_class_right_or_wrong(result):
    scored, run_dir = result
    shown = cards(dict(classes.sections(run_dir, scored))["Examples, the first of each class"])
    assert [(side, number) for side, number, *_ in shown] == [("right", 0), ("right", 3), ("right", 5)]
    turned = dict(classes.sections(run_dir, scored | {"videos": scored["videos"][::-1]}))
    shown = cards(turned["Examples, the first of each class"])
    assert [(side, number) for side, number, *_ in shown] == [("right", 7), ("wrong", 4), ("wrong", 2)]


def test_figures_of_the_page_are_those_of_the_evaluation(result):
    scored, run_dir = result
    found = dict(classes.sections(run_dir, scored | {"part": "val"}))
    assert "50.0 %" in found["Scores"] and "on 8 videos of the val part" in found["Scores"]
    low, high = scored["top1_interval"]
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in found["Scores"]
    cells = re.findall(
        r"<tr><td>(\w+)</td><td>([\d.]+)</td><td>([\d.]+)</td><td>([\d.]+)</td><td>(\d+)</td>", found["Classes"]
    )
    # Of three that are up one was said to be; two were said to be up that are not.
    assert cells[0] == ("up", "0.33", "0.33", "0.33", "3") and cells[1][4] == "2"


def test_a_clip_in_the_page_has_the_colours_of_its_frames(tmp_path):
    frame = np.zeros((30, 60, 3), np.uint8)
    frame[:, :30] = (0, 0, 255)  # OpenCV's order: red on the left, blue on the right
    frame[:, 30:] = (255, 0, 0)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"frame_{number}.png"), frame)
    with open_gif(gif_data_url(tmp_path).split(",")[1]) as gif:
        assert gif.size == (160, 80) and gif.n_frames in (1, 3)
        pixels = np.asarray(gif.convert("RGB")).astype(int)
    np.testing.assert_allclose(pixels[40, 20], (255, 0, 0), atol=8)
    np.testing.assert_allclose(pixels[40, 140], (0, 0, 255), atol=8)


@pytest.mark.parametrize(("size", "shown"), [((2000, 2), (2, 320)), ((2, 2000), (160, 2)), ((90, 160), (160, 90))])
def test_a_clip_of_any_shape_has_a_picture(tmp_path, size, shown):
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"frame_{number}.png"), np.full((*size, 3), 90 * number, np.uint8))
    with open_gif(gif_data_url(tmp_path).split(",")[1]) as gif:
        assert gif.size == shown


def test_a_clip_that_cannot_be_drawn_stops_no_page(result, monkeypatch):
    def fail(path):
        if path.endswith("video4"):
            raise cv2.error("(-215:Assertion failed) !ssize.empty() in function 'resize'")
        return "data:"

    monkeypatch.setattr(classes.video_clips, "gif_data_url", fail)
    scored, run_dir = result
    page = "".join(str(content) for _, content in classes.sections(run_dir, scored))
    assert "video4: not expected: error: (-215:Assertion failed)" in page and "data:" in page
