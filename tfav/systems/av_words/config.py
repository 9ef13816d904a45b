"""The settings of `av_words`, and named presets of them. Loads no TensorFlow, so that `--help` stays quick."""

import dataclasses
from typing import Literal, get_args

from tfav.errors import UsageError
from tfav.ranges import ranged
from tfav.training.config import OptimizerConfig, Precision, SplitConfig

SYSTEM = "av_words"
Layout = Literal["grid", "lrw"]
LAYOUTS = get_args(Layout)
# Of the chain, in order: each stream's temporal convolution back end, its recurrent one on a frozen front end, both end
# to end; then the fusion on frozen streams, then all.
Stage = Literal[
    "audio_conv", "audio_gru", "audio_full", "video_conv", "video_gru", "video_full", "fusion_gru", "fusion_full"
]
STAGES = get_args(Stage)
Noise = Literal["white", "pink", "babble", "folder"]
NOISES = get_args(Noise)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(OptimizerConfig, SplitConfig):
    """All that decides what is learnt and how.

    Attributes:
        data_dir: A folder made by `tfav prepare av_words`, or videos, which are then prepared into the cache.
        face_detector: Model file of the face detector; empty: `$TFAV_FACE_DETECTOR`, else it is fetched.
        layout: Of videos in `data_dir`: `grid`, sentences with alignments; `lrw`, a folder per word.
        words: File of the words to tell apart, one a line, in the order of their numbers; empty: those the data were
            prepared with.
        box: Of the crop, where videos are prepared: `follow` the mouth, or LRW's `fixed` one.
        prepared_height: Of the prepared crop in pixels; larger than the model's, so that training can move it.
        prepared_width: Likewise.
        crop_height: Of the picture in the model, in pixels.
        crop_width: Likewise.
        num_frames: Frames of a window.
        num_samples: Samples of a window; both begin at the same moment.
        sample_rate: Samples per second.
        normalize: Of pictures. `clip`: zero mean and unit deviation over the window; `lrw`: grey 0-1, less the mean of
            LRW's training part, over its deviation.
        split: `folders` (LRW's train, val and test), `lists` or `fraction`; `auto`: by what there is, in this order
            after lists that are given.
        train_list: File that names the recordings (GRID: sentences) of the training part, one a line.
        val_list: Likewise of the validation part.
        test_list: Likewise of the test part.
        val_fraction: Share of the recordings kept for validation; with `train_list` and no `val_list`, of that list.
        max_unusable: Share of the recordings, and of those in `train_list`, that may be unusable and are then named in
            a warning; lists to validate and test on must be complete.
        mirror: Mirror windows at random in training.
        crop_jitter: Take the crop from a random place within the prepared one in training, else from its middle.
        brightness: Largest logarithm of the gamma drawn in training; what standardising does not take off again.
        shift: Largest shift of the window in training, in frames; sound and pictures move together.
        speed: Largest change of speed in training, as a share; of both together, the pitch changes along.
        noise: Kinds of noise added in training, one of them drawn per window: `white`, `pink`, `babble` of other
            training recordings, `folder`; none: no noise.
        noise_dir: Folder of sound files, for `folder`.
        noise_clean: Share of the windows left clean.
        snr_low: Signal to noise ratio in dB drawn in training, from
        snr_high: to.
        fusion_snr_low: Likewise in the stages of the fusion, which must learn to leave sound that is lost.
        babble_voices: Recordings that babble is mixed from.
        num_classes: Words to tell apart; 0: as many as the data have.
        audio_kernel: Of the first convolution over the waveform, in samples.
        audio_stride: Its step, in samples.
        audio_widths: Channels of each stage of the residual network over the waveform; the first convolution has as
            many as the first stage.
        audio_blocks: Blocks of each stage.
        audio_strides: Step of each stage's first block.
        audio_dim: Features per frame that its front end gives.
        filterbank: Begin the first convolution as a bank of filters, spaced as the ear's, rather than at random.
        envelope: The first convolution has its filters in pairs, and gives the root of the sum of their squares: how
            strong each frequency is, whatever its phase.
        compress: After the first convolution `x` becomes `sign(x) log(1 + compress |x|)`, so that faint consonants
            count beside loud vowels; 0: it stays as it is.
        video_kernel: Of the first convolution over the pictures: frames, rows, columns.
        video_widths: Channels of each stage of the residual network over the pictures.
        video_blocks: Blocks of each stage.
        video_pool: Side of the average over its last map; 1 keeps every place of it.
        video_dim: Features per frame that its front end gives.
        rnn_units: Of each direction of each recurrent layer, in both streams and in the fusion.
        step_bias: The last layer of a front end has a bias for each step of the window: what comes after knows which
            frames are in the middle.
        gates: The fusion only weighs the streams: it tells from their features how much each counts at each step, and
            sums up what they say, beginning with as much of either. Else it has recurrent layers and words of its own.
        fusion_on: The part that the fusion's stages learn from: `train`, or `val`, whose words the streams have not
            learnt by heart, so that they err as they will elsewhere.
        dropout: Share of features dropped in training before each recurrent layer and before the words.
        stages: Of the chain, those to train now (see `stages.STAGES`); empty: all, in order.
        stage_epochs: Passes over the training part in each of the eight stages.
        stage_rates: Learning rate at the start of each stage.
        schedule: Of the rate in a stage. `constant`; `halving` every five epochs; `cosine`, down to 0 at its end.
        step_weight: Weight of the loss of each step's own word, beside that of the mean over the steps.
        said_weight: Weight, in the stages of a stream, of the loss of telling at each step what is being said then, the
            neighbours of the window's word too; that head is for training only. It takes words with their times, as
            GRID has them.
        stream_weight: Weight of each stream's own loss in the last stage, which keeps its words right as it changes.
        init: A run folder or `pretrained`, whose weights the stages without a predecessor begin with.
    """

    face_detector: str = ""
    layout: Layout = "grid"
    words: str = ""
    box: Literal["follow", "fixed"] = "follow"
    prepared_height: int = ranged(48, ge=1)
    prepared_width: int = ranged(80, ge=1)
    crop_height: int = ranged(40, ge=1)
    crop_width: int = ranged(72, ge=1)
    num_frames: int = ranged(29, ge=29, le=29)
    num_samples: int = ranged(19456, ge=1024)
    sample_rate: int = ranged(16000, ge=1)
    normalize: Literal["clip", "lrw"] = "clip"
    split: Literal["auto", "folders", "lists", "fraction"] = "auto"
    train_list: str = ""
    val_list: str = ""
    test_list: str = ""
    max_unusable: float = ranged(0.01, ge=0, lt=1)
    mirror: bool = True
    crop_jitter: bool = True
    brightness: float = ranged(0.3, ge=0, lt=2)
    shift: int = ranged(0, ge=0)
    speed: float = ranged(0.07, ge=0, lt=0.5)
    noise: tuple[Noise, ...] = ("babble",)
    noise_dir: str = ""
    noise_clean: float = ranged(1 / 7, ge=0, le=1)
    snr_low: float = ranged(-5.0, ge=-100, le=100)
    snr_high: float = ranged(20.0, ge=-100, le=100)
    fusion_snr_low: float = ranged(-10.0, ge=-100, le=100)
    babble_voices: int = ranged(5, ge=1)
    batch_size: int = ranged(32, ge=1)
    num_classes: int = ranged(51, ge=2, also=(0,))
    audio_kernel: int = ranged(256, ge=1)
    audio_stride: int = ranged(16, ge=1)
    audio_widths: tuple[int, ...] = ranged((64, 64, 96, 128), ge=1, count=4)
    audio_blocks: tuple[int, ...] = ranged((1, 1, 1, 1), ge=1, count=4)
    audio_strides: tuple[int, ...] = ranged((2, 1, 1, 1), ge=1, count=4)
    audio_dim: int = ranged(192, ge=1)
    filterbank: bool = True
    envelope: bool = True
    compress: float = ranged(100.0, ge=0)
    video_kernel: tuple[int, ...] = ranged((5, 5, 5), ge=1, count=3)
    video_widths: tuple[int, ...] = ranged((24, 48, 64, 96), ge=1, count=4)
    video_blocks: tuple[int, ...] = ranged((1, 1, 1, 1), ge=1, count=4)
    video_pool: int = ranged(1, ge=1)
    video_dim: int = ranged(192, ge=1)
    rnn_units: int = ranged(128, ge=1)
    step_bias: bool = True
    gates: bool = True
    fusion_on: Literal["train", "val"] = "val"
    dropout: float = ranged(0.2, ge=0, lt=1)
    precision: Precision = "mixed_bfloat16"
    stages: tuple[Stage, ...] = ()
    stage_epochs: tuple[int, ...] = ranged((5, 2, 32, 6, 2, 28, 32, 3), ge=1, count=len(STAGES))
    stage_rates: tuple[float, ...] = ranged(
        (2e-3, 2e-3, 2e-3, 2e-3, 2e-3, 2e-3, 1e-3, 5e-5), gt=0, le=1, count=len(STAGES)
    )
    schedule: Literal["constant", "halving", "cosine"] = "cosine"
    step_weight: float = ranged(0.5, ge=0)
    said_weight: float = ranged(1.0, ge=0)
    stream_weight: float = ranged(1.0, ge=0)
    weight_decay: float = ranged(0.01, ge=0, lt=1)
    clip_norm: float = ranged(5.0, ge=0)
    ema_momentum: float = ranged(0.99, ge=0, lt=1)
    init: str = ""

    def __post_init__(self):
        """Refuses values that contradict one another."""
        super().__post_init__()
        for field in ("snr_low", "fusion_snr_low"):
            if getattr(self, field) > self.snr_high:
                raise UsageError(
                    f"{field} must not be above snr_high. Received: {getattr(self, field)} and {self.snr_high}"
                )
        if "folder" in self.noise and not self.noise_dir:
            raise UsageError("noise=folder needs noise_dir, a folder of sound files.")
        if self.crop_height > self.prepared_height or self.crop_width > self.prepared_width:
            raise UsageError(
                f"the crop of {self.crop_height}x{self.crop_width} is larger than the prepared one of "
                f"{self.prepared_height}x{self.prepared_width}."
            )
        if self.split == "lists" and not self.train_list:
            raise UsageError("split=lists needs train_list.")
        if any(side % 2 == 0 for side in self.video_kernel) or (self.audio_kernel - self.audio_stride) % 2:
            raise UsageError("video_kernel must be odd numbers, and audio_kernel less audio_stride an even one.")

    @property
    def epochs(self) -> int:
        """Of the last stage, or of a plain `model.fit` of `build_model`, which is what that stage trains."""
        return self.stage_epochs[-1]

    @property
    def learning_rate(self) -> float:
        """Likewise."""
        return self.stage_rates[-1]


# Each preset: the fields in which it differs from the defaults above.
PRESETS: dict[str, dict] = {
    # The network of the paper, on the 500 words of LRW. Not measured.
    "notebook": {
        "layout": "lrw",
        "box": "fixed",
        "prepared_height": 96,
        "prepared_width": 96,
        "crop_height": 88,
        "crop_width": 88,
        "normalize": "lrw",
        "brightness": 0.0,
        "speed": 0.0,
        "num_classes": 500,
        "audio_kernel": 80,
        "audio_stride": 4,
        "audio_widths": (64, 128, 256, 512),
        "audio_blocks": (2, 2, 2, 2),
        "audio_strides": (1, 2, 2, 2),
        "audio_dim": 512,
        "filterbank": False,
        "envelope": False,
        "compress": 0.0,
        "video_kernel": (5, 7, 7),
        "video_widths": (64, 128, 256, 512),
        "video_blocks": (3, 4, 6, 3),
        "video_pool": 2,
        "video_dim": 256,
        "rnn_units": 512,
        "step_bias": False,
        "gates": False,
        "fusion_on": "train",
        "fusion_snr_low": -5.0,
        "dropout": 0.0,
        "precision": "float32",
        "stage_epochs": (30, 5, 30, 30, 5, 30, 5, 30),
        "stage_rates": (3e-4,) * 8,
        "schedule": "halving",
        "step_weight": 0.0,
        "said_weight": 0.0,
        "stream_weight": 0.3,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
        "ema_momentum": 0.0,
    },
    # What two cores can train in two hours, on the 51 words of GRID.
    #   Two cores: 68 minutes; 98.0 % of the words right, 94.0 % in babble of -5 dB, where sound alone has 36.3 %.
    "cpu": {},
    # Small, on the recordings of `made`. Not measured.
    "demo": {
        "prepared_height": 24,
        "prepared_width": 40,
        "crop_height": 20,
        "crop_width": 36,
        "shift": 2,
        "speed": 0.0,
        "val_fraction": 0.25,
        "batch_size": 16,
        "num_classes": 0,
        "audio_kernel": 64,
        "audio_widths": (8, 8, 16, 16),
        "audio_strides": (1, 2, 1, 1),
        "audio_dim": 24,
        "envelope": False,
        "video_kernel": (3, 3, 3),
        "video_widths": (8, 8, 16, 16),
        "video_dim": 24,
        "rnn_units": 16,
        "gates": False,
        "fusion_on": "train",
        "fusion_snr_low": -5.0,
        "dropout": 0.0,
        "precision": "float32",
        "said_weight": 0.0,
        "ema_momentum": 0.0,
        "stages": ("audio_full", "video_full", "fusion_gru"),
        "stage_epochs": (6, 3, 8, 6, 3, 8, 5, 3),
        "stage_rates": (5e-3, 5e-3, 5e-3, 5e-3, 5e-3, 5e-3, 5e-3, 1e-3),
    },
}
Config.PRESETS = PRESETS
