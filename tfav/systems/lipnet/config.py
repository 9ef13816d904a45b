"""The settings of `lipnet`, and named presets of them. Loads no TensorFlow, so that `--help` stays quick."""

import dataclasses
from typing import Literal

from tfav.errors import UsageError
from tfav.ranges import ranged
from tfav.systems.lipnet.tokenizer import Alphabet, alphabet
from tfav.training.config import OptimizerConfig, Precision, ScheduleConfig, SplitConfig

SYSTEM = "lipnet"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ScheduleConfig, OptimizerConfig, SplitConfig):
    """All that decides what is learnt and how.

    Attributes:
        data_dir: A folder made by `tfav prepare lipnet`, or GRID's videos, which are then prepared into the cache.
        face_detector: Model file of the face detector; empty: `$TFAV_FACE_DETECTOR`, else it is fetched.
        box: Of the crop: `close` around the lips, `follow` with more of the face, or the notebook's `fixed` one.
        speakers: Use these only; empty: all.
        alphabet: `compact` or `notebook`.
        num_frames: Frames a clip has in the model; shorter ones are padded.
        crop_height: Of the picture in the model, in pixels.
        crop_width: Likewise.
        normalize: `clip`: zero mean and unit deviation over the clip; `wrapped`: as the notebook, whose subtraction
            wraps below 0, for its old weights.
        max_labels: Longest sentence in symbols.
        split: `lists`, `speaker` or `fraction`; `auto`: by the fields that are set, in this order.
        train_list: File that names the clips of the training part, one a line, `name` or `speaker/name`.
        val_list: Likewise of the validation part.
        test_list: Likewise of the test part.
        val_speakers: Speakers to validate on, unseen in training.
        test_speakers: Speakers to test on, likewise.
        val_fraction: Share kept for validation; with `train_list` and no `val_list`, of that list.
        max_unusable: Share of the clips found, and of those in `train_list`, that may be unusable and are then named in
            a warning; lists to validate and test on must be complete.
        mirror: Mirror clips at random in training.
        crop_jitter: Take the crop from a random place within the prepared one in training, else from its middle.
        brightness: Largest logarithm of the gamma drawn in training; what standardising does not take off again.
        speed: Largest change of speed in training, as a share.
        shift: Largest shift in time in training, in frames.
        drop: Share of the frames left out, and of those doubled, in training.
        splice: Share of the clips in training that get some words of another clip in place of their own.
        model: `notebook`, `paper` or `cpu`; see `model`.
        filters: Of the three convolutions over time.
        widths: `cpu`: channels of a residual network on each frame, a block for each, behind one convolution over time,
            in place of the three; empty: the three.
        dense_units: `cpu`: of the layer between convolutions and recurrent layers.
        rnn_units: Of each direction of each recurrent layer.
        unroll: Unroll the recurrent layers in training on a CPU: faster steps, slower to begin.
        dropout: Share of features dropped in training.
        word_weight: `cpu`: weight of the frame-wise word loss in training; 0 leaves that head out.
        feedback: `cpu`: the second recurrent layer also sees what the word head takes each frame for, and what the
            first one saw.
        ctc_weight: Weight of CTC's loss.
        sound_weight: `cpu`: weight of the loss of telling each frame's sound from the lips in training, which takes
            clips that were prepared with their sound; 0 leaves that head out.
        optimizer: `adamw`, or `muon`, which has the matrices then and leaves the rest to AdamW.
        learning_rate: At the start. With `muon` AdamW's is half of it.
        schedule: `constant`; `notebook`: after 30 epochs times exp(-0.1) each; `cosine`, down to 0 at the last epoch.
        init: A run folder, `pretrained`, or a weights file (`.npz`, old `.h5`, TensorFlow checkpoint) to begin with. Of
            another alphabet, all but the last layer is taken.
        freeze: `frontend`: what lies before the first recurrent layer stays as it is.
        grammar: File of a grammar for decoding (see `grammar`); empty: GRID's own; `none`: no such decoding.
        beam_width: Hypotheses that the beam keeps.
        word_share: How much the word head's vote on each word counts beside CTC's, which counts 1, when decoding by a
            grammar of words that the head knows; 0: not at all.
    """

    face_detector: str = ""
    box: Literal["close", "follow", "fixed"] = "follow"
    speakers: tuple[str, ...] = ()
    alphabet: str = "compact"
    num_frames: int = ranged(75, ge=1)
    crop_height: int = ranged(48, ge=1)
    crop_width: int = ranged(92, ge=1)
    normalize: Literal["clip", "wrapped"] = "clip"
    max_labels: int = ranged(40, ge=1)
    split: Literal["auto", "lists", "speaker", "fraction"] = "auto"
    train_list: str = ""
    val_list: str = ""
    test_list: str = ""
    val_speakers: tuple[str, ...] = ()
    test_speakers: tuple[str, ...] = ()
    max_unusable: float = ranged(0.01, ge=0, lt=1)
    mirror: bool = True
    crop_jitter: bool = True
    brightness: float = ranged(0.3, ge=0, lt=2)
    speed: float = ranged(0.07, ge=0, lt=0.5)
    shift: int = ranged(3, ge=0)
    drop: float = ranged(0.02, ge=0, lt=0.5)
    splice: float = ranged(0.0, ge=0, le=1)
    model: Literal["notebook", "paper", "cpu"] = "cpu"
    filters: tuple[int, ...] = ranged((32, 64, 96), ge=1, count=3)
    widths: tuple[int, ...] = ranged((), ge=1, count=0)
    dense_units: int = ranged(256, ge=1)
    rnn_units: int = ranged(160, ge=1)
    unroll: bool = True
    dropout: float = ranged(0.2, ge=0, lt=1)
    word_weight: float = ranged(1.0, ge=0)
    feedback: bool = False
    ctc_weight: float = ranged(0.04, gt=0)
    sound_weight: float = ranged(0.0, ge=0)
    precision: Precision = "mixed_bfloat16"
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = ranged(1.5e-3, gt=0, le=1)
    schedule: Literal["constant", "notebook", "cosine"] = "cosine"
    weight_decay: float = ranged(0.01, ge=0, lt=1)
    clip_norm: float = ranged(5.0, ge=0)
    ema_momentum: float = ranged(0.998, ge=0, lt=1)
    epochs: int = ranged(80, ge=1)
    init: str = ""
    freeze: Literal["", "frontend"] = ""
    grammar: str = ""
    beam_width: int = ranged(50, ge=1)
    word_share: float = ranged(0.0, ge=0)

    def __post_init__(self):
        """Refuses values that contradict one another."""
        super().__post_init__()
        alphabet(self.alphabet)
        if self.widths and self.model != "cpu":
            raise UsageError(f"only the model cpu has widths. Leave them out for model={self.model}.")
        if self.word_weight and self.model != "cpu":
            raise UsageError(f"only the model cpu has a word head. Set word_weight=0 for model={self.model}.")
        if self.feedback and not self.word_weight:
            raise UsageError(
                "feedback is what the word head says: it needs a word_weight above 0. Set feedback=False, too."
            )
        if self.sound_weight and self.model != "cpu":
            raise UsageError(f"only the model cpu has a head for sound. Set sound_weight=0 for model={self.model}.")
        if self.freeze and not self.init:
            raise UsageError("freeze=frontend needs init: there is nothing to keep in a model that begins at random.")
        if self.split == "lists" and not self.train_list:
            raise UsageError("split=lists needs train_list.")
        if self.split == "speaker" and not (self.val_speakers or self.test_speakers):
            raise UsageError("split=speaker needs val_speakers or test_speakers.")

    def symbols(self) -> Alphabet:
        """The alphabet itself."""
        return alphabet(self.alphabet)


_STILL = {"mirror": False, "crop_jitter": False, "brightness": 0.0, "speed": 0.0, "shift": 0, "drop": 0.0}
_PLAIN = {
    "word_weight": 0.0,
    "ctc_weight": 1.0,
    "precision": "float32",
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "ema_momentum": 0.0,
}

# Each preset: the fields in which it differs from the defaults above.
PRESETS: dict[str, dict] = {
    # The course notebook: its fixed box, its 40 symbols, batches of 2, nothing augmented; Adam 1e-4, 100 epochs.
    # tfav train lipnet --preset notebook --data-dir fixed_box_shards --run-dir runs/notebook. Not measured.
    "notebook": {
        **_STILL,
        **_PLAIN,
        "box": "fixed",
        "alphabet": "notebook",
        "crop_height": 46,
        "crop_width": 140,
        "batch_size": 2,
        "model": "notebook",
        "filters": (128, 256, 75),
        "rnn_units": 128,
        "dropout": 0.5,
        "learning_rate": 1e-4,
        "schedule": "notebook",
        "epochs": 100,
    },
    # LipNet's own: landmark crop 100 x 50, mirrored at random, 5 % of the frames dropped or doubled, Adam 1e-4,
    # batches of 50. It was published on 32,000 clips. Not measured.
    "paper": {
        **_STILL,
        **_PLAIN,
        "crop_height": 50,
        "crop_width": 100,
        "mirror": True,
        "drop": 0.05,
        "batch_size": 50,
        "model": "paper",
        "rnn_units": 256,
        "dropout": 0.5,
        "learning_rate": 1e-4,
        "schedule": "constant",
        "epochs": 100,
    },
    # What one core trains in half an hour.
    #   tfav train lipnet --preset cpu --data-dir mouths --run-dir runs/cpu --train-list learn.txt --val-list hold.txt
    #   24 minutes with 599 clips on one core, another training on the other one. Of 150 unseen clips of the same
    #   speaker, which chose the settings, 5.3 % of the words were wrong greedily and 4.0 % by the grammar. The README
    #   tells which weights ship.
    "cpu": {
        "widths": (32, 64, 96, 128),
        "rnn_units": 192,
        "feedback": True,
        "sound_weight": 0.5,
        "splice": 0.7,
        "optimizer": "muon",
        "learning_rate": 3e-3,
        "epochs": 40,
        "word_share": 2.0,
    },
    # Small, on the clips of `made`. Not measured.
    "demo": {
        "crop_height": 24,
        "crop_width": 48,
        "num_frames": 40,
        "val_fraction": 0.2,
        "filters": (8, 16, 24),
        "dense_units": 48,
        "rnn_units": 32,
        "unroll": False,
        "dropout": 0.0,
        "precision": "float32",
        "learning_rate": 5e-3,
        "ema_momentum": 0.0,
        "epochs": 14,
    },
}
Config.PRESETS = PRESETS
