"""The page's tabs, one entry per system: its words, its controls, how it is asked and how its answer is shown.

A system comes onto the page by one entry here and an `open_predictor(**where)` of its own, which gives a function
`(path, *, progress, **options)` from a video to a JSON-ready row, and raises `TfavError` with a line for a person.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from tfav.app import examples, rendering
from tfav.errors import UsageError
from tfav.systems import SYSTEMS
from tfav.training import run as runs


@dataclasses.dataclass(frozen=True)
class Control:
    """A number that a person may set, `low` to `high`, at first `start`; `info` says what it does.

    `places` is how many there are after the point.
    """

    name: str
    label: str
    info: str
    low: int
    high: int
    start: int
    places: int = 0


@dataclasses.dataclass(frozen=True)
class Tab:
    """One system on the page.

    Attributes:
        system: Its name.
        title: On the tab.
        intro: What it does with a video, for somebody who has never heard of it.
        button: What its button says.
        render: From a row and a link function to HTML.
        make_run: The command that makes a run, for who has none.
        options: From the controls' values and the folder for results to the options of the predictor.
        where: From what `--run-dir SYSTEM=` was given to the arguments of `open_predictor`.
        controls: What a person may set.
        example: What its button says, and what writes the example video.
    """

    system: str
    title: str
    intro: str
    button: str
    render: Callable[[Mapping, rendering.Link], str]
    make_run: str
    options: Callable[[Mapping[str, float], Path], dict] = lambda values, out: {}
    where: Callable[[str, str], dict] = lambda system, run: _one_run(system, run)
    controls: tuple[Control, ...] = ()
    example: tuple[str, Callable[[Path], Path]] | None = None


def _one_run(system: str, run: str) -> dict:
    runs.load(run, system)
    return {"run_dir": run}


def _two_streams(system: str, run: str) -> dict:
    """A fusion run, or the two streams with a comma in between: run folders or old `.h5` files."""
    if "," not in run:
        if runs.load(run, system).config.get("stream") != "fusion":
            raise UsageError(f"{run}: one stream alone. Give both: --run-dir {system}=SPATIAL,MOTION")
        return {"run_dir": run}
    spatial, motion = run.split(",", 1)
    for stream in (spatial, motion):
        if Path(stream).is_dir() or not Path(stream).exists():
            runs.load(stream, system)
    return {"spatial": spatial, "motion": motion}


_ALL = (
    Tab(
        system="lipnet",
        title="Lip reading",
        intro="Reads what a person says from the movements of the mouth alone, without the sound. Show one face from "
        "the front.",
        button="Read the lips",
        render=rendering.lips,
        make_run="tfav train lipnet --preset cpu --data-dir grid_shards --run-dir runs/lips",
        options=lambda values, out: {
            "out": out,
            "captions": out / "captions.mp4",
            "face": values["face"] or None,
        },
        controls=(Control("face", "Which face", "Counted from the left; 0 is the one that speaks", 0, 20, 0),),
        example=("Use a made video: a drawn face", examples.write_speaking_face),
    ),
    Tab(
        system="av_words",
        title="Words",
        intro="Recognises one spoken word by its sound, by the lips, and by both, which helps where it is noisy.",
        button="Recognise the word",
        render=rendering.words,
        make_run="tfav demo, which leaves runs/demo/av_words/run",
        options=lambda values, out: {"out": out, "at": values["at"] or None},
        controls=(
            Control("at", "When the word is said", "In seconds from the start; 0 is the middle", 0, 3600, 0, places=2),
        ),
        example=("Use a made video: a drawn face that sings", examples.write_singing_face),
    ),
    Tab(
        system="two_stream",
        title="Actions",
        intro="Says what somebody does, from pictures and from motion, frame by frame and on the whole.",
        button="Recognise the action",
        render=rendering.actions,
        make_run="tfav demo, which leaves runs/demo/two_stream/spatial and runs/demo/two_stream/run; give both with a "
        "comma in between",
        options=lambda values, out: {"demo": out / "demo.mp4"},
        where=_two_streams,
        example=("Use a made video: a shape that turns", examples.write_turning_shape),
    ),
    Tab(
        system="cnn_lstm",
        title="Classification",
        intro="Tells which class a video belongs to, among those the model was trained on.",
        button="Classify the video",
        render=rendering.classes,
        make_run="tfav train cnn_lstm --preset transfer --data-dir videos --run-dir runs/classes",
        example=("Use a made video: a shape that turns", examples.write_turning_shape),
    ),
    Tab(
        system="next_frame",
        title="Next frames",
        intro="Looks at the end of a video and draws how it may go on.",
        button="Predict the next frames",
        render=rendering.next_frames,
        make_run="tfav train next_frame --preset cpu --run-dir runs/frames",
        options=lambda values, out: {"out": out, "frames": values["frames"]},
        controls=(Control("frames", "Frames to predict", "The further ahead, the vaguer", 1, 50, 10),),
        example=("Use a made video: two digits that drift", examples.write_drifting_digits),
    ),
)

TABS = tuple(tab for tab in _ALL if tab.system in SYSTEMS)
