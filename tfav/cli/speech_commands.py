"""The commands for speech: enrolment, alignment, language models. As in `commands`, heavy imports wait."""

import functools
import importlib
import sys
from pathlib import Path

from tfav.cli import parsing
from tfav.cli.flags import Align, Enrol, EnrolReport, LanguageModelOf
from tfav.errors import UsageError
from tfav.systems import SYSTEMS
from tfav.training.run_folder import is_shipped
from tfav.training.tf_startup import start_tensorflow


def align(args: Align) -> int:
    """Times of known words."""
    start_tensorflow()
    align_files = _reader_of_lips(args.run_dir).align_files
    options = {"text": args.text, "transcripts": args.transcripts, "out": args.out, "face": args.face}
    result = align_files(args.run_dir, args.files, **options)
    for row in result["files"]:
        said = row.get("error") or " ".join(
            f"{word['text']} {word['start_sec']:.2f}-{word['end_sec']:.2f}" for word in row["words"]
        )
        print(f"{row['path']}: {said}" if "error" not in row else said)
        for line in [*row.get("warnings", ()), *(f"wrote {path}" for path in row.get("wrote", ()))]:
            print(f"  {line}")
    parsing.print_json(args, result)
    return 1 if any("error" in row for row in result["files"]) else 0


def _reader_of_lips(run_dir: Path):
    """The package of the system that a run of sentences is of.

    Raises:
        UsageError: It is a run of another kind.
    """
    from tfav.training import run_folder

    readers = [name for name, system in SYSTEMS.items() if system.kind == "sentences"]
    name = readers[0] if is_shipped(run_dir) else run_folder.load(run_dir).system
    if name not in readers:
        raise UsageError(f"{run_dir}: a run of {name}, and sentences are read by runs of {', '.join(readers)}.")
    return importlib.import_module(SYSTEMS[name].package)


def enrol(args: Enrol) -> int:
    """Checks recordings that exist, and files the good ones."""
    from tfav.io.faces import FaceDetector
    from tfav.speech.enrolment import Enrolment, enrol_recordings
    from tfav.speech.take_check import check_take

    enrolment = Enrolment(args.out, args.speaker, args.prompts)
    score = None
    if args.run_dir is not None:
        start_tensorflow()
        score = _reader_of_lips(args.run_dir).open_scorer(args.run_dir)
    check = functools.partial(check_take, detector=FaceDetector())
    result = enrol_recordings(args.source, enrolment, check, score=score)
    for warning in result["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    for row in result["files"]:
        if "error" in row:
            print(f"error: {row['error']}", file=sys.stderr)
            continue
        print(f"{row['path']}: {'repeat' if 'faults' in row else 'good'}: {row['prompt']}")
        for line in (*row.get("faults", ()), *row["advice"]):
            print(f"  {line}")
    good = sum("wrote" in row for row in result["files"])
    print(f"{good} good, {len(result['files']) - good} to repeat; {enrolment.describe()}")
    parsing.print_json(args, result)
    return 0 if good == len(result["files"]) else 1


def report_enrolment(args: EnrolReport) -> int:
    """How much is read after so many takes."""
    start_tensorflow()
    from tfav.report.enrolment import describe_growth, measure_growth

    system = next(system for system in SYSTEMS.values() if system.kind == "sentences")
    options = {"preset": args.preset, "step": args.step, "folds": args.folds, "grammar": args.grammar}
    result = measure_growth(system, args.recordings, args.run_dir, speaker=args.speaker, **options)
    print(describe_growth(result))
    parsing.print_json(args, result)
    return 1 if result["failed"] else 0


def estimate_language_model(args: LanguageModelOf) -> int:
    """A language model from text."""
    from tfav.io.text_files import read_text
    from tfav.speech.language_model import characters, estimate
    from tfav.speech.text_normalization import normalize_text

    lines = [normalize_text(line).text for line in read_text(args.file, "a text").split("\n")]
    lines = [line for line in lines if line]
    model = estimate(map(characters, lines) if args.tokens == "characters" else lines, args.order)
    model.write_arpa(args.out)
    print(f"wrote {args.out}: {len(lines)} sentences, {len(model.vocabulary)} {args.tokens}, order {model.order}")
    return 0
