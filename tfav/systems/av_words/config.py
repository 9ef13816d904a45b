"""Settings of `av_words`, named presets of them, and its flags. Loads no TensorFlow, so that `--help` stays quick."""

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

import tyro

from tfav.errors import UsageError
from tfav.io.workers import Workers
from tfav.ranges import ranged
from tfav.systems.av_words.networks import NETWORKS, Network
from tfav.training.config import OptimizerConfig, Precision, SplitConfig
from tfav.training.system import Control, RunOptions, Tab

SYSTEM = "av_words"
Layout = Literal["grid", "recordings", "lrw"]
MIN_COUNT = 20  # of a word in recordings, to be told apart
LAYOUTS = get_args(Layout)
MouthCrop = Literal["tracked", "fixed"]
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
        layout: Of videos in `data_dir`: `grid`, sentences with alignments; `recordings`, any with word times; `lrw`, a
            folder per word.
        words: File of the words to tell apart, one a line, in the order of their numbers; empty: those the data were
            prepared with.
        mouth_crop: Where videos are prepared: `tracked` follows the mouth, `fixed` is LRW's place.
        prepared_size: Height and width of the prepared crop in pixels; larger than the model's, so that training can
            move it.
        crop_size: Height and width of the picture in the model, in pixels.
        normalize: Of pictures. `clip`: zero mean and unit deviation over the window; `lrw`: grey 0-1, less the mean of
            LRW's training part, over its deviation.
        train_list: File that names the recordings (GRID: sentences) of the training part, one a line.
        val_list: File that names the recordings of the validation part.
        test_list: File that names the recordings of the test part.
        val_fraction: Share of the recordings kept for validation; with `train_list` and no `val_list`, of that list.
            LRW's folders train, val and test are used where there are any and no lists are given.
        flip: Mirror windows at random in training.
        crop_jitter: Take the crop from a random place within the prepared one in training, else from its middle.
        brightness: Largest logarithm of the gamma drawn in training; what standardising does not take off again.
        shift_frames: Largest shift of the window in training, in frames; sound and pictures move together.
        speed_perturb: Largest change of speed in training, as a share; of both together, the pitch changes along.
        noise: Kinds of noise added in training, one of them drawn per window: `white`, `pink`, `babble` of other
            training recordings, `folder`; none: no noise.
        noise_dir: Folder of sound files, for `folder`.
        noise_clean: Share of the windows left clean.
        snr_range: Lowest and highest training SNR, in dB.
        fusion_snr_low: Lowest training SNR in the stages of the fusion, in dB; it must learn to leave sound that is
            lost.
        babble_voices: Recordings that babble is mixed from.
        batch_size: Windows per step.
        num_classes: Words to tell apart; 0: as many as the data have.
        network: Sizes of the network: `paper`, `cpu`, `demo`, or a name of your own that was put into `NETWORKS`.
        fusion_split: The part that the fusion's stages learn from: `train`, or `val`, whose words the streams have not
            learnt by heart, so that they err as they will elsewhere.
        dropout: Share of features dropped in training before each recurrent layer and before the words.
        stages: Of the chain, those to train now (see `STAGES`); empty: all, in order.
        stage_epochs: Passes over the training part in each of the eight stages.
        stage_rates: Learning rate at the start of each stage.
        schedule: Of the rate in a stage. `constant`; `halving` every five epochs; `cosine`, down to 0 at its end.
        step_weight: Weight of the loss of each step's own word, beside that of the mean over the steps.
        said_weight: Weight, in the stages of a stream, of the loss of telling at each step what is being said then, the
            neighbours of the window's word too; that head is for training only. It takes words with their times, as
            GRID has them.
        stream_weight: Weight of each stream's own loss in the last stage, which keeps its words right as it changes.
        patience: Epochs without a better validation before a stage stops; 0 never stops.
        init: A run folder or `pretrained`, whose weights the stages without a predecessor begin with.
    """

    # LRW's window, which the network's 29 steps are made for.
    num_frames: ClassVar[int] = 29
    num_samples: ClassVar[int] = 19456  # both begin at the same moment
    sample_rate: ClassVar[int] = 16000  # samples per second

    layout: Layout = "grid"
    words: str = ""
    mouth_crop: MouthCrop = "tracked"
    prepared_size: tuple[int, int] = ranged((48, 80), ge=1, count=2)
    crop_size: tuple[int, int] = ranged((40, 72), ge=1, count=2)
    normalize: Literal["clip", "lrw"] = "clip"
    train_list: str = ""
    val_list: str = ""
    test_list: str = ""
    flip: bool = True
    crop_jitter: bool = True
    brightness: float = ranged(0.3, ge=0, lt=2)
    shift_frames: int = ranged(0, ge=0)
    speed_perturb: float = ranged(0.07, ge=0, lt=0.5)
    noise: tuple[Noise, ...] = ("babble",)
    noise_dir: str = ""
    noise_clean: float = ranged(1 / 7, ge=0, le=1)
    snr_range: tuple[float, float] = ranged((-5.0, 20.0), ge=-100, le=100, count=2)
    fusion_snr_low: float = ranged(-10.0, ge=-100, le=100)
    babble_voices: int = ranged(5, ge=1)
    batch_size: int = ranged(32, ge=1)
    num_classes: int = ranged(51, ge=2, also=(0,))
    network: str = "cpu"
    fusion_split: Literal["train", "val"] = "val"
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
        if self.network not in NETWORKS:
            raise UsageError(f"network must be one of {', '.join(NETWORKS)}. Received: network={self.network}")
        low, high = self.snr_range
        for name, value in (("the first number of snr_range", low), ("fusion_snr_low", self.fusion_snr_low)):
            if value > high:
                raise UsageError(f"{name} must not be above the second of snr_range. Received: {value} and {high}")
        if "folder" in self.noise and not self.noise_dir:
            raise UsageError("noise=folder needs noise_dir, a folder of sound files.")
        if self.crop_size[0] > self.prepared_size[0] or self.crop_size[1] > self.prepared_size[1]:
            raise UsageError(
                f"the crop of {self.crop_size[0]}x{self.crop_size[1]} is larger than the prepared one of "
                f"{self.prepared_size[0]}x{self.prepared_size[1]}."
            )

    @property
    def epochs(self) -> int:
        """Of the last stage, or of a plain `model.fit` of `build_model`, which is what that stage trains."""
        return self.stage_epochs[-1]

    @property
    def learning_rate(self) -> float:
        """Learning rate of the last stage at its start."""
        return self.stage_rates[-1]

    @property
    def sizes(self) -> Network:
        """Sizes of the network."""
        return NETWORKS[self.network]


# Each preset: the fields in which it differs from the defaults above.
PRESETS: dict[str, dict] = {
    # The network of the paper, on the 500 words of LRW. Not measured.
    "notebook": {
        "layout": "lrw",
        "mouth_crop": "fixed",
        "prepared_size": (96, 96),
        "crop_size": (88, 88),
        "normalize": "lrw",
        "brightness": 0.0,
        "speed_perturb": 0.0,
        "num_classes": 500,
        "network": "paper",
        "fusion_split": "train",
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
    # Small, on the recordings of `demo`. Not measured.
    "demo": {
        "prepared_size": (24, 40),
        "crop_size": (20, 36),
        "shift_frames": 2,
        "speed_perturb": 0.0,
        "val_fraction": 0.25,
        "batch_size": 16,
        "num_classes": 0,
        "network": "demo",
        "fusion_split": "train",
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


# Flags of other commands --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareOptions(Workers):
    """Recordings with word times, or clips of single words, become shards of mouth crops with their sound.

    Example:
        tfav prepare av_words --source grid --from grid --out word_shards
    """

    layout: Annotated[Layout, tyro.conf.arg(name="from")] = "grid"
    """grid: its sentences; recordings: any with word times; lrw: WORD/train/WORD_00001.mp4, or LRW's arrays."""
    mouth_crop: MouthCrop | None = None
    """Mouth crop: tracked follows the mouth (default for grid), fixed is LRW's place (default for lrw)."""
    crop_size: tuple[int, int] | None = ranged(None, ge=1, count=2)
    """Height and width of the mouth crop in pixels. Default: what the presets cpu (grid) and notebook (lrw) take."""
    speakers: tuple[str, ...] = ()
    """Prepare only these speakers, such as s1 s2. Default: all."""
    transcripts: Path | None = None
    """Of recordings: table of videos and texts, or folder of transcripts. Default: they lie beside the videos."""
    min_count: int = ranged(MIN_COUNT, ge=1)
    """Of recordings: words that are said so often are told apart; the others are only heard."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Accuracy by audio, by lips and by both, at each signal-to-noise ratio, with 95 % intervals.

    Example:
        tfav evaluate av_words --run-dir runs/words --part test --snr clean,20,15,10,5,0,-5
    """

    snr: str | None = None
    """Signal-to-noise ratios in dB to score at, such as clean,20,0,-5. Default: clean."""
    noise: Noise = "babble"
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


TAB = Tab(
    system=SYSTEM,
    title="Words",
    intro="Recognises one spoken word by its sound, by the lips, and by both, which helps where it is noisy.",
    button="Recognise the word",
    make_run="tfav demo, which leaves runs/demo/av_words/run",
    example_label="Use a made video: a drawn face that sings",
    example="tfav.speech.synthetic_speaker:write_singing_face",
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
