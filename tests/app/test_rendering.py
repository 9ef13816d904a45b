"""Results as HTML: everything escaped, every picture with words, a plain warning where the text is a guess."""

import re

from tests.app.fakes import RANKING
from tfav.app import rendering


def link(path):
    return f"file={path}"


def lips_row(**changes):
    row = {
        "path": "/tmp/x/a.mp4",
        "text": "bin <blue>",
        "words": [{"text": "<blue>", "start_sec": 0.5, "end_sec": 0.94}],
        "posterior": 0.93,
        "in_domain": True,
        "warnings": ["/tmp/x/a.mp4: filmed at 50 frames a second, read at 25"],
        "wrote": ["/r/a.srt", "/r/a.vtt", "/r/a.align", "/r/a_mouth.gif", "/r/captions.mp4"],
    }
    return row | changes


def test_lips():
    page = rendering.lips(lips_row(), link)
    assert "bin &lt;blue&gt;" in page and "<blue>" not in page
    assert "93% sure" in page and "Do not rely" not in page
    assert "Filmed at 50 frames a second, read at 25." in page and "/tmp/x" not in page
    assert "<td>0.50</td><td>0.94</td>" in page
    assert re.findall(r'<a href="file=(\S+)" download="\S+">', page) == ["/r/a.srt", "/r/a.vtt", "/r/captions.mp4"]
    assert re.search(r'<video controls autoplay muted [^>]*src="file=/r/captions.mp4" aria-label="[^"]+"', page)
    assert re.search(r'<img src="file=/r/a_mouth.gif" alt="[^"]+"', page)


def test_a_guess_is_called_one():
    row = lips_row(in_domain=False, posterior=0.4, text="", words=[])
    row["warnings"] = ["/tmp/x/a.mp4: out of the model's domain: its mean posterior is 0.40"]
    page = rendering.lips(row, link)
    assert 'role="alert"><strong>Do not rely on this text.' in page and "(nothing was read)" in page
    assert "sure</p>" not in page
    assert "posterior" not in page and "<table>" not in page


def test_classes_are_ranked_and_escaped():
    page = rendering.classes({"path": "a", "ranking": RANKING}, link)
    assert page.index("turn clockwise") < page.index("&lt;b&gt;grow") < page.index("shrink")
    assert "75% sure" in page and "<b>" not in page
    certain = rendering.classes({"path": "a", "ranking": [{"label": "jump", "probability": 0.9996}]}, link)
    assert "more than 99% sure" in certain and "100% sure" not in certain


def test_actions_show_each_frame():
    frames = [{"ranking": [{"label": "jump", "probability": share}]} for share in (0.0, 1.0, 0.5)] + [{}]
    row = {"path": "a", "ranking": [{"label": "jump", "probability": 0.5}], "frames": frames, "demo": "/r/demo.mp4"}
    row |= {"spatial": RANKING, "motion": RANKING, "warnings": []}
    page = rendering.actions(row, link)
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', page)]
    assert heights == [0, 60, 30] and "0% to 100%" in page and "/r/demo.mp4" in page
    many = rendering.actions(row | {"frames": frames[:2] * 500}, link)
    assert many.count("<rect") == 250


def test_words_stand_side_by_side():
    row = {"path": "/x/a.mp4", "text": "b<in", "ranking": RANKING, "used": "video", "streams": {"video": RANKING}}
    warned = ["/x/a.mp4: the word in the middle of 2 s is taken; --at SEC chooses another"]
    page = rendering.words(row | {"window_sec": (0.4, 1.56), "warnings": warned, "wrote": ["/r/a.html"]}, link)
    assert "b&lt;in" in page and "by the lips, from 0.40 to 1.56 s" in page and "--at" not in page
    heads = [page.index(title) for title in ("By its sound", "By the lips</h3>", "By both")]
    assert heads == sorted(heads) and page.count("Not there.") == 2 and "file=/r/a.html" in page


def test_results_in_a_few_words():
    assert rendering.brief(lips_row()) == "bin <blue>"
    assert rendering.brief({"ranking": RANKING}) == "turn clockwise"
    assert rendering.brief({"frames": 10}) == rendering.brief(lips_row(text="")) == ""


def test_status():
    assert 'value="42"' in rendering.status("busy", "Working", 0.42) and "role" not in rendering.status(
        "busy", "W", 0.1
    )
    assert 'role="alert"' in rendering.status("wrong", "No") and "&lt;" in rendering.status("idle", "<")
