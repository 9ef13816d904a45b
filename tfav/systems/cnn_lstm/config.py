"""The settings of `cnn_lstm`, named presets of them, and the flags of its other commands. Loads no TensorFlow."""

import dataclasses
from typing import Literal

from tfav.errors import UsageError
from tfav.io.workers import Workers
from tfav.ranges import ranged
from tfav.training.config import ClassifierConfig, ScheduleConfig
from tfav.training.system import RunOptions, Tab, TimelineOptions, WindowOptions

SYSTEM = "cnn_lstm"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ClassifierConfig, ScheduleConfig):
    """All that decides what is learnt and how.

    Attributes:
        data_dir: Folder of `CLASS/VIDEO` files, or of `CLASS/VIDEO/` folders of frames; or a table of labels, CSV or
            JSON lines.
        num_frames: Frames a clip has in the model, evenly spaced over the whole video.
        image_size: Height and width of a frame in the model, in pixels.
        backbone: `cnn` (our own), `mobilenet_v2`, or a TF-Hub handle (folder or address).
        backbone_weights: Weights file of the backbone; `imagenet` downloads them; empty: random.
        backbone_alpha: Width of MobileNetV2: 0.35, 0.5, 0.75, 1.0, 1.3 or 1.4.
        views: What the backbone sees of a frame; see `motion_images`. Others than `frame` need `backbone_mode=cached`.
        backbone_mode: `trained`, `frozen`, or `cached`: frozen, its features computed once per frame and kept on disk.
        cnn_filters: Channels of each stage of our own CNN.
        cnn_depths: Convolutions of each stage, beside the stem.
        subtract_mean: Take the clip's mean frame off its frames first, so that only what moves is left; on pixels only.
        batch_norm_momentum: Of our own CNN; Keras' 0.99 needs some hundred steps before it can be evaluated.
        head: `last`: the LSTM's last output (the notebook's); `pooled`: a bidirectional LSTM's outputs, mean and
            maximum over time, times a linear classifier of means over six stretches of the clip.
        pca_components: Principal components kept of each view's features and of their changes in time, fitted to the
            training part; 0: the features as they are. With `backbone_mode=cached` only.
        lstm_units: Width of the LSTM.
        dense_units: Width of the layer between LSTM and classes, in the head `last`.
        dropout: Dropped share of the LSTM's input.
        recurrent_dropout: Dropped share of the LSTM's state; rules out the fast LSTM kernels.
        flip: Flip clips at random in training.
        mixup: Strength of mixing pairs of clips and their targets in training (Zhang et al., 2018); 0: none.
        shift_px: Move clips at random by up to this many pixels in training; on pixels only.
        color_jitter: Strength of random colour changes in training, 0-1; on pixels only.
        multi_label: A clip may have several labels, or none: a sigmoid for each class. Needs a table of labels.
        balance: Against uneven classes: `weights` makes examples of rare classes count more in the loss, `sampling`
            shows them more often.
        passes_per_epoch: Passes over the training part in an epoch; more than one where it is small.
        weight_decay: Decoupled weight decay (AdamW); 0 is Adam.
    """

    num_frames: int = ranged(10, ge=1)
    image_size: int = ranged(224, ge=1)
    backbone: str = "cnn"
    backbone_weights: str = ""
    backbone_alpha: float = ranged(1.0, gt=0, le=1.4)
    views: tuple[str, ...] = ("frame",)
    backbone_mode: Literal["trained", "frozen", "cached"] = "trained"
    cnn_filters: tuple[int, ...] = ranged((32, 32, 64, 128), ge=1)
    cnn_depths: tuple[int, ...] = ranged((1, 4, 4, 4), ge=0)
    subtract_mean: bool = False
    batch_norm_momentum: float = ranged(0.99, ge=0, lt=1)
    head: Literal["last", "pooled"] = "last"
    pca_components: int = ranged(0, ge=0)
    lstm_units: int = ranged(128, ge=1)
    dense_units: int = ranged(32, ge=1)
    dropout: float = ranged(0.0, ge=0, lt=1)
    recurrent_dropout: float = ranged(0.0, ge=0, lt=1)
    flip: bool = False
    mixup: float = ranged(0.0, ge=0)
    shift_px: int = ranged(0, ge=0)
    color_jitter: float = ranged(0.0, ge=0, le=1)
    multi_label: bool = False
    balance: Literal["none", "weights", "sampling"] = "none"
    passes_per_epoch: int = ranged(1, ge=1)
    weight_decay: float = ranged(0.0, ge=0, lt=1)

    def __post_init__(self):
        """Refuses values that contradict one another."""
        super().__post_init__()
        if len(self.cnn_filters) != len(self.cnn_depths):
            raise UsageError(
                "cnn_filters and cnn_depths need one number per stage each. "
                f"Received: {self.cnn_filters} and {self.cnn_depths}"
            )
        smallest = {"cnn": 2 ** len(self.cnn_filters), "mobilenet_v2": 32}.get(self.backbone, 1)
        if self.image_size < smallest:
            raise UsageError(
                f"image_size must be {smallest} or more for backbone={self.backbone}. "
                f"Received: image_size={self.image_size}"
            )
        if self.shift_px >= self.image_size:
            raise UsageError(
                "shift_px must be below image_size, or nothing of a clip is left. "
                f"Received: shift_px={self.shift_px} and image_size={self.image_size}"
            )
        if not self.views:
            raise UsageError("views must name at least one.")
        if self.views != ("frame",) and not self.cache_features:
            raise UsageError(f"views other than the frame need backbone_mode=cached. Received: views={self.views}")
        if self.cache_features and self.backbone == "cnn":
            raise UsageError(
                "backbone_mode=cached needs a pretrained backbone: set backbone "
                f"to mobilenet_v2 or a TF-Hub handle. Received: backbone={self.backbone}"
            )

    @property
    def cache_features(self) -> bool:
        """Whether the model starts at features that are kept on disk."""
        return self.backbone_mode == "cached"

    def outputs(self) -> tuple[str, ...]:
        """Names of the model's outputs; several where parts of the head learn on their own."""
        return ("class", "lstm_class", "pooled_class") if self.head == "pooled" else ("class",)

    def class_count(self) -> int:
        """`num_classes`, counted in `data_dir` where it is 0.

        Raises:
            UsageError: Neither is given.
        """
        if self.num_classes:
            return self.num_classes
        if not self.data_dir:
            raise UsageError("num_classes is 0 and there is no data_dir to count them in. Set one of the two.")
        from tfav.data.label_tables import list_examples

        return len(list_examples(self.data_dir, multi_label=self.multi_label).labels)


# Each preset: the fields in which it differs from the defaults above. README.md has what was measured of each.
PRESETS: dict[str, dict] = {
    # The course notebook's own CNN under an LSTM; 13,612,195 parameters at 3 classes.
    #   tfav train cnn_lstm --preset notebook --data-dir data/UCF3 --run-dir runs/notebook
    #   Two cores: not measured.
    "notebook": {"num_classes": 3},
    # The notebook's second model. It was meant to use MobileNet and by mistake got the CNN above; 53,193,763
    # parameters.
    #   tfav train cnn_lstm --preset notebook_transfer --data-dir data/UCF3 --run-dir runs/notebook_transfer
    #   Two cores: not measured.
    "notebook_transfer": {"num_classes": 3, "lstm_units": 512, "dense_units": 128, "recurrent_dropout": 0.5},
    # A frozen MobileNetV2 looks at pictures of motion; features once to disk, a small head on them. The one to take.
    #   tfav train cnn_lstm --preset transfer --data-dir videos --run-dir runs/mine
    #   Two cores, 96 videos of UT-Interaction: see README.md.
    "transfer": {
        "num_frames": 24,
        "image_size": 160,
        "backbone": "mobilenet_v2",
        "backbone_weights": "imagenet",
        "backbone_mode": "cached",
        "views": ("signed_change_crop", "change"),
        "head": "pooled",
        "pca_components": 256,
        "lstm_units": 32,
        "dropout": 0.5,
        "flip": True,
        "mixup": 0.2,
        "label_smoothing": 0.1,
        "val_fraction": 0.0,
        "batch_size": 64,
        "epochs": 20,
        "passes_per_epoch": 8,
        "learning_rate": 2e-3,
        "weight_decay": 1e-2,
        "schedule": "cosine",
    },
    # Made data, seconds long: a small CNN of our own learns which way shapes move, turn and grow.
    #   make demo
    "demo": {
        "num_frames": 10,
        "image_size": 48,
        "cnn_filters": (16, 32, 32),
        "cnn_depths": (1, 1, 1),
        "batch_norm_momentum": 0.9,
        "subtract_mean": True,
        "lstm_units": 64,
        "dense_units": 32,
        "dropout": 0.3,
        "shift_px": 6,
        "color_jitter": 0.3,
        "val_fraction": 0.15,
        "batch_size": 16,
        "epochs": 25,
        "learning_rate": 3e-3,
        "weight_decay": 1e-2,
        "schedule": "cosine",
    },
}
Config.PRESETS = PRESETS


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
class PredictOptions(TimelineOptions, RunOptions):
    """Ranked classes of each video, or of each folder of frames; or what happens when in a long video.

    Example:
        tfav predict cnn_lstm --run-dir runs/mine holiday.mp4
        tfav predict cnn_lstm --run-dir runs/mine --every 1 match.mp4
    """

    top: int = ranged(5, ge=1)
    """Number of classes to print."""
    none: bool = False
    """Print no class where the best one is below the threshold that was chosen on the run's validation part."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiveOptions(WindowOptions, RunOptions):
    """Ranked classes of what a live source has shown last.

    Example:
        tfav live cnn_lstm --run-dir runs/mine --source 0
    """


TAB = Tab(
    system="cnn_lstm",
    title="Classification",
    intro="Tells which class a video belongs to, among those the model was trained on.",
    button="Classify the video",
    make_run="tfav train cnn_lstm --preset transfer --data-dir videos --run-dir runs/classes",
    example_label="Use a made video: a shape that turns",
    example="tfav.data.synthetic_videos:write_turning_shape",
    position=4,
)
