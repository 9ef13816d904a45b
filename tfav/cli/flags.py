"""What each command takes: a dataclass whose fields are its flags, their docstrings the help."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tfav.ranges import ranged

Positional = tyro.conf.Positional
FileName = Annotated[Positional[Path], tyro.conf.arg(metavar="FILE")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepare:
    """Make a data set ready for training, once; in parallel, and resumable.

    What is done is skipped; what a killed run left half-done is done again.
    """

    source: Path
    """Folder, or file, to prepare."""
    out: Path
    """Where the result goes."""
    json: bool = False
    """Print the report as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Train a system into a run folder; the same command goes on with a run that was killed.

    Every field of the configuration is a flag, set on top of the preset.

    Example:
        tfav train SYSTEM --preset demo --data-dir videos --run-dir runs/mine
    """

    run_dir: Path
    """Run folder to make, or to go on with."""
    preset: str
    """Named settings to start from."""
    devices: str | None = None
    """gpu, gpu:2, cpu, or cpu:2 (two logical CPUs). Default: all GPUs, or one CPU where there are none."""
    accumulate: int = ranged(1, ge=1)
    """Batches whose gradients make one step: a larger batch in the memory of a smaller one."""
    data_service: str | None = None
    """Dispatcher of a tf.data service that makes the training batches, such as grpc://host:5050."""
    deterministic: bool = False
    """The same history to the last digit for the same seed and machine; slower."""
    json: bool = False
    """Print the last epoch's figures as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score a run on every example under a folder, or on a part of its own data.

    One of --data-dir and --part is needed.
    """

    run_dir: Path
    """Run folder, or pretrained where the system ships weights."""
    data_dir: Path | None = None
    """Data in any layout that the system trains on. Default: the run's own, which needs --part."""
    part: str | None = None
    """train, val or test: that part of the run's split; all: every example."""
    json: bool = False
    """Print the whole result as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Ask a trained model about files. A file that cannot be used gets a line and stops no other."""

    files: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE...")]
    """Video files."""
    json: bool = False
    """Print one JSON object on the last line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Live:
    """Ask a trained model about a camera, a stream or a played file, again and again, until Ctrl-C.

    The newest frame wins: what comes while the model is busy is not kept for later.
    """

    source: str
    """Number of a camera such as 0, an address such as rtsp://host/stream, or a video file, played at its own speed."""
    stall_sec: float = ranged(10.0, gt=0)
    """Seconds without a frame after which the source counts as stalled."""
    window: bool = True
    """Show the picture and the answer in a window, where there is a display."""
    json: bool = False
    """Print each answer, and at the end the report, as a JSON object on a line of its own."""


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
        tfav export --run-dir pretrained --system SYSTEM --format saved_model --out model
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
        tfav serve --run-dir SYSTEM=runs/mine
        tfav serve --enrol recordings --speaker ana --prompts prompts.txt
    """

    run_dir: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SYSTEM=RUN ...")] = ()
    """Trained runs, one for each system that is not to use what it ships. Several runs of one are joined by commas."""
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
    enrol: Path | None = None
    """Add a tab on which a person records themself reading prompts aloud; the takes go to this folder."""
    speaker: str = "me"
    """With --enrol: who speaks; name of the folder inside."""
    prompts: str | None = None
    """With --enrol: everyday, grid, or a file with a sentence a line. Default: as begun, at first everyday."""
    takes: int = ranged(1, ge=1)
    """With --enrol: how often each prompt is to be recorded."""


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
        tfav doctor --data-dir labels.csv
    """

    mend: bool = False
    """Run the commands."""
    data_dir: Path | None = None
    """Look at a data set of classes instead, a folder or a table: how many examples each has, and what is odd."""


@dataclasses.dataclass(frozen=True)
class Enrol:
    """Check recordings of yourself reading prompts aloud, and file the good ones for training a lip reader.

    A page that records them is shown by tfav serve --enrol.

    Example:
        tfav enrol --source videos --prompts prompts.txt --out recordings --speaker ana
        tfav prepare SYSTEM --source recordings --out mouths
    """

    source: Path
    """Folder of recordings, named by the number of their prompt (0007.mp4), or one for each prompt in their order."""
    out: Path
    """Folder for the good ones, with their text beside; the speaker's folder is made inside."""
    prompts: str | None = None
    """What was read: everyday, grid, or a file with a sentence a line. Default: as begun, at first everyday."""
    speaker: str = "me"
    """Who speaks; name of the folder."""
    run_dir: Path | None = None
    """Run of a lip reader, or pretrained: takes that fit to their sentence far worse than the others are refused."""
    json: bool = False
    """Print the result as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class EnrolReport:
    """Tell by cross-validation what share of the words is read after 10, 20, ... takes, and whether more would help.

    The same command goes on where it was stopped, and with takes that were added since.

    Example:
        tfav enrol report --recordings recordings --speaker ana --run-dir runs/ana_report
    """

    recordings: Path
    """Folder of the takes, as tfav enrol and tfav serve --enrol file them."""
    run_dir: Path
    """Folder for the trainings, and for report.json."""
    speaker: str = "me"
    """Whose takes."""
    preset: str = "adapt"
    """Named settings of the trainings."""
    step: int = ranged(10, ge=2)
    """Takes from one measurement to the next."""
    folds: int = ranged(2, ge=2, le=20)
    """Parts of the takes, each read by a training on the others: so many trainings for each measurement."""
    grammar: str | None = None
    """Grammar file of what may be said, or none. Default: GRID's if all takes are of its form, else none."""
    json: bool = False
    """Print the result as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class Align:
    """Find when each word of a known text is said in videos, by a trained lip reader.

    Example:
        tfav align --run-dir runs/lips ana/0001.mp4 --text "buenos días"
    """

    files: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE")]
    """Videos."""
    run_dir: Path
    """Run folder, or pretrained."""
    text: str | None = None
    """What is said in all of them. Default: what their transcripts say."""
    transcripts: Path | None = None
    """Folder of transcripts with the videos' names. Default: they lie beside the videos."""
    out: Path | None = None
    """Folder for .align, .srt, .vtt and .TextGrid. Default: alignments/ in the run folder."""
    face: int | None = ranged(None, ge=1)
    """Which face, counted from the left from 1. Default: the one that speaks."""
    json: bool = False
    """Print the result as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class LanguageModelOf:
    """Estimate a language model from text, as an ARPA file for tfav evaluate and tfav predict.

    Example:
        tfav lm sentences.txt --order 3 --out spanish.arpa
    """

    file: FileName
    """Text, a sentence a line, in UTF-8."""
    out: Path
    """The .arpa file to write."""
    order: int = ranged(3, ge=1, le=8)
    """Longest sequence that is counted, in words or characters."""
    tokens: Literal["words", "characters"] = "words"
    """What is counted."""


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
