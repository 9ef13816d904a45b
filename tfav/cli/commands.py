"""The commands: the dataclasses in `flags` and each system's own options in, calls to the floors below.

Nothing heavy is imported before it is known what is wanted, so `tfav --help` answers at once.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

from tfav._version import __version__
from tfav.cli import parsing, speech_commands
from tfav.cli.flags import (
    Align,
    DataService,
    Demo,
    Doctor,
    Enrol,
    EnrolReport,
    Evaluate,
    Export,
    Fetch,
    LanguageModelOf,
    Live,
    Predict,
    Prepare,
    Report,
    Serve,
    ShardsVerify,
    Train,
    WeightsConvert,
    WeightsInspect,
)
from tfav.errors import UsageError
from tfav.io.atomic_write import write_json
from tfav.systems import SYSTEMS, load
from tfav.training.run_folder import is_shipped
from tfav.training.system import System, given
from tfav.training.tf_startup import start_tensorflow


def _prepare(arguments: Sequence[str]) -> int:
    system, args, options = parsed("prepare", arguments)
    start_tensorflow()
    report = system.prepare(args.source, args.out, **given(options))
    print(report.summary())
    parsing.print_json(args, report.as_dict())
    return 0 if report.ok else 1


def _evaluate(arguments: Sequence[str]) -> int:
    system, args, options = parsed("evaluate", arguments)
    if args.data_dir is None and args.part is None:
        raise UsageError("tfav evaluate needs --data-dir FOLDER, or --part test for that part of the run's own data.")
    start_tensorflow()
    result = system.evaluate(args.run_dir, args.data_dir, part=args.part or "all", progress=True, **given(options))
    shipped = is_shipped(args.run_dir)
    if not shipped and not result.get("shuffled_frames"):  # shuffled scores are an experiment, not the run's result
        # Experiments that a system has a name for stand beside the plain scores on the page.
        name = "_".join(filter(None, ["evaluation", result.get("variant")]))
        write_json(args.run_dir / f"{name}.json", result)
    print(system.describe_evaluation(result))
    if not shipped:
        print(f"Next: tfav report --run-dir {args.run_dir}")
    parsing.print_json(args, result)
    return 1 if result["failed"] else 0


def _predict(arguments: Sequence[str]) -> int:
    system, args, options = parsed("predict", arguments)
    start_tensorflow()
    from tfav.report import print_predictions

    result = system.predict_files(**({"run_dir": None} | given(options)), files=args.files)
    print_predictions(result)
    parsing.print_json(args, result)
    return 1 if any("error" in row for row in result["files"]) else 0


def _live(arguments: Sequence[str]) -> int:
    system, args, options = parsed("live", arguments)
    start_tensorflow()
    from tfav.live.loop import look
    from tfav.live.overlay import answer_lines, open_overlay
    from tfav.metrics.timeline import clock

    def emit(row: dict) -> None:
        if args.json:
            parsing.print_json(args, row, flush=True)
        else:
            print(clock(row["time_sec"]), *answer_lines(row)[:1], flush=True)

    show = open_overlay(lambda line: print(f"warning: {line}", file=sys.stderr)) if args.window else None
    report = look(args.source, system.open_live(**given(options)), emit, stall_sec=args.stall_sec, show=show)
    if args.json:
        parsing.print_json(args, {"report": report._asdict()})
    else:
        delays = (
            "no answer"
            if report.delay_p50_sec is None
            else (f"delay {1000 * report.delay_p50_sec:.0f} ms (median), {1000 * report.delay_p95_sec:.0f} ms (95 %)")
        )
        print(
            f"{report.windows} windows of {report.frames} frames in {report.seconds:.1f} s, {delays}, "
            f"{report.dropped_share:.1%} of the frames dropped"
        )
    if report.error:
        print(f"error: {report.error}", file=sys.stderr)
    return 1 if report.error else 0


# What a system's own flags of a command are called.
OPTIONS = {
    "prepare": "PrepareOptions",
    "evaluate": "EvaluateOptions",
    "predict": "PredictOptions",
    "live": "LiveOptions",
}


def able_systems(command: str) -> dict[str, System]:
    """The systems that know a command."""
    return {name: system for name, system in SYSTEMS.items() if command == "train" or system.has(OPTIONS[command])}


def parsed(command: str, arguments: Sequence[str]) -> tuple[System, Any, Any]:
    """The system that is named first, the command's flags, and the system's own options or configuration.

    Raises:
        UsageError: No system, an unknown one, or flags that do not fit.
    """
    if not arguments or arguments[0].startswith("-"):
        raise UsageError(f"tfav {command} needs a system first. Valid systems: {', '.join(SYSTEMS)}.")
    system, rest = load(arguments[0]), list(arguments[1:])
    if command == "train":
        return system, *parsing.parse_train(Train, system.Config, system.PRESETS, system.name, rest)
    if system.name not in able_systems(command):
        raise UsageError(f"{system.name} has no {command} yet. Systems that have: {', '.join(able_systems(command))}.")
    flags, options = COMMANDS[command][0], getattr(system, OPTIONS[command])
    return system, *parsing.parse_system(flags, options, command, system.name, rest)


def _report(args: Report) -> int:
    if (args.run_dir is None) == (args.compare is None):
        raise UsageError("tfav report needs --run-dir RUN, or --compare RUN RUN.")
    start_tensorflow()
    from tfav import report

    written = report.write_report(args.run_dir) if args.run_dir else report.write_comparison(args.compare, args.out)
    print(f"wrote {written}")
    return 0


def _export(args: Export) -> int:
    start_tensorflow()
    from tfav.export import export

    written = export(args.run_dir, args.format, args.out, system=args.system)
    print(f"wrote {written.path}, and {written.card} that describes it")
    print(f"largest difference to the run's own answers: {written.difference:.2g} (allowed: {written.tolerance:g})")
    print(written.inside)
    parsing.print_json(args, {key: str(v) if isinstance(v, PurePath) else v for key, v in written._asdict().items()})
    return 0


def _demo(args: Demo) -> int:
    start_tensorflow()
    for name, system in SYSTEMS.items():
        print(f"== {name}: {system.summary}")
        system.demo(args.run_dir / name)
        _report(Report(args.run_dir / name / "run"))
    from tfav import report

    run_dirs = [args.run_dir / name / "run" for name in SYSTEMS]
    print(f"== all of them: {report.write_summary(run_dirs, args.run_dir / 'index.html', title='tfav demo')}")
    return 0


def _serve(args: Serve) -> int:
    from tfav.app import serve
    from tfav.speech.enrolment import Enrolment

    enrolment = None
    if args.enrol is not None:
        enrolment = Enrolment(args.enrol, args.speaker, args.prompts, args.takes)
        for line in enrolment.prompts.refused:
            print(f"warning: {line}", file=sys.stderr)
    elif args.prompts is not None:
        raise UsageError("--prompts is for the tab of --enrol. Give --enrol FOLDER for the takes.")
    serve(
        args.run_dir,
        host=args.host,
        port=args.port,
        max_mb=args.max_mb,
        max_sec=args.max_seconds,
        queue=args.queue,
        enrolment=enrolment,
    )
    return 0


def _fetch(args: Fetch) -> int:
    from tfav.io.fetch import fetch

    print(f"ready: {fetch(args.name, args.data_dir)}")
    return 0


def _doctor(args: Doctor) -> int:
    from tfav import doctor

    return doctor.main(mend=args.mend, data_dir=args.data_dir)


def _verify_shards(args: ShardsVerify) -> int:
    start_tensorflow()
    from tfav.data.shard_verification import verify_shards

    found = verify_shards(args.folder)
    print(found.summary())
    parsing.print_json(args, found.as_dict())
    return 1 if found.problems else 0


def _data_service(args: DataService) -> int:
    start_tensorflow()
    from tfav.data import tf_data_service

    if args.join is None:
        server = tf_data_service.run_dispatcher(args.port)
        print(f"dispatcher at {server.target}; workers: tfav data-service --join {server.target}", flush=True)
    else:
        server = tf_data_service.run_worker(args.join, args.host, args.port)
        print(f"worker of {args.join}", flush=True)
    tf_data_service.serve(server)
    return 0


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
    system, options, config = parsed("train", arguments)
    if options.deterministic and options.data_service:
        raise UsageError("batches of a data service come in any order. Leave out --deterministic or --data-service.")
    start_tensorflow()
    from tfav import training
    from tfav.data.tf_data_service import through_service

    if options.deterministic:
        training.be_deterministic()
    run_dir = training.own_folder(options.run_dir)
    with through_service(options.data_service), training.accumulating(options.accumulate):
        history = system.train(config, run_dir, devices=options.devices)
    last = history[-1] if history else {}
    print(f"{options.run_dir}: {len(history)} epochs trained.")
    print(f"Next: tfav evaluate {system.name} --run-dir {options.run_dir} --part test, or --data-dir FOLDER")
    parsing.print_json(options, last)
    return 0


COMMANDS: dict[str, tuple[type, Callable]] = {
    "fetch": (Fetch, _fetch),
    "prepare": (Prepare, _prepare),
    "train": (Train, _train),
    "evaluate": (Evaluate, _evaluate),
    "predict": (Predict, _predict),
    "live": (Live, _live),
    "report": (Report, _report),
    "export": (Export, _export),
    "serve": (Serve, _serve),
    "demo": (Demo, _demo),
    "doctor": (Doctor, _doctor),
    "align": (Align, speech_commands.align),
    "enrol report": (EnrolReport, speech_commands.report_enrolment),
    "enrol": (Enrol, speech_commands.enrol),
    "lm": (LanguageModelOf, speech_commands.estimate_language_model),
    "shards verify": (ShardsVerify, _verify_shards),
    "data-service": (DataService, _data_service),
    "weights inspect": (WeightsInspect, _inspect),
    "weights convert": (WeightsConvert, _convert),
}


# These are given a system first, whose options they take beside their own flags.
OF_A_SYSTEM = ("prepare", "train", "evaluate", "predict", "live")


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(parsing.overview(COMMANDS, SYSTEMS))
        return 0
    if arguments[0] in ("--version", "version"):
        print(__version__)
        return 0
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in COMMANDS:
            cls, work = COMMANDS[name]
            rest = arguments[words:]
            if name not in OF_A_SYSTEM:
                return work(parsing.parse(cls, f"tfav {name}", rest))
            if rest[:1] in (["-h"], ["--help"]):
                print(parsing.systems_overview(cls, name, able_systems(name)))
                return 0
            return work(rest)
    raise parsing.unknown_command(arguments, COMMANDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `tfav` command; returns its exit code."""
    return parsing.run(lambda: _dispatch(parsing.expand_home(sys.argv[1:] if argv is None else argv)))


if __name__ == "__main__":
    sys.exit(main())
