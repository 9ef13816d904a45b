"""Stand-ins for the systems: known answers at once, and every way of going wrong, chosen by the upload's name."""

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from tfav.errors import MediaError, UsageError
from tfav.io.download import FetchError
from tfav.io.encoding import write_gif, write_video
from tfav.systems import load
from tfav.training.tf_startup import start_tensorflow

RANKING = [
    {"label": "turn_clockwise", "probability": 0.75},
    {"label": "<b>grow</b>", "probability": 0.2},
    {"label": "shrink", "probability": 0.05},
]


class FakeModels:
    """As `tfav.app.worker.SystemModels`, without TensorFlow, until next_frame is asked about the page's own example."""

    def __init__(self):
        self._real = None

    def prepare(self):
        pass

    def __call__(self, system, predictor_args):
        known = {"lipnet": lips, "two_stream": actions, "cnn_lstm": classes, "next_frame": self._next_frames}
        return (known | {"av_words": words})[system]

    def _next_frames(self, path, *, progress, **options):
        if Path(path).stem != "example":
            return next_frames(path, progress=progress, **options)
        if self._real is None:
            start_tensorflow()
            self._real = load("next_frame").open_predictor("pretrained")
        return self._real(path, progress=progress, **options)


def _behave(path, progress):
    """What the name asks for; whole words, so that no temporary folder asks for anything."""
    name = Path(path).stem
    if name == "slow":
        for step in range(600):
            progress(step / 600, "Working slowly")
            time.sleep(0.05)
    if name == "stubborn":
        progress(0.5, "Not listening")
        time.sleep(60)
    if name == "crash":
        os._exit(3)
    if name == "broken":
        raise RuntimeError("secret detail")
    if name == "refused":
        raise MediaError(path, "no face was found", "Show one face.")
    if name == "untrained":
        raise UsageError("/home/ann/runs/mine: not trained yet. Train on.")
    if name == "lacking":
        raise FetchError("https://example.com/detector.onnx: cannot be fetched. Put it into /home/ann/.cache by hand.")
    progress(0.5, "Working")


def classes(path, *, progress):
    _behave(path, progress)
    return {"path": str(path), "ranking": RANKING, "temporary": tempfile.gettempdir()}


def actions(path, *, progress, demo):
    _behave(path, progress)
    write_video(demo, _pictures(), 10)
    frames = [{"index": n, "ranking": RANKING} for n in range(12)] + [{"index": 12}]
    common = {"spatial": RANKING, "motion": RANKING, "warnings": [f"{path}: nothing moves in it."]}
    return {"path": str(path), "ranking": RANKING, "frames": frames, "demo": str(demo)} | common


def lips(path, *, progress, out, captions, face):
    _behave(path, progress)
    out = Path(out)
    wrote = []
    for suffix in (".srt", ".vtt", ".align"):
        (out / f"speech{suffix}").write_text("1\n00:00:00,000 --> 00:00:01,000\nbin blue\n", encoding="utf-8")
        wrote.append(str(out / f"speech{suffix}"))
    wrote += [str(write_gif(out / "speech_mouth.gif", _pictures(), 10)), str(write_video(captions, _pictures(), 10))]
    words = [{"text": "bin", "start_sec": 0.2, "end_sec": 0.5}, {"text": "blue", "start_sec": 0.5, "end_sec": 0.9}]
    sure = (
        {"posterior": 0.41, "in_domain": False}
        if Path(path).stem == "unsure"
        else {"posterior": 0.93, "in_domain": True}
    )
    warnings = [
        f"{path}: filmed at 50 frames a second, read at 25",
        f"{path}: out of the model's domain: do not believe",
    ]
    row = {"path": str(path), "text": "bin blue", "words": words, "readings": {}, "warnings": warnings, "wrote": wrote}
    return row | sure


def words(path, *, progress, out, at):
    _behave(path, progress)
    page = Path(out) / "clip_words.html"
    page.write_text("<p>one</p>", encoding="utf-8")
    streams = {"both": RANKING, "video": RANKING}
    row = {"path": str(path), "text": "bin", "ranking": RANKING, "used": "both", "streams": streams}
    warnings = [f"{path}: the word in the middle of 2.0 s is taken; --at SEC chooses another"]
    return row | {"window_sec": (at or 0.4, 1.6), "warnings": warnings, "wrote": [str(page)]}


def next_frames(path, *, progress, out, frames):
    _behave(path, progress)
    gif, film = Path(out) / "a_next.gif", Path(out) / "a_next.mp4"
    wrote = [str(write_gif(gif, _pictures(), 10)), str(write_video(film, _pictures(), 10))]
    return {"path": str(path), "frames": frames, "wrote": wrote, "warnings": []}


def _pictures():
    ramp = np.linspace(0, 255, 96, dtype=np.uint8)
    return [np.repeat(np.roll(ramp, 8 * n)[None, :, None].repeat(72, 0), 3, axis=2) for n in range(8)]


class FakeChecker:
    """As `tfav.app.enrol_station.TakeChecker`: finds what the prompt says."""

    def prepare(self):
        pass

    def __call__(self, system, arguments):
        return self._look

    def _look(self, path, *, text, progress):
        _behave(text.split()[0], progress)
        faults = ("2 faces are seen. Be alone in the picture.",) if "faces" in text else ()
        return {"faults": faults, "advice": ("Come closer.",), "measured": {"name": Path(path).name}}
