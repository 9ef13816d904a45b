"""Flags of `tfav prepare`, `evaluate` and `predict` for `cnn_lstm`. Loads no TensorFlow."""

import dataclasses
from pathlib import Path

from tfav.io.workers import Workers
from tfav.ranges import ranged
from tfav.training.system import RunOptions, Tab


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareOptions(Workers):
    """Videos become folders of JPEG frames: CLASS/VIDEO.mp4 becomes CLASS/VIDEO/VIDEO_frame_00.jpg and so on.

    Example:
        tfav prepare cnn_lstm --source data/UCF101 --out data/UCF101_frames --every-sec 1
    """

    every_sec: float | None = ranged(None, gt=0)
    """Keep one frame every N seconds. Excludes --num-frames. Default: all frames."""
    num_frames: int | None = ranged(None, ge=1)
    """Keep N frames, evenly spaced over the whole video. Excludes --every-sec. Default: all frames."""
    size: int | None = ranged(None, ge=1)
    """Shorter side of a frame in pixels; smaller videos are not enlarged. Default: as filmed."""
    quality: int = ranged(95, ge=1, le=100)
    """Quality of the JPEG files, 1-100."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Top-1 and top-5 accuracy of every video, with 95 % intervals, per class and in all.

    Example:
        tfav evaluate cnn_lstm --run-dir runs/mine --data-dir unseen_videos
    """

    shuffle_frames: bool = False
    """Put the frames of each clip in random order first, to measure what their order is worth."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(RunOptions):
    """Ranked classes of each video, or of each folder of frames.

    Example:
        tfav predict cnn_lstm --run-dir runs/mine holiday.mp4
    """

    top: int = ranged(5, ge=1)
    """Number of classes to print."""


def _write_example(path: Path) -> Path:
    from tfav.data import synthetic_videos

    return synthetic_videos.write_turning_shape(path)


TAB = Tab(
    system="cnn_lstm",
    title="Classification",
    intro="Tells which class a video belongs to, among those the model was trained on.",
    button="Classify the video",
    make_run="tfav train cnn_lstm --preset transfer --data-dir videos --run-dir runs/classes",
    example_label="Use a made video: a shape that turns",
    write_example=_write_example,
    position=4,
)
