"""The command line: flags from the dataclasses below and each system's `Config`, and calls into the floors under it.

Nothing heavy is imported before it is known what is wanted, so `tfav --help` answers at once.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from tfav import command_line
from tfav._version import __version__
from tfav.errors import UsageError
from tfav.io.partial import write_json
from tfav.systems import SYSTEMS, load
from tfav.training.run import is_shipped
from tfav.training.start import start_tensorflow

Positional = tyro.conf.Positional
SystemName = Annotated[Positional[str], tyro.conf.arg(metavar="SYSTEM")]
FileName = Annotated[Positional[Path], tyro.conf.arg(metavar="FILE")]


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Make a data set ready for training, once: videos become folders of frames, for two_stream also of flow.

    For lipnet they become shards of mouth crops, beside a contact sheet.

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
    every_sec: float | None = None
    """Keep one frame each so many seconds; or"""
    num_frames: int | None = None
    """keep so many frames, evenly spaced over the whole length; or neither: all frames."""
    size: int | None = None
    """Length of a frame's shorter side in pixels; as filmed where not given."""
    quality: int | None = None
    """Of the JPEG files, 1-100; 95 where not given."""
    flow_method: str | None = None
    """Optical flow for two_stream: tvl1 (the reference), dis or farneback (fast)."""
    workers: int | None = None
    """Processes; one per core where not given."""
    box: str | None = None
    """For lipnet: follow (the mouth, the default) or fixed (the notebook's box)."""
    speakers: tuple[str, ...] | None = None
    """For lipnet: these speakers only, such as s1 s2."""
    sequences: int | None = None
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
    json: bool = False
    """Print the last epoch's figures as one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Score every example under a folder, or of a part of the run's own data.

    Example:
        tfav evaluate cnn_lstm --run-dir runs/mine --data-dir unseen_videos
        tfav evaluate two_stream --run-dir runs/fusion --part test
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
    stack_length: int | None = None
    """flow pictures the motion stream takes, where an .h5 file has others than 10."""
    frames: int | None = None
    """For next_frame: frames to predict after each video's last, and"""
    out: Path | None = None
    """the folder for GIF and MP4 files of them, for lipnet subtitles; predictions/ in the run folder by default."""
    face: int | None = None
    """For lipnet: which face to read, from 1; the one that speaks where not given."""
    captions: Path | None = None
    """For lipnet: an .mp4 to write with the words drawn in."""
    grammar: str | None = None
    """For lipnet: a file of what may be said, or none; the run's own where not given."""
    top: int = 5
    """Classes to print."""
    json: bool = False
    """Print one JSON object on the last line."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Write a run's page, report.html: curves, confusion, example clips, settings, versions.

    Example:
        tfav report --run-dir runs/mine
    """

    run_dir: Path
    """A trained run; evaluate it first to have its scores on the page."""


@dataclasses.dataclass(frozen=True)
class Demo:
    """Make data, train, evaluate and report each system, small.

    Example:
        tfav demo --run-dir runs/demo
    """

    run_dir: Path = Path("runs/demo")
    """Where data and runs go."""


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
_OWNERS = {
    "box": "lipnet",
    "speakers": "lipnet",
    "sequences": "next_frame",
    "frames": "next_frame",
    "out": "lipnet and next_frame",
    "face": "lipnet",
    "captions": "lipnet",
    "grammar": "lipnet",
}


def _prepare(args: Prepare) -> int:
    start_tensorflow()
    names = ("every_sec", "num_frames", "size", "quality", "flow_method", "workers", "sequences", "box", "speakers")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    command_line.check_owners(args.system, given, _OWNERS)
    report = load(args.system).prepare(args.source, args.out, **given)
    print(report.summary())
    _print_json(args, report.as_dict())
    return 0 if report.ok else 1


def _evaluate(args: Evaluate) -> int:
    system = load(args.system)
    if args.data_dir is None and args.part is None:
        raise UsageError("tfav evaluate needs --data-dir FOLDER, or --part test for that part of the run's own data.")
    start_tensorflow()
    result = system.evaluate(
        args.run_dir, args.data_dir, part=args.part or "all", shuffle_frames=args.shuffle_frames, progress=True
    )
    shipped = is_shipped(args.run_dir)
    if not args.shuffle_frames and not shipped:  # shuffled scores are an experiment, not the run's result
        write_json(args.run_dir / "evaluation.json", result)
    print(system.describe_evaluation(result))
    if not shipped:
        print(f"Next: tfav report --run-dir {args.run_dir}")
    _print_json(args, result)
    return 1 if result["failed"] else 0


def _predict(args: Predict) -> int:
    streams = _given_streams(args)
    command_line.check_owners(args.system, streams, _OWNERS)
    start_tensorflow()
    result = load(args.system).predict_files(args.run_dir, args.files, top=args.top, **streams)
    command_line.print_predictions(result)
    _print_json(args, result)
    return 1 if any("error" in row for row in result["files"]) else 0


def _given_streams(args: Predict) -> dict:
    common = ("system", "files", "run_dir", "top", "json")
    names = [field.name for field in dataclasses.fields(Predict) if field.name not in common]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.run_dir is None and not {"spatial", "motion"} <= set(given):
        raise UsageError("tfav predict needs --run-dir, or --spatial and --motion for two_stream.")
    return given


def _report(args: Report) -> int:
    start_tensorflow()
    from tfav.report import write_report

    print(f"wrote {write_report(args.run_dir)}")
    return 0


def _demo(args: Demo) -> int:
    start_tensorflow()
    for name in SYSTEMS:
        print(f"== {name}: {SYSTEMS[name]}")
        load(name).demo(args.run_dir / name)
        _report(Report(args.run_dir / name / "run"))
    return 0


def _fetch(args: Fetch) -> int:
    from tfav.io.fetch import fetch

    print(f"ready: {fetch(args.name, args.data_dir)}")
    return 0


def _doctor(args: Doctor) -> int:
    from tfav import doctor

    return doctor.main(mend=args.mend)


def _inspect(args: WeightsInspect) -> int:
    from tfav import weights

    print(weights.inspect(args.file))
    return 0


def _convert(args: WeightsConvert) -> int:
    start_tensorflow()
    from tfav import weights

    print(weights.convert(args.file, args.out))
    return 0


def _train(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        raise UsageError(f"tfav train needs a system first. Valid systems: {', '.join(SYSTEMS)}.")
    name, *rest = arguments
    load(name)  # an unknown name ends here
    options, config = command_line.parse_train(Train, name, rest)
    start_tensorflow()
    history = load(name).train(config, options.run_dir, devices=options.devices)
    last = history[-1] if history else {}
    print(f"{options.run_dir}: {len(history)} epochs trained.")
    print(f"Next: tfav evaluate {name} --run-dir {options.run_dir} --part test, or --data-dir FOLDER")
    _print_json(options, last)
    return 0


def _print_json(args, result: dict) -> None:
    if args.json:
        print(json.dumps(result, ensure_ascii=False))


COMMANDS: dict[str, tuple[type, Callable]] = {
    "fetch": (Fetch, _fetch),
    "prepare": (Prepare, _prepare),
    "train": (Train, _train),
    "evaluate": (Evaluate, _evaluate),
    "predict": (Predict, _predict),
    "report": (Report, _report),
    "demo": (Demo, _demo),
    "doctor": (Doctor, _doctor),
    "weights inspect": (WeightsInspect, _inspect),
    "weights convert": (WeightsConvert, _convert),
}


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(command_line.overview(COMMANDS, SYSTEMS))
        return 0
    if arguments[0] in ("--version", "version"):
        print(__version__)
        return 0
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in COMMANDS:
            cls, work = COMMANDS[name]
            rest = arguments[words:]
            return work(rest if cls is Train else command_line.parse(cls, f"tfav {name}", rest))
    raise command_line.unknown_command(arguments, COMMANDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `tfav` command; returns its exit code."""
    return command_line.run(lambda: _dispatch(list(sys.argv[1:] if argv is None else argv)))


if __name__ == "__main__":
    sys.exit(main())
