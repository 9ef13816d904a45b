"""Flags of `tfav prepare`, `evaluate` and `predict` for `next_frame`. Loads no TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Literal

from tfav.io.workers import Workers
from tfav.ranges import ranged
from tfav.training.system import Control, RunOptions, Tab


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareOptions(Workers):
    """Videos or frame folders are cut to sequences, or Moving MNIST is made of digits; --out is one .npy file.

    Example:
        tfav prepare next_frame --source videos --out sequences.npy --num-frames 20
    """

    sequences: int | None = ranged(None, ge=1)
    """Number of sequences to make, where --source is mnist.npz. Default: 10,000."""
    num_frames: int | None = ranged(None, ge=1)
    """Frames of a sequence. Default: 20."""
    size: int | None = ranged(None, ge=1)
    """Height and width of frames cut from videos, in pixels. Default: 64."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """MSE, MAE, SSIM and PSNR of each predicted frame and in all, beside copying the last frame.

    Example:
        tfav evaluate next_frame --run-dir runs/mine --part test
    """

    first_axis: Literal["auto", "frames", "sequences"] | None = None
    """What the first axis of a .npy given as --data-dir counts. Default: by what is alike, which is said."""
    perceptual: bool = False
    """Score by scikit-video's MS-SSIM and ST-RRED as well, about 3 s for each sequence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(RunOptions):
    """How each video goes on after its last frame, as GIF and MP4.

    Example:
        tfav predict next_frame --run-dir pretrained drifting_digits.mp4 --frames 20
    """

    frames: int | None = ranged(None, ge=1)
    """Number of frames to predict. Default: as many as in the run's training."""
    out: Path | None = None
    """Folder for the GIF and MP4 files. Default: predictions/ in the run folder."""


def _frames_and_folder(values, out: Path) -> dict:
    return {"out": out, "frames": values["frames"]}


def _write_example(path: Path) -> Path:
    from tfav.data import synthetic_videos

    return synthetic_videos.write_drifting_digits(path)


TAB = Tab(
    system="next_frame",
    title="Next frames",
    intro="Looks at the end of a video and draws how it may go on.",
    button="Predict the next frames",
    make_run="tfav train next_frame --preset cpu --run-dir runs/frames",
    example_label="Use a made video: two digits that drift",
    write_example=_write_example,
    controls=(
        Control(
            name="frames", label="Frames to predict", info="The further ahead, the vaguer", low=1, high=50, start=10
        ),
    ),
    options=_frames_and_folder,
    position=5,
)
