"""The settings of `lipnet`, named presets of them, and its flags. Loads no TensorFlow, so that `--help` stays quick."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tfav.errors import UsageError
from tfav.io.workers import Workers
from tfav.ranges import ranged
from tfav.speech.text_normalization import Digits
from tfav.speech.tokenizer import (
    LEARNT,
    LEARNT_WORDS,
    TOKENIZERS,
    WORD_LISTS,
    Tokenizer,
    store,
    tokenizer_of,
    words_of,
)
from tfav.training.config import OptimizerConfig, Precision, ScheduleConfig, SplitConfig
from tfav.training.system import Control, RunOptions, Tab

SYSTEM = "lipnet"
MouthCrop = Literal["tracked", "tight", "fixed"]
_WITH_HEADS = ("conv3d", "resnet")  # models that have a word head and one for audio


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ScheduleConfig, OptimizerConfig, SplitConfig):
    """All that decides what is learnt and how.

    Attributes:
        data_dir: A folder made by `tfav prepare lipnet`, or GRID's videos, which are then prepared into the cache.
        mouth_crop: `tracked` follows the mouth and shows more of the face; `tight`, around the lips, follows it, too;
            `fixed` is the course notebook's place.
        tokenizer: Symbols of the sentences: `characters` or `words` of the training part; `compact`, a-z and the space;
            `notebook`, its 40; or a file with a symbol a line.
        min_count: Symbols that the training part has less often are told and left out.
        words: What the word head tells apart: `learnt`, the words of the training part; `grid`, its 51; `none`; or a
            file with a word a line.
        min_word_count: Words that the training part has less often are not learnt by the word head. Where none is left
            there is no word head.
        times: Where the times of words come from, which the word head needs: `given` ones alone; `self`, found from the
            text; `auto`, given ones, and found ones for clips without; `none`.
        num_frames: Frames a clip has in the model; shorter ones are padded.
        crop_size: Height and width of the picture in the model, in pixels.
        normalize: `clip`: zero mean and unit deviation over the clip; `wrapped`: as the course notebook, whose
            subtraction wraps below 0, for its old weights.
        train_list: File that names the clips of the training part, one a line, `name` or `speaker/name`.
        val_list: File that names the clips of the validation part.
        test_list: File that names the clips of the test part.
        val_speakers: Speakers to validate on, unseen in training. Not with lists.
        test_speakers: Speakers to test on, unseen in training. Not with lists.
        val_fraction: Share kept for validation; with `train_list` and no `val_list`, of that list.
        flip: Mirror clips at random in training.
        crop_jitter: Take the crop from a random place within the prepared one in training, else from its middle.
        brightness: Largest logarithm of the gamma drawn in training; what standardising does not take off again.
        speed_perturb: Largest change of speed in training, as a share; with one, clips are also shifted in time.
        frame_drop_rate: Share of the frames left out, and of those doubled, in training.
        word_splice_prob: Share of the clips in training that get some words of another clip in place of their own.
        model: `notebook` and `paper` have three 3-D convolutions and no heads; `conv3d` and `resnet` have batch
            normalisation and heads, on three 3-D convolutions or on a residual network of each frame.
        filters: Channels of the three 3-D convolutions; of `resnet`: of each block of the per-frame ResNet.
        rnn_units: Width of each direction of each recurrent layer.
        dropout: Share of features dropped in training.
        word_loss_weight: Weight of the frame-wise word loss in training; 0 leaves the word head out. CTC's loss counts
            1/25 beside it, and 1 without it.
        mel_loss_weight: Weight of the loss of predicting log-mel features of the audio, which takes clips with audio;
            0 leaves that head out.
        optimizer: `adamw`, or `muon`, which has the matrices then and leaves the rest to AdamW at half the rate.
        schedule: `constant`; `notebook`: after 30 epochs times exp(-0.1) each; `cosine`, down to 0 at the last epoch.
        init: A run folder, `pretrained`, or a weights file (`.npz`, old `.h5`, TensorFlow checkpoint) to begin with.
            With another tokenizer, all but the last layer is taken.
        freeze: `frontend`: what lies before the first recurrent layer stays as it is.
        grammar: File of a grammar for decoding; empty: GRID's own, if the word head knows its words; `none`: no such
            decoding.
    """

    mouth_crop: MouthCrop = "tracked"
    tokenizer: str = "characters"
    min_count: int = ranged(2, ge=1)
    words: str = LEARNT_WORDS
    min_word_count: int = ranged(5, ge=1)
    times: Literal["auto", "given", "self", "none"] = "auto"
    num_frames: int = ranged(75, ge=1)
    crop_size: tuple[int, int] = ranged((48, 92), ge=1, count=2)
    normalize: Literal["clip", "wrapped"] = "clip"
    train_list: str = ""
    val_list: str = ""
    test_list: str = ""
    val_speakers: tuple[str, ...] = ()
    test_speakers: tuple[str, ...] = ()
    flip: bool = True
    crop_jitter: bool = True
    brightness: float = ranged(0.3, ge=0, lt=2)
    speed_perturb: float = ranged(0.07, ge=0, lt=0.5)
    frame_drop_rate: float = ranged(0.02, ge=0, lt=0.5)
    word_splice_prob: float = ranged(0.0, ge=0, le=1)
    model: Literal["notebook", "paper", "conv3d", "resnet"] = "conv3d"
    filters: tuple[int, ...] = ranged((32, 64, 96), ge=1)
    rnn_units: int = ranged(160, ge=1)
    dropout: float = ranged(0.2, ge=0, lt=1)
    word_loss_weight: float = ranged(1.0, ge=0)
    mel_loss_weight: float = ranged(0.0, ge=0)
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

    def __post_init__(self):
        """Refuses values that contradict one another."""
        super().__post_init__()
        if self.model != "resnet" and len(self.filters) != 3:
            raise UsageError(f"filters must be three numbers for model={self.model}. Received: filters={self.filters}")
        if self.model not in _WITH_HEADS:
            for field, head in (("word_loss_weight", "a word head"), ("mel_loss_weight", "a head for audio")):
                if getattr(self, field):
                    models = " and ".join(_WITH_HEADS)
                    raise UsageError(f"only the models {models} have {head}. Set {field}=0 for model={self.model}.")
        if self.freeze and not self.init:
            raise UsageError("freeze=frontend needs init: there is nothing to keep in a model that begins at random.")
        if self.train_list and (self.val_speakers or self.test_speakers):
            raise UsageError("a split is by train_list, or by val_speakers and test_speakers. Give one of them.")

    def symbols(self) -> Tokenizer:
        """The tokenizer itself.

        Raises:
            UsageError: It is learnt from the data; `open_data(config).config` has it.
        """
        return tokenizer_of(self.tokenizer)

    def known_words(self) -> tuple[str, ...]:
        """What the word head tells apart, in the order of its classes behind silence.

        Raises:
            UsageError: As `symbols`.
        """
        return words_of(self.words)

    def with_learnt(self, metadata: Mapping) -> "Config":
        """The configuration of a run, with the symbols and words that its run folder stores."""
        changes = {}
        if self.tokenizer not in TOKENIZERS:
            changes["tokenizer"] = store(metadata["symbols"])
        if self.words not in WORD_LISTS:
            changes["words"] = store(metadata["words"])
            changes["word_loss_weight"] = self.word_loss_weight if metadata["words"] else 0.0
        return dataclasses.replace(self, **changes)

    @property
    def is_learnt(self) -> bool:
        """Whether symbols and words are known, or wait for the data."""
        return self.tokenizer not in LEARNT and self.words != LEARNT_WORDS


_STILL = {
    "flip": False,
    "crop_jitter": False,
    "brightness": 0.0,
    "speed_perturb": 0.0,
    "frame_drop_rate": 0.0,
}
_PLAIN = {
    "word_loss_weight": 0.0,
    "precision": "float32",
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "ema_momentum": 0.0,
}

# Each preset: the fields in which it differs from the defaults above.
PRESETS: dict[str, dict] = {
    # The course notebook: its fixed crop, its 40 symbols, batches of 2, nothing augmented; Adam 1e-4, 100 epochs.
    # tfav train lipnet --preset notebook --data-dir fixed_crop_shards --run-dir runs/notebook. Not measured.
    "notebook": {
        **_STILL,
        **_PLAIN,
        "mouth_crop": "fixed",
        "tokenizer": "notebook",
        "words": "none",
        "crop_size": (46, 140),
        "batch_size": 2,
        "model": "notebook",
        "filters": (128, 256, 75),
        "rnn_units": 128,
        "dropout": 0.5,
        "learning_rate": 1e-4,
        "schedule": "notebook",
        "epochs": 100,
    },
    # LipNet's own: landmark crop 100 x 50, flipped at random, 5 % of the frames dropped or doubled, Adam 1e-4,
    # batches of 50. It was published on 32,000 clips. Not measured.
    "paper": {
        **_STILL,
        **_PLAIN,
        "crop_size": (50, 100),
        "flip": True,
        "frame_drop_rate": 0.05,
        "batch_size": 50,
        "tokenizer": "compact",
        "words": "none",
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
        "model": "resnet",
        "filters": (32, 64, 96, 128),
        "rnn_units": 192,
        "mel_loss_weight": 0.5,
        "word_splice_prob": 0.7,
        "optimizer": "muon",
        "learning_rate": 3e-3,
        "epochs": 40,
    },
    # One new speaker with few clips, such as `tfav enrol` files, from the weights that ship. Not measured.
    #   tfav train lipnet --preset adapt --data-dir mouths --run-dir runs/me
    "adapt": {
        "tokenizer": "compact",
        "words": "grid",
        "model": "resnet",
        "filters": (32, 64, 96, 128),
        "rnn_units": 192,
        "word_splice_prob": 0.7,
        "init": "pretrained",
        "val_fraction": 0.0,
        "learning_rate": 5e-4,
        "ema_momentum": 0.0,
        "epochs": 30,
    },
    # Small, on the clips of `demo`. Not measured.
    "demo": {
        "tokenizer": "compact",
        "words": "grid",
        "crop_size": (24, 48),
        "num_frames": 40,
        "val_fraction": 0.2,
        "filters": (8, 16, 24),
        "rnn_units": 32,
        "dropout": 0.0,
        "precision": "float32",
        "learning_rate": 5e-3,
        "ema_momentum": 0.0,
        "epochs": 14,
    },
}
Config.PRESETS = PRESETS


# Flags of other commands --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareOptions(Workers):
    """Recordings of faces with their transcripts become shards of mouth crops, beside a contact sheet to look at.

    Example:
        tfav prepare lipnet --source grid --out grid_shards --speakers s1 s2
    """

    mouth_crop: MouthCrop = "tracked"
    """Mouth crop: tracked follows the mouth, tight follows the lips, fixed is the course notebook's place."""
    speakers: tuple[str, ...] = ()
    """Prepare only these speakers, such as s1 s2. Default: all."""
    transcripts: Path | None = None
    """Table of videos and texts (.csv, .tsv), or folder of transcripts. Default: they lie beside the videos."""
    fps: float = ranged(25.0, gt=0, le=120)
    """Frames per second of the clips, whatever the videos have."""
    max_seconds: float = ranged(12.0, gt=0)
    """Longest utterance in seconds; longer ones are divided at their pauses, or left out and named."""
    digits: Digits = "keep"
    """Digits in transcripts: keep them, or refuse the utterance, since 10 is read as ten."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Word and character error rates, greedy, by beam search and by the grammar, with 95 % intervals.

    Example:
        tfav evaluate lipnet --run-dir pretrained --data-dir grid_shards
    """

    lm: Path | None = None
    """Language model, an .arpa file of tfav lm or any tool; its weight is chosen on the run's validation part."""
    hot_words: Path | None = None
    """File of words that are likely, one a line, a number behind it for how much (2)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(RunOptions):
    """What a person says in each video, with word times, as text, subtitles and an alignment.

    Example:
        tfav predict lipnet --run-dir pretrained speech.mp4 --captions speech_captions.mp4
    """

    face: int | None = ranged(None, ge=1)
    """Which face to read, counted from the left from 1. Default: the one that speaks."""
    out: Path | None = None
    """Folder for subtitles and alignments. Default: predictions/ in the run folder."""
    captions: Path | None = None
    """Video to write with the words drawn in, an .mp4 file; goes with one video."""
    grammar: str | None = None
    """Grammar file of what may be said, or none. Default: the run's own."""
    lm: Path | None = None
    """Language model, an .arpa file of tfav lm or any tool; tfav evaluate --lm chooses its weight."""
    hot_words: Path | None = None
    """File of words that are likely, one a line, a number behind it for how much (2)."""


def _files_and_face(values, out: Path) -> dict:
    return {"out": out, "captions": out / "captions.mp4", "face": values["face"] or None}


TAB = Tab(
    system=SYSTEM,
    title="Lip reading",
    intro="Reads what a person says from the movements of the mouth alone, without the sound. Show one face from the "
    "front.",
    button="Read the lips",
    make_run="tfav train lipnet --preset cpu --data-dir grid_shards --run-dir runs/lips",
    example_label="Use a made video: a drawn face",
    example="tfav.speech.synthetic_speaker:write_speaking_face",
    controls=(
        Control(
            name="face",
            label="Which face",
            info="Counted from the left; 0 is the one that speaks",
            low=0,
            high=20,
            start=0,
        ),
    ),
    options=_files_and_face,
    position=1,
)
