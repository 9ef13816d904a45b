"""The settings of `next_frame`, named presets of them, and the flags of its other commands. Loads no TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Literal

from tfav.errors import UsageError
from tfav.io.workers import Workers
from tfav.ranges import ranged
from tfav.training.config import OptimizerConfig, ScheduleConfig, SplitConfig
from tfav.training.system import Control, RunOptions, Tab

SYSTEM = "next_frame"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ScheduleConfig, OptimizerConfig, SplitConfig):
    """All that decides what is learnt and how.

    Attributes:
        data_dir: Empty: Moving MNIST, made on the fly; or a `.npy` of sequences in the benchmark's layout; or a folder
            of videos or of folders of frames; or, with `axes`, an array of any numbers: `.npy`, `.npz`, zarr, NetCDF.
        axes: What the axes of an array count, one letter each: `n` sequences, `t` time, `y` rows, `x` columns, `c`
            channels, such as `tyxc`; empty: by the names of its dimensions, which zarr and NetCDF have.
        variables: Names of arrays inside an `.npz`, zarr or NetCDF, whose channels stand side by side; empty: its only
            one.
        mask: A `.npy`, or an array inside the file by its name: not zero where a cell is missing. NaN always is.
        scale: How each channel of an array becomes the model's values, fitted on the training part: `minmax`,
            `standard`, `log1p` or `none`.
        stride: Frames of an array from one training window to the next.
        first_axis: What the first axis of a `.npy` counts: `frames` as in the benchmark's file, `sequences` as in most
            libraries, or `auto`, which looks at what is alike and says so.
        mnist: Keras' `mnist.npz`; empty: Keras' cache, a download, or, where there is neither, scikit-learn's 8x8
            digits scaled up; `small`: those at once.
        num_digits: Digits on the canvas of Moving MNIST, 1-3.
        image_size: Height and width of a frame in the model, in pixels; 64 for Moving MNIST; an array has its own.
        channels: 1 grey, 3 colour; an array has its own.
        input_frames: Frames the model looks at; the `notebook` model is trained on all but the last of the sequence.
        output_frames: Frames to predict after them, in training (`forecaster`) and in evaluation.
        model: `notebook`, the keras.io example; `forecaster`, an encoder-forecaster ConvLSTM; or `simvp`, convolutions
            that make all frames at once.
        step: What the forecaster does for one frame: `conv_lstm`, cells on top of one another that draw each frame, or
            `motion`, two cells on two scales that displace the newest frame by what they make of its measured motion.
        translator: Blocks in the middle of `simvp`: `gated`, gated attention, `inception`, or `residual`, which is not
            published and the fastest on a CPU.
        depths: Convolutions of the encoder of `simvp`, every second of which halves the sides, or 0; and blocks of its
            translator.
        filters: Channels of each ConvLSTM layer; of the encoder and of the translator of `simvp`.
        kernel_sizes: Side of each layer's kernels; one number per layer. Of `simvp`: encoder and decoder.
        patch_size: The forecaster and `simvp` see squares of so many pixels a side as one place with as many channels.
        sampling_epochs: Scheduled sampling (Bengio et al., 2015): over so many epochs the share of true frames among
            the forecaster's inputs in the second part goes from 1 to 0; 0: it sees its own frames from the start.
        train_sequences: Made sequences in an epoch.
        val_sequences: Made sequences to validate on; 0: none.
        test_sequences: Made sequences in the test set, from test digits and seed 0.
        new_each_epoch: Make other sequences in every epoch, never the same twice.
        val_fraction: Share of a folder's or a file's sequences kept for validation, of whole videos where known.
        test_fraction: Share kept for the test part.
        optimizer: `adamw`, which is Adam where `weight_decay` is 0, or `muon`, which has the matrices then and leaves
            the rest to AdamW at half the rate.
        loss: `bce`, `mse`, `mse_mae`, the sum of both errors, or `frame_mse`, summed over the pixels of a frame.
        schedule: `constant`; `cosine` from `learning_rate` to 0 over all epochs; or `plateau`: a tenth after
            `plateau_patience` epochs without a better validation loss.
        plateau_patience: Epochs, see `schedule`.
        init: A run folder, or `pretrained`, of the same model, whose weights training begins with; empty: random ones.
    """

    first_axis: Literal["auto", "frames", "sequences"] = "auto"
    axes: str = ""
    variables: tuple[str, ...] = ()
    mask: str = ""
    scale: Literal["minmax", "standard", "log1p", "none"] = "minmax"
    stride: int = ranged(1, ge=1)
    mnist: str = ""
    num_digits: int = ranged(2, ge=1, le=3)
    image_size: int = ranged(64, ge=1)
    channels: int = ranged(1, ge=1, le=3)
    input_frames: int = ranged(10, ge=1)
    output_frames: int = ranged(10, ge=1)
    model: Literal["notebook", "forecaster", "simvp"] = "notebook"
    step: Literal["conv_lstm", "motion"] = "conv_lstm"
    translator: Literal["gated", "inception", "residual"] = "gated"
    depths: tuple[int, ...] = ranged((4, 8), ge=0)
    filters: tuple[int, ...] = ranged((64, 64, 64), ge=1)
    kernel_sizes: tuple[int, ...] = ranged((5, 3, 1), ge=1)
    patch_size: int = ranged(1, ge=1)
    sampling_epochs: int = ranged(0, ge=0)
    train_sequences: int = ranged(900, ge=1)
    val_sequences: int = ranged(100, ge=0)
    test_sequences: int = ranged(1000, ge=1)
    new_each_epoch: bool = False
    test_fraction: float = ranged(0.1, ge=0, lt=1)
    batch_size: int = ranged(5, ge=1)
    optimizer: Literal["adamw", "muon"] = "adamw"
    loss: Literal["bce", "mse", "mse_mae", "frame_mse"] = "bce"
    schedule: Literal["constant", "cosine", "plateau"] = "plateau"
    plateau_patience: int = ranged(5, ge=0)
    patience: int = ranged(10, ge=0)
    init: str = ""

    def __post_init__(self):
        """Refuses values that contradict one another."""
        super().__post_init__()
        if self.channels == 2:
            raise UsageError(f"channels must be 1 (grey) or 3 (colour). Received: channels={self.channels}")
        if not self.filters or len(self.filters) != len(self.kernel_sizes):
            raise UsageError(
                "filters and kernel_sizes need one number per layer each. "
                f"Received: {self.filters} and {self.kernel_sizes}"
            )
        if self.model == "simvp" and not len(self.filters) == len(self.depths) == 2:
            raise UsageError(
                "simvp has an encoder and a translator: give two filters, kernel_sizes and depths. "
                f"Received: {self.filters}, {self.kernel_sizes} and {self.depths}"
            )
        if self.model == "simvp" and self.depths[1] < 2:
            raise UsageError(f"the translator of simvp needs 2 blocks or more. Received: depths={self.depths}")
        is_inception = self.model == "simvp" and self.translator == "inception"
        if self.model == "simvp" and (
            self.filters[0] % 2 or (is_inception and (self.filters[1] % 16 or self.filters[0] * self.input_frames % 8))
        ):
            raise UsageError(
                "simvp normalises groups of channels: the first of filters must be a multiple of 2; with inception of "
                f"8, and the second of 16. Received: {self.filters}"
            )
        if self.is_array and self.loss == "bce":
            raise UsageError("loss=bce is for pictures, 0-1. For an array choose mse, mse_mae or frame_mse.")
        if self.image_size % self.patch_size and not self.is_array:
            raise UsageError(
                f"image_size must be a multiple of patch_size. Received: {self.image_size} and {self.patch_size}"
            )
        uneven = self.image_size % (2 * self.patch_size) and not self.is_array  # an array is padded
        if self.step == "motion" and (len(self.filters) != 2 or uneven):
            raise UsageError(
                "step=motion has two cells, the second on patches of twice the size: give two filters, and an "
                "image_size that is a multiple of twice the patch_size. "
                f"Received: filters={self.filters}, image_size={self.image_size}, patch_size={self.patch_size}"
            )
        if self.model != "forecaster" and self.sampling_epochs:
            raise UsageError(f"sampling_epochs is the forecaster's; leave it out for model={self.model}.")
        if self.model != "simvp" and self.optimizer == "muon":
            raise UsageError("optimizer=muon is for model=simvp; the gates of ConvLSTM are no matrices of their own.")
        if self.model == "notebook" and self.patch_size != 1:
            raise UsageError("patch_size is of the models forecaster and simvp; leave it out for model=notebook.")
        if self.is_made and (self.image_size != 64 or self.channels != 1):
            raise UsageError(
                "Moving MNIST is 64 x 64 and grey; give data_dir for other frames. "
                f"Received: image_size={self.image_size}, channels={self.channels}"
            )

    @property
    def is_made(self) -> bool:
        """Whether the data are Moving MNIST, made on the fly."""
        return not self.data_dir

    @property
    def is_array(self) -> bool:
        """Whether the data are an array of any numbers, not pictures of 0-255."""
        return bool(self.axes) or Path(self.data_dir).suffix in (".npz", ".zarr", ".nc", ".nc4", ".cdf")

    @property
    def num_frames(self) -> int:
        """Frames of a whole sequence."""
        return self.input_frames + self.output_frames

    @property
    def has_val(self) -> bool:
        """Whether there is a validation part."""
        return (self.val_sequences if self.is_made else self.val_fraction) > 0


# Each preset: the fields in which it differs from the defaults above. README.md has what was measured of each.
PRESETS: dict[str, dict] = {
    # The course notebook, which is the keras.io example: 746,689 parameters, 900 + 100 sequences made once.
    #   tfav train next_frame --preset notebook --mnist mnist.npz --run-dir runs/notebook
    #   Two cores: not measured.
    "notebook": {},
    # A forecaster for two cores without a GPU.
    #   tfav train next_frame --preset cpu --mnist mnist.npz --run-dir runs/cpu
    #   Two cores: 56 minutes; MSE 68.1, SSIM .817 on 1000 made test sequences.
    "cpu": {
        "model": "forecaster",
        "step": "motion",
        "filters": (64, 96),
        "kernel_sizes": (3, 3),
        "patch_size": 4,
        "train_sequences": 1000,
        "val_sequences": 200,
        "new_each_epoch": True,
        "batch_size": 8,
        "epochs": 32,
        "learning_rate": 1.5e-3,
        "clip_norm": 1.0,
        "loss": "frame_mse",
        "schedule": "cosine",
        "patience": 0,
        "precision": "mixed_bfloat16",
    },
    # The size of the published table's ConvLSTM; its 200 epochs of 10,000 sequences want a GPU.
    #   tfav train next_frame --preset convlstm --mnist mnist.npz --run-dir runs/convlstm
    #   Not measured.
    "convlstm": {
        "model": "forecaster",
        "filters": (128, 128, 128, 128),
        "kernel_sizes": (5, 5, 5, 5),
        "patch_size": 4,
        "sampling_epochs": 80,
        "train_sequences": 10_000,
        "new_each_epoch": True,
        "batch_size": 16,
        "epochs": 200,
        "learning_rate": 5e-4,
        "loss": "mse",
        "schedule": "cosine",
        "patience": 0,
    },
    # SimVP with gated attention in its published size, 46.8 million parameters, as OpenSTL trains it; with --translator
    # inception 57.9 million. Its 200 epochs want a GPU.
    #   tfav train next_frame --preset simvp --mnist mnist.npz --run-dir runs/simvp
    #   Not measured.
    "simvp": {
        "model": "simvp",
        "filters": (64, 512),
        "kernel_sizes": (3, 3),
        "train_sequences": 10_000,
        "new_each_epoch": True,
        "batch_size": 16,
        "epochs": 200,
        "loss": "mse",
        "schedule": "cosine",
        "patience": 0,
    },
    # A small SimVP for an array of any numbers on two cores.
    #   tfav train next_frame --preset array --data-dir radar.npy --axes tyx --run-dir runs/radar
    #   Not measured.
    "array": {
        "model": "simvp",
        "filters": (32, 128),
        "kernel_sizes": (3, 3),
        "depths": (4, 4),
        "scale": "standard",
        "test_fraction": 0.1,
        "batch_size": 8,
        "epochs": 30,
        "learning_rate": 2e-3,
        "clip_norm": 1.0,
        "loss": "mse",
        "schedule": "cosine",
        "patience": 0,
        "precision": "mixed_bfloat16",
    },
    # Seconds long: a small forecaster on one digit.
    #   make demo
    "demo": {
        "model": "forecaster",
        "num_digits": 1,
        "input_frames": 5,
        "output_frames": 5,
        "filters": (48,),
        "kernel_sizes": (3,),
        "patch_size": 4,
        "sampling_epochs": 4,
        "train_sequences": 400,
        "val_sequences": 32,
        "test_sequences": 64,
        "new_each_epoch": True,
        "batch_size": 8,
        "epochs": 6,
        "learning_rate": 5e-3,
        "clip_norm": 1.0,
        "loss": "mse",
        "schedule": "cosine",
        "patience": 0,
    },
}
Config.PRESETS = PRESETS


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
    axes: str | None = None
    """What the axes of an array given as --data-dir count, such as tyxc. Default: as in the run's training."""
    thresholds: tuple[float, ...] = ranged((), count=0)
    """Score CSI and false alarms at these values of an array, in its units."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(RunOptions):
    """How each video or array goes on after its last frame: GIF and MP4, or an array with GIF and PNG.

    Example:
        tfav predict next_frame --run-dir pretrained drifting_digits.mp4 --frames 20
    """

    frames: int | None = ranged(None, ge=1)
    """Number of frames to predict. Default: as many as in the run's training."""
    out: Path | None = None
    """Folder for the GIF and MP4 files, or a file for an array, .npy or .nc. Default: predictions/ of the run."""
    axes: str | None = None
    """What the axes of an array count, such as tyxc. Default: as in the run's training."""


def _frames_and_folder(values, out: Path) -> dict:
    return {"out": out, "frames": values["frames"]}


TAB = Tab(
    system="next_frame",
    title="Next frames",
    intro="Looks at the end of a video and draws how it may go on.",
    button="Predict the next frames",
    make_run="tfav train next_frame --preset cpu --run-dir runs/frames",
    example_label="Use a made video: two digits that drift",
    example="tfav.data.synthetic_videos:write_drifting_digits",
    controls=(
        Control(
            name="frames", label="Frames to predict", info="The further ahead, the vaguer", low=1, high=50, start=10
        ),
    ),
    options=_frames_and_folder,
    position=5,
)
