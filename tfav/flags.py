"""What each command takes: a dataclass whose fields are its flags, their docstrings the help."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from tfav.ranges import ranged

Positional = tyro.conf.Positional
SystemName = Annotated[Positional[str], tyro.conf.arg(metavar="SYSTEM")]
FileName = Annotated[Positional[Path], tyro.conf.arg(metavar="FILE")]


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Make a data set ready for training, once: videos become folders of frames, for two_stream also of flow.

    For lipnet they become shards of mouth crops, beside a contact sheet; for av_words with their sound.

    Parallel, and resumable: what is done is skipped, what a killed run left half-done is done again.

    Example:
        tfav prepare cnn_lstm --source data/UCF101 --out data/UCF101_frames --every-sec 1
    """

    system: SystemName
    """One of the systems listed by tfav --help."""
    source: Path
    """Folder of CLASS/VIDEO files."""
    out: Path
    """Where the result goes."""
    every_sec: float | None = ranged(None, gt=0)
    """Keep one frame each so many seconds; or"""
    num_frames: int | None = ranged(None, ge=1)
    """keep so many frames, evenly spaced over the whole length; or neither: all frames."""
    size: int | None = ranged(None, ge=1)
    """Length of a frame's shorter side in pixels; as filmed where not given."""
    quality: int | None = ranged(None, ge=1, le=100)
    """Of the JPEG files, 1-100; 95 where not given."""
    flow_method: str | None = None
    """Optical flow for two_stream: tvl1 (the reference), dis or farneback (fast)."""
    workers: int | None = ranged(None, ge=0)
    """Processes; one per core where not given."""
    backend: str | None = None
    """loky: processes on this machine (the default); dask or ray: a cluster that sees the same files."""
    address: str | None = None
    """Of the cluster, such as tcp://host:8786 for dask."""
    box: str | None = None
    """For lipnet: follow (the mouth, the default), close (around the lips) or fixed (the notebook's); for av_words:
    follow (the default for grid) or fixed (LRW's, the default for lrw)."""
    speakers: tuple[str, ...] | None = None
    """For lipnet and av_words: these speakers only, such as s1 s2."""
    layout: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """For av_words: grid (sentences with alignments, the default) or lrw (WORD/train/WORD_00001.mp4, or arrays)."""
    crop: tuple[int, int] | None = ranged(None, ge=1, count=2)
    """For av_words: height and width of the mouth; what its presets cpu and lrw take where not given."""
    sequences: int | None = ranged(None, ge=1)
    """For next_frame: how many sequences of Moving MNIST to write, where --source is mnist.npz."""
    json: bool = False
    """Print the report as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a system into a run folder; the same command goes on with a run that was killed.

    Every field of the configuration is a flag, set on top of the preset.

    Example:
        tfav train cnn_lstm --preset transfer --data-dir videos --run-dir runs/mine
    """

    run_dir: Path
    """Run folder to make, or to go on with."""
    preset: str
    """Named settings to start from."""
    devices: str | None = None
    """gpu, gpu:2, cpu, or cpu:2 (two logical CPUs); all GPUs where not given, one CPU where there are none."""
    accumulate: int = ranged(1, ge=1)
    """Batches whose gradients make one step: a larger batch in the memory of a smaller one."""
    data_service: str | None = None
    """Let a tf.data service make the training batches: its dispatcher, such as grpc://host:5050."""
    deterministic: bool = False
    """The same history to the last digit for the same seed and machine; slower."""
    json: bool = False
    """Print the last epoch's figures as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Score every example under a folder, or of a part of the run's own data.

    Example:
        tfav evaluate cnn_lstm --run-dir runs/mine --data-dir unseen_videos
        tfav evaluate two_stream --run-dir runs/fusion --part test
        tfav evaluate av_words --run-dir runs/words --part test --snr clean,20,15,10,5,0,-5
    """

    system: SystemName
    """One of the systems listed by tfav --help."""
    run_dir: Path
    """A trained run; pretrained, where the system ships weights."""
    data_dir: Path | None = None
    """Folder of CLASS/VIDEO, for lipnet GRID's tree; the run's own where not given, and then --part is needed."""
    part: str | None = None
    """train, val or test: that part of the run's split; all: every example."""
    shuffle_frames: bool = False
    """Put each clip's frames in random order first, to see what their order is worth."""
    snr: str | None = None
    """For av_words: signal to noise ratios in dB to score at, as in clean,20,0,-5; clean where not given."""
    noise: str | None = None
    """For av_words: white, pink, babble (the default) or folder."""
    corrupt_video: str | None = None
    """For av_words: black, frozen or blurred pictures."""
    json: bool = False
    """Print the whole result as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class Predict:
    """Say what a trained model sees in any video file.

    Example:
        tfav predict cnn_lstm --run-dir runs/mine holiday.mp4
        tfav predict lipnet --run-dir pretrained speech.mp4 --captions speech_captions.mp4
    """

    system: SystemName
    """One of the systems listed by tfav --help."""
    files: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE...")]
    """Video files."""
    run_dir: Path | None = None
    """A trained run, or pretrained where the system ships weights; for two_stream instead:"""
    spatial: str | None = None
    """its spatial stream, a run folder or an old Keras .h5 file, and"""
    motion: str | None = None
    """its motion stream;"""
    demo: Path | None = None
    """an annotated .mp4 to write;"""
    labels: Path | None = None
    """class names, one a line, where an .h5 file has others than UCF101's;"""
    flow_method: str | None = None
    """tvl1, dis or farneback;"""
    stack_length: int | None = ranged(None, ge=1)
    """flow pictures the motion stream takes, where an .h5 file has others than 10."""
    frames: int | None = ranged(None, ge=1)
    """For next_frame: frames to predict after each video's last, and"""
    out: Path | None = None
    """the folder for GIF and MP4 files of them, for lipnet subtitles, for av_words pages; predictions/ in the run
    folder by default."""
    face: int | None = ranged(None, ge=1)
    """For lipnet and av_words: which face to read, from 1; the one that speaks where not given."""
    at: float | None = ranged(None, ge=0)
    """For av_words: the second at which the word is said; the middle of the video where not given."""
    captions: Path | None = None
    """For lipnet: an .mp4 to write with the words drawn in."""
    grammar: str | None = None
    """For lipnet: a file of what may be said, or none; the run's own where not given."""
    top: int = ranged(5, ge=1)
    """Classes to print."""
    json: bool = False
    """Print one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Write a run's page, report.html: curves, scores, examples, settings, versions; or set runs side by side.

    Example:
        tfav report --run-dir runs/mine
        tfav report --compare runs/mine runs/other --out compared.html
    """

    run_dir: Path | None = None
    """A trained run; evaluate it first to have its scores on the page. Or instead:"""
    compare: tuple[Path, ...] | None = None
    """two runs or more, to be set side by side, and"""
    out: Path | None = None
    """the page to write then; compared.html by default."""


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a run's model for use without tfav, if it then answers three examples as the run does.

    Example:
        tfav export --run-dir runs/mine --format onnx
        tfav export --run-dir pretrained --system next_frame --format saved_model --out next_frame_model
    """

    run_dir: Path
    """A trained run; pretrained, with --system."""
    format: str
    """saved_model, onnx or litert."""
    out: Path | None = None
    """The folder (saved_model) or file to write; exported/ in the run folder by default."""
    system: str | None = None
    """Whose shipped weights, for --run-dir pretrained."""
    json: bool = False
    """Print the result as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class Demo:
    """Make data, train, evaluate and report each system, small.

    Example:
        tfav demo --run-dir runs/demo
    """

    run_dir: Path = Path("runs/demo")
    """Where data and runs go."""


@dataclasses.dataclass(frozen=True)
class Serve:
    """Serve a web page: upload a video, read what the systems make of it. Systems not named use the weights they ship.

    Example:
        tfav serve --run-dir cnn_lstm=runs/mine two_stream=runs/spatial,runs/motion
    """

    run_dir: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SYSTEM=RUN ...")] = ()
    """Trained runs, one for each system that is not to use what it ships; of two_stream's streams both."""
    host: str = "127.0.0.1"
    """Address to bind to; 0.0.0.0 lets others in the network use the page."""
    port: int = ranged(7860, ge=0, le=65535)
    """Port to listen on; 0 takes any that is free."""
    max_mb: float = ranged(200, gt=0)
    """Largest upload, in megabytes."""
    max_seconds: float = ranged(60, gt=0)
    """Longest video."""
    queue: int = ranged(8, ge=0)
    """How many videos may wait while one is worked on."""


@dataclasses.dataclass(frozen=True)
class Fetch:
    """Download a registered data set, verify and unpack it; goes on where it broke off.

    Example:
        tfav fetch ucf3
    """

    name: Annotated[Positional[str], tyro.conf.arg(metavar="NAME")]
    """Name of the data set; an unknown one lists them all."""
    data_dir: Path = Path("data")
    """Where it goes."""


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Show what this machine has, what is missing, and the command that mends it.

    Example:
        tfav doctor --mend
    """

    mend: bool = False
    """Run the commands."""


@dataclasses.dataclass(frozen=True)
class ShardsVerify:
    """Look at every shard and every example of a folder made by tfav prepare, and name all that is wrong.

    Example:
        tfav shards verify data/grid_mouths
    """

    folder: Annotated[Positional[Path], tyro.conf.arg(metavar="DIR")]
    """Holds index.json."""
    json: bool = False
    """Print the result as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class DataService:
    """Serve training data to another machine: a dispatcher, or with --join a worker of it. Runs until it is stopped.

    Example:
        tfav data-service --port 5050
        tfav data-service --join grpc://host:5050 --host this-machine
    """

    port: int = ranged(0, ge=0, le=65535)
    """To listen at; any free one where not given."""
    join: str | None = None
    """Be a worker of this dispatcher."""
    host: str = "localhost"
    """For a worker: its name or address, as the machine that trains sees it."""


@dataclasses.dataclass(frozen=True)
class WeightsInspect:
    """Print Keras version, layers and sizes of an old .h5 file, without running anything in it.

    Example:
        tfav weights inspect old_model.h5
    """

    file: FileName
    """An HDF5 file, a TensorFlow checkpoint or a TF-Hub folder."""


@dataclasses.dataclass(frozen=True)
class WeightsConvert:
    """Write an old .h5 model as a Keras 3 file, and check that both give the same outputs.

    Example:
        tfav weights convert old_model.h5 new_model.keras
    """

    file: FileName
    """The old HDF5 model."""
    out: Annotated[Positional[Path], tyro.conf.arg(metavar="OUT")]
    """The .keras file to write."""


# Flags that one system alone has a use for.
OWNERS = {
    "box": "lipnet and av_words",
    "speakers": "lipnet and av_words",
    "layout": "av_words",
    "crop": "av_words",
    "sequences": "next_frame",
    "frames": "next_frame",
    "snr": "av_words",
    "noise": "av_words",
    "corrupt_video": "av_words",
    "at": "av_words",
    "out": "lipnet and next_frame and av_words",
    "face": "lipnet and av_words",
    "captions": "lipnet",
    "grammar": "lipnet",
}
