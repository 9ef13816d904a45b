"""The settings of `two_stream`, named presets of them, and the flags of its other commands. Loads no TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Literal

from tfav.errors import UsageError
from tfav.io.workers import Workers
from tfav.ranges import ranged
from tfav.training import run_folder as runs
from tfav.training.config import ClassifierConfig, ScheduleConfig
from tfav.training.system import Tab, TimelineOptions, WindowOptions

SYSTEM = "two_stream"
STREAMS = ("spatial", "motion")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ClassifierConfig, ScheduleConfig):
    """All that decides what is learnt and how. Each stream is a run of its own; the fusion is a third one over both.

    Attributes:
        stream: `spatial` (one RGB frame), `motion` (a stack of flow), or `fusion` (recurrent, over both streams).
        spatial: For `stream=fusion`: run folder or `.h5` file of the spatial stream.
        motion: For `stream=fusion`: run folder or `.h5` file of the motion stream.
        data_dir: Folder of `CLASS/VIDEO` files, or what `tfav prepare two_stream` wrote (`jpegs_256/`, `tvl1_flow/`),
            or a table of labels, CSV or JSON lines.
        label_pattern: In prepared folders: regular expression whose bracket is the class in a video's name.
        backbone: `xception`, `resnet50`, `vgg19`, `mobilenet_v2`, or `small` (four convolutions, no weights).
        backbone_alpha: Width of MobileNetV2: 0.35, 0.5, 0.75, 1.0, 1.3 or 1.4.
        backbone_weights: Weights file of the RGB backbone; `imagenet` downloads them; empty: random. The motion stream
            takes them too, its first convolution by cross-modality initialisation.
        backbone_trainable: Train the backbone, or only the classifier.
        batch_norm_momentum: Of the backbone's batch normalisations; 0 keeps its own. Keras' 0.99 and 0.999 need
            hundreds of steps until what they saw in training also holds in evaluation.
        normalization: `fixed` (levels the backbone expects, no parameters) or `batch` (batch normalisation without
            scale and offset, as in the released files: two running statistics for each channel).
        image_size: Height and width of what the model sees, in pixels.
        stack_length: Flow pictures of each direction in a stack, L.
        flow_method: `tvl1`, `dis` or `farneback`.
        flow_bound: Motion in pixels that becomes white; see `tfav.io.optical_flow.quantize_flow`.
        frames_size: Shorter side of the stored pictures, in pixels; 0 keeps the video's.
        augmentation: imgaug at `none`, `simple`, `medium` or `heavy` strength.
        flip: Flip samples at random in training; motion to the right then becomes motion to the left.
        train_samples: Random samples of each training video in an epoch.
        samples_per_video: Samples of each video in evaluation, evenly spaced, whose scores are averaged.
        dropout: Dropped share of the pooled features.
        gru_units: Width of the recurrent fusion.
        fusion_folds: For `stream=fusion` without validation videos that are new to both streams: parts of the training
            videos, by group, left out in turn while both streams are trained again, to choose the late fusion on; below
            2: both streams count alike then.
        schedule: `plateau` (ReduceLROnPlateau), or `cosine` from `learning_rate` to 0 over all epochs.
        plateau_patience: Epochs without a lower loss before the rate falls to a tenth.
    """

    stream: Literal["spatial", "motion", "fusion"] = "spatial"
    spatial: str = ""
    motion: str = ""
    label_pattern: str = r"^v_(.+)_g\d+_c\d+$"
    backbone: Literal["xception", "resnet50", "vgg19", "mobilenet_v2", "small"] = "xception"
    backbone_alpha: float = ranged(1.0, gt=0, le=1.4)
    backbone_weights: str = ""
    backbone_trainable: bool = True
    batch_norm_momentum: float = ranged(0.0, ge=0, lt=1)
    normalization: Literal["fixed", "batch"] = "fixed"
    image_size: int = ranged(299, ge=1)
    stack_length: int = ranged(10, ge=1)
    flow_method: Literal["tvl1", "dis", "farneback"] = "tvl1"
    flow_bound: float = ranged(20.0, gt=0)
    frames_size: int = ranged(256, ge=0)
    augmentation: Literal["none", "simple", "medium", "heavy"] = "medium"
    flip: bool = True
    train_samples: int = ranged(1, ge=1)
    samples_per_video: int = ranged(19, ge=1)
    dropout: float = ranged(0.0, ge=0, lt=1)
    gru_units: int = ranged(128, ge=1)
    fusion_folds: int = ranged(3, ge=0, le=20)
    batch_size: int = ranged(28, ge=1)
    epochs: int = ranged(100, ge=1)
    learning_rate: float = ranged(5e-5, gt=0, le=1)
    schedule: Literal["plateau", "cosine"] = "plateau"
    plateau_patience: int = ranged(5, ge=0)

    def __post_init__(self):
        """Refuses values that contradict one another."""
        super().__post_init__()
        smallest = _SMALLEST[self.backbone]
        if self.image_size < smallest:
            raise UsageError(f"image_size must be {smallest} or more for {self.backbone}. Received: {self.image_size}")

    def channels(self) -> int:
        """Channels of the stream's input: 3 colours, or `stack_length` of u and as many of v."""
        return 2 * self.stack_length if self.stream == "motion" else 3

    def class_count(self) -> int:
        """`num_classes`, counted in `data_dir` where it is 0.

        Raises:
            UsageError: Neither is given.
        """
        if self.num_classes:
            return self.num_classes
        if not self.data_dir:
            raise UsageError("num_classes is 0 and there is no data_dir to count them in. Set one of the two.")
        from tfav.systems.two_stream.sampling import find_examples

        return len(find_examples(self).labels)


# What the backbones' strides leave at least one pixel of.
_SMALLEST = {"xception": 71, "resnet50": 32, "vgg19": 32, "mobilenet_v2": 32, "small": 32}

# Each preset: the fields in which it differs from the defaults above. README.md has what was measured of each.
PRESETS: dict[str, dict] = {
    # The released networks' setting: Xception at 299, 101 classes; 21,068,429 parameters spatial, 21,073,325 motion.
    #   tfav train two_stream --preset notebook --stream motion --data-dir data/UCF101 --run-dir runs/motion
    #   Two cores: not measured.
    "notebook": {"num_classes": 101},
    # The same networks for classes of one's own, from ImageNet weights.
    #   tfav train two_stream --preset xception --stream spatial --data-dir videos --run-dir runs/spatial
    #   Two cores: not measured.
    "xception": {"backbone_weights": "imagenet"},
    # Both streams on two cores without a GPU: a frozen MobileNetV2 at 160 under a linear classifier, DIS flow.
    #   tfav train two_stream --preset cpu --stream motion --data-dir videos --backbone-weights FILE --run-dir runs/m
    #   Two cores: see README.md.
    "cpu": {
        "backbone": "mobilenet_v2",
        "backbone_weights": "imagenet",
        "backbone_trainable": False,
        "image_size": 160,
        "flow_method": "dis",
        "flow_bound": 1.5,
        "frames_size": 176,
        "augmentation": "none",
        "train_samples": 8,
        "dropout": 0.3,
        "batch_size": 16,
        "epochs": 10,
        "learning_rate": 3e-3,
        "label_smoothing": 0.1,
        "schedule": "cosine",
    },
    # The recurrent fusion over the features of two trained streams.
    #   tfav train two_stream --preset fusion --spatial runs/s --motion runs/m --data-dir videos --run-dir runs/f
    #   Two cores: not measured.
    "fusion": {"stream": "fusion", "dropout": 0.5, "batch_size": 64, "epochs": 60, "learning_rate": 1e-3},
    # Made data, seconds long: which way shapes move, turn and grow shows in flow and not in single frames.
    #   tfav demo
    "demo": {
        "stream": "motion",
        "backbone": "small",
        "batch_norm_momentum": 0.9,
        "image_size": 48,
        "stack_length": 5,
        "flow_method": "dis",
        "flow_bound": 8.0,
        "frames_size": 48,
        "augmentation": "none",
        "flip": False,
        "train_samples": 2,
        "samples_per_video": 5,
        "val_fraction": 0.15,
        "batch_size": 32,
        "epochs": 10,
        "learning_rate": 2e-3,
        "schedule": "cosine",
    },
}
Config.PRESETS = PRESETS


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
class PredictOptions(TimelineOptions):
    """Ranked classes of each video and of each of its frames, by both streams; or what happens when in a long video.

    Example:
        tfav predict two_stream --run-dir runs/fusion holiday.mp4 --demo annotated.mp4
        tfav predict two_stream --run-dir runs/fusion --every 1 match.mp4
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiveOptions(WindowOptions):
    """Ranked classes of what a live source has shown last, by both streams.

    Example:
        tfav live two_stream --run-dir runs/fusion --source rtsp://host/stream
    """

    run_dir: Path | None = None
    """Run folder of a fusion. For two streams without a fusion use --spatial and --motion."""
    spatial: str | None = None
    """Spatial stream: a run folder, or an old Keras .h5 file."""
    motion: str | None = None
    """Motion stream: a run folder, or an old Keras .h5 file."""
    flow_method: Literal["tvl1", "dis", "farneback"] | None = None
    """Optical flow. Default: what the motion stream was trained on; only dis and farneback are quick enough."""


def _demo_file(values, out: Path) -> dict:
    return {"demo": out / "demo.mp4"}


def _open_where(run: str) -> dict:
    """A fusion run, or the two streams with a comma in between: run folders or old `.h5` files."""
    if "," not in run:
        if runs.load(run, SYSTEM).config.get("stream") != "fusion":
            raise UsageError(f"{run}: one stream alone. Give both: --run-dir two_stream=SPATIAL,MOTION")
        return {"run_dir": run}
    spatial, motion = run.split(",", 1)
    for stream in (spatial, motion):
        if Path(stream).is_dir() or not Path(stream).exists():
            runs.load(stream, SYSTEM)
    return {"spatial": spatial, "motion": motion}


TAB = Tab(
    system="two_stream",
    title="Actions",
    intro="Says what somebody does, from pictures and from motion, frame by frame and on the whole.",
    button="Recognise the action",
    make_run="tfav demo, which leaves runs/demo/two_stream/spatial and runs/demo/two_stream/run; give both with a "
    "comma in between",
    example_label="Use a made video: a shape that turns",
    example="tfav.data.synthetic_videos:write_turning_shape",
    options=_demo_file,
    where=_open_where,
    position=3,
)
