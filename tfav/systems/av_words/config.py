"""The settings of `av_words`, and named presets of them. Loads no TensorFlow, so that `--help` stays quick."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from tfav.errors import UsageError
from tfav.io.cache import cache_folder
from tfav.training import settings

SYSTEM = "av_words"
LAYOUTS = ("grid", "lrw")
NOISES = ("white", "pink", "babble", "folder")


@dataclasses.dataclass(frozen=True)
class Config:
    """All that decides what is learnt and how.

    Attributes:
        preset_name: Preset this configuration came from.
        data_dir: A folder made by `tfav prepare av_words`, or videos, which are then prepared into the cache.
        cache_dir: Where prepared data are kept; empty: `$TFAV_CACHE`, else `~/.cache/tfav`.
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
        test_fraction: Share kept for the test part.
        max_unusable: Share of the recordings, and of those in `train_list`, that may be unusable and are then named in
            a warning; lists to validate and test on must be complete.
        mirror: Mirror windows at random in training.
        crop_jitter: Take the crop from a random place within the prepared one in training, else from its middle.
        brightness: Largest logarithm of the gamma drawn in training; what standardising does not take off again.
        shift: Largest shift of the window in training, in frames; sound and pictures move together.
        drop_audio: Share of the windows whose sound is silenced in training, so that lips are relied on too.
        drop_video: Share of the windows whose pictures are blanked in training; never both of one window.
        noise: Kinds of noise added in training, one of them drawn per window: `white`, `pink`, `babble` of other
            training recordings, `folder`; none: no noise.
        noise_dir: Folder of sound files, for `folder`.
        noise_clean: Share of the windows left clean.
        snr_low: Signal to noise ratio in dB drawn in training, from
        snr_high: to.
        babble_voices: Recordings that babble is mixed from.
        batch_size: Windows per step.
        seed: Of the split, the initial weights, the order, the augmentation and the noise.
    """

    preset_name: str = "cpu"
    data_dir: str = ""
    cache_dir: str = ""
    face_detector: str = ""
    layout: str = "grid"
    words: str = ""
    box: str = "follow"
    prepared_height: int = 48
    prepared_width: int = 80
    crop_height: int = 40
    crop_width: int = 72
    num_frames: int = 29
    num_samples: int = 19456
    sample_rate: int = 16000
    normalize: str = "clip"
    split: str = "auto"
    train_list: str = ""
    val_list: str = ""
    test_list: str = ""
    val_fraction: float = 0.1
    test_fraction: float = 0.0
    max_unusable: float = 0.01
    mirror: bool = True
    crop_jitter: bool = True
    brightness: float = 0.3
    shift: int = 2
    drop_audio: float = 0.0
    drop_video: float = 0.0
    noise: tuple[str, ...] = ("babble",)
    noise_dir: str = ""
    noise_clean: float = 1 / 7
    snr_low: float = -5.0
    snr_high: float = 20.0
    babble_voices: int = 5
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self):
        """Refuses values that contradict one another.

        Raises:
            UsageError: Naming the field, what it needs and what it was given.
        """
        settings.check_choices(self, _CHOICES)
        settings.check_positive(self, _POSITIVE)
        for field in ("val_fraction", "test_fraction", "max_unusable", "drop_audio", "drop_video"):
            if not 0 <= getattr(self, field) < 1:
                raise UsageError(f"{field} must be 0 or more and below 1. Received: {getattr(self, field)}")
        if self.val_fraction + self.test_fraction >= 1:
            raise UsageError("val_fraction and test_fraction must leave something to train on.")
        if self.drop_audio + self.drop_video > 1:
            raise UsageError("drop_audio and drop_video must be at most 1 together: no window loses both.")
        if not 0 <= self.noise_clean <= 1:
            raise UsageError(f"noise_clean must be 0 to 1. Received: noise_clean={self.noise_clean}")
        if not 0 <= self.brightness < 2:
            raise UsageError(f"brightness must be 0 or more and below 2. Received: {self.brightness}")
        if self.shift < 0:
            raise UsageError(f"shift must be 0 or more. Received: shift={self.shift}")
        if self.snr_low > self.snr_high:
            raise UsageError(f"snr_low must not be above snr_high. Received: {self.snr_low} and {self.snr_high}")
        if unknown := [kind for kind in self.noise if kind not in NOISES]:
            raise UsageError(f"noise must be of {', '.join(NOISES)}. Received: {', '.join(unknown)}")
        if "folder" in self.noise and not self.noise_dir:
            raise UsageError("noise=folder needs noise_dir, a folder of sound files.")
        if self.crop_height > self.prepared_height or self.crop_width > self.prepared_width:
            raise UsageError(
                f"the crop of {self.crop_height}x{self.crop_width} is larger than the prepared one of "
                f"{self.prepared_height}x{self.prepared_width}."
            )
        if self.split == "lists" and not self.train_list:
            raise UsageError("split=lists needs train_list.")

    @classmethod
    def preset(cls, name: str, **overrides) -> "Config":
        """The configuration of a named preset, with some fields set otherwise.

        Raises:
            UsageError: An unknown preset or field.
        """
        return settings.from_preset(cls, PRESETS, name, overrides)

    @classmethod
    def from_dict(cls, stored: Mapping, source: str = "the stored configuration") -> "Config":
        """Reads what a run folder keeps."""
        return settings.from_dict(cls, stored, source)

    def cache_path(self) -> Path:
        """Folder for prepared data."""
        return cache_folder(self.cache_dir)


_CHOICES = {
    "layout": LAYOUTS,
    "box": ("follow", "fixed"),
    "normalize": ("clip", "lrw"),
    "split": ("auto", "folders", "lists", "fraction"),
}
_POSITIVE = (
    "prepared_height",
    "prepared_width",
    "crop_height",
    "crop_width",
    "num_frames",
    "num_samples",
    "sample_rate",
    "babble_voices",
    "batch_size",
)

# Each preset: the fields in which it differs from the defaults above.
PRESETS: dict[str, dict] = {
    # The network of the paper, on the 500 words of LRW. Not measured.
    "lrw": {
        "layout": "lrw",
        "box": "fixed",
        "prepared_height": 96,
        "prepared_width": 96,
        "crop_height": 88,
        "crop_width": 88,
        "normalize": "lrw",
        "brightness": 0.0,
        "shift": 0,
    },
    # What two cores can train in two hours, on the 51 words of GRID. Not measured.
    "cpu": {},
    # Small, on the recordings of `made`. Not measured.
    "demo": {
        "prepared_height": 24,
        "prepared_width": 40,
        "crop_height": 20,
        "crop_width": 36,
        "val_fraction": 0.25,
        "batch_size": 16,
    },
}
