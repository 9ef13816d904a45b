"""Flags of `tfav prepare`, `evaluate` and `predict` for `lipnet`. Loads no TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Literal

from tfav.io.workers import Workers
from tfav.ranges import ranged
from tfav.training.system import Control, RunOptions, Tab


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareOptions(Workers):
    """Recordings of faces with their words become shards of mouth crops, beside a contact sheet to look at.

    Example:
        tfav prepare lipnet --source grid --out grid_shards --speakers s1 s2
    """

    box: Literal["follow", "close", "fixed"] = "follow"
    """Mouth crop: follow tracks the mouth, close is tight around the lips, fixed is the course notebook's place."""
    speakers: tuple[str, ...] = ()
    """Prepare only these speakers, such as s1 s2. Default: all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Word and character error rates, greedy, by beam search and by the grammar, with 95 % intervals.

    Example:
        tfav evaluate lipnet --run-dir pretrained --data-dir grid_shards
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(RunOptions):
    """What a person says in each video, with word times, as text, subtitles and an alignment.

    Example:
        tfav predict lipnet --run-dir pretrained speech.mp4 --captions speech_captions.mp4
    """

    face: int | None = ranged(None, ge=1)
    """Which face to read, counted from the left from 1. Default: the one that speaks."""
    out: Path | None = None
    """Folder for subtitles and alignments. Default: predictions/ in the run folder."""
    captions: Path | None = None
    """Video to write with the words drawn in, an .mp4 file; goes with one video."""
    grammar: str | None = None
    """Grammar file of what may be said, or none. Default: the run's own."""


def _files_and_face(values, out: Path) -> dict:
    return {"out": out, "captions": out / "captions.mp4", "face": values["face"] or None}


def _write_example(path: Path) -> Path:
    from tfav.data import synthetic_videos

    return synthetic_videos.write_speaking_face(path)


TAB = Tab(
    system="lipnet",
    title="Lip reading",
    intro="Reads what a person says from the movements of the mouth alone, without the sound. Show one face from the "
    "front.",
    button="Read the lips",
    make_run="tfav train lipnet --preset cpu --data-dir grid_shards --run-dir runs/lips",
    example_label="Use a made video: a drawn face",
    write_example=_write_example,
    controls=(
        Control(
            name="face",
            label="Which face",
            info="Counted from the left; 0 is the one that speaks",
            low=0,
            high=20,
            start=0,
        ),
    ),
    options=_files_and_face,
    position=1,
)
