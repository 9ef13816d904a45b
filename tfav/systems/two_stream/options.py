"""Flags of `tfav prepare`, `evaluate` and `predict` for `two_stream`. Loads no TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Literal

from tfav.errors import UsageError
from tfav.io.workers import Workers
from tfav.ranges import ranged
from tfav.training import run_folder as runs
from tfav.training.system import Tab


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareOptions(Workers):
    """Videos become folders of JPEG frames and of flow pictures, in the layout of UCF101's published ones.

    Example:
        tfav prepare two_stream --source data/UCF101 --out data/UCF101_flow --size 256
    """

    size: int | None = ranged(None, ge=1)
    """Shorter side of a frame in pixels; flow is computed at this size. Default: as filmed."""
    quality: int = ranged(95, ge=1, le=100)
    """Quality of the JPEG files, 1-100."""
    flow_method: Literal["tvl1", "dis", "farneback"] = "tvl1"
    """Optical flow: tvl1 is the reference, dis and farneback are fast."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Top-1 and top-5 accuracy of every video; of a fusion also of each stream and of other ways to join them.

    Example:
        tfav evaluate two_stream --run-dir runs/fusion --part test
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Ranked classes of each video and of each of its frames, by both streams.

    Example:
        tfav predict two_stream --run-dir runs/fusion holiday.mp4 --demo annotated.mp4
    """

    run_dir: Path | None = None
    """Run folder of a fusion. For two streams without a fusion use --spatial and --motion."""
    spatial: str | None = None
    """Spatial stream: a run folder, or an old Keras .h5 file."""
    motion: str | None = None
    """Motion stream: a run folder, or an old Keras .h5 file."""
    demo: Path | None = None
    """Annotated video to write, an .mp4 file; goes with one video."""
    labels: Path | None = None
    """Text file of class names, one a line, for an .h5 file with other classes than UCF101's."""
    flow_method: Literal["tvl1", "dis", "farneback"] | None = None
    """Optical flow. Default: what the motion stream was trained on."""
    stack_length: int | None = ranged(None, ge=1)
    """Number of flow pictures in the motion stream's input, where an .h5 file does not take 10."""
    top: int = ranged(5, ge=1)
    """Number of classes to print."""


def _demo_file(values, out: Path) -> dict:
    return {"demo": out / "demo.mp4"}


def _open_where(run: str) -> dict:
    """A fusion run, or the two streams with a comma in between: run folders or old `.h5` files."""
    if "," not in run:
        if runs.load(run, "two_stream").config.get("stream") != "fusion":
            raise UsageError(f"{run}: one stream alone. Give both: --run-dir two_stream=SPATIAL,MOTION")
        return {"run_dir": run}
    spatial, motion = run.split(",", 1)
    for stream in (spatial, motion):
        if Path(stream).is_dir() or not Path(stream).exists():
            runs.load(stream, "two_stream")
    return {"spatial": spatial, "motion": motion}


def _write_example(path: Path) -> Path:
    from tfav.data import synthetic_videos

    return synthetic_videos.write_turning_shape(path)


TAB = Tab(
    system="two_stream",
    title="Actions",
    intro="Says what somebody does, from pictures and from motion, frame by frame and on the whole.",
    button="Recognise the action",
    make_run="tfav demo, which leaves runs/demo/two_stream/spatial and runs/demo/two_stream/run; give both with a "
    "comma in between",
    example_label="Use a made video: a shape that turns",
    write_example=_write_example,
    options=_demo_file,
    where=_open_where,
    position=3,
)
