"""Flags of `tfav prepare`, `evaluate` and `predict` for `av_words`. Loads no TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tfav.io.workers import Workers
from tfav.ranges import ranged
from tfav.training.system import Control, RunOptions, Tab


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareOptions(Workers):
    """Recordings with word times, or clips of single words, become shards of mouth crops with their sound.

    Example:
        tfav prepare av_words --source grid --from grid --out word_shards
    """

    layout: Annotated[Literal["grid", "lrw"], tyro.conf.arg(name="from")] = "grid"
    """grid: sentences with alignments; lrw: WORD/train/WORD_00001.mp4, or arrays of LRW's notebook."""
    box: Literal["follow", "fixed"] | None = None
    """Mouth crop: follow tracks the mouth (default for grid), fixed is LRW's place (default for lrw)."""
    crop: tuple[int, int] | None = ranged(None, ge=1, count=2)
    """Height and width of the mouth crop in pixels. Default: what the presets cpu (grid) and notebook (lrw) take."""
    speakers: tuple[str, ...] = ()
    """Prepare only these speakers, such as s1 s2. Default: all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Accuracy by audio, by lips and by both, at each signal-to-noise ratio, with 95 % intervals.

    Example:
        tfav evaluate av_words --run-dir runs/words --part test --snr clean,20,15,10,5,0,-5
    """

    snr: str | None = None
    """Signal-to-noise ratios in dB to score at, such as clean,20,0,-5. Default: clean."""
    noise: Literal["white", "pink", "babble", "folder"] = "babble"
    """Noise to mix in; folder takes the run's own noise folder."""
    corrupt_video: Literal["black", "frozen", "blurred"] | None = None
    """Replace the pictures by black, frozen or blurred ones, to measure what the lips are worth."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(RunOptions):
    """The word that is said in each video or audio file, by audio, by lips and by both.

    Example:
        tfav predict av_words --run-dir pretrained word.mp4 --at 1.2
    """

    at: float | None = ranged(None, ge=0)
    """Second at which the word is said. Default: the middle of the file."""
    out: Path | None = None
    """Folder for the HTML pages. Default: predictions/ in the run folder."""
    top: int = ranged(5, ge=1)
    """Number of words to print."""


def _time_and_folder(values, out: Path) -> dict:
    return {"out": out, "at": values["at"] or None}


def _write_example(path: Path) -> Path:
    from tfav.data import synthetic_videos

    return synthetic_videos.write_singing_face(path)


TAB = Tab(
    system="av_words",
    title="Words",
    intro="Recognises one spoken word by its sound, by the lips, and by both, which helps where it is noisy.",
    button="Recognise the word",
    make_run="tfav demo, which leaves runs/demo/av_words/run",
    example_label="Use a made video: a drawn face that sings",
    write_example=_write_example,
    controls=(
        Control(
            name="at",
            label="When the word is said",
            info="In seconds from the start; 0 is the middle",
            low=0,
            high=3600,
            start=0,
            places=2,
        ),
    ),
    options=_time_and_folder,
    position=2,
)
