"""What lies between the shell and `commands`: parsing with one-line errors, the overview, exit codes."""

import contextlib
import dataclasses
import difflib
import inspect
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from tfav.errors import TfavError, UsageError
from tfav.io import console
from tfav.io.atomic_write import DiskFullError, is_disk_full
from tfav.ranges import check_fields

_NO_TEMPORARY_FOLDER = "No usable temporary directory"  # Python's words, in an error without a file's name
INTERRUPTED = 130  # what shells expect after Ctrl-C


def run(work: Callable[[], int]) -> int:
    """Runs a command; errors a person can act on become one line and an exit code."""
    console.never_fail()
    try:
        return work()
    except TfavError as error:
        return _fail(error, error.exit_code)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, say) has had enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if is_disk_full(error):
            return _fail(DiskFullError(error.filename or "the output"), 1)
        if _NO_TEMPORARY_FOLDER in str(error):
            return _fail("no folder for temporary files can be written to. Set TMPDIR to one that can.", 1)
        if error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}. Check the path and its permissions.", 1)


def parse(cls: type, prog: str, arguments: Sequence[str], **settings) -> Any:
    """Parses flags into a dataclass with tyro; a mistake becomes one line.

    Raises:
        UsageError: The arguments do not fit.
    """
    if any(argument in ("-h", "--help") for argument in arguments):
        print(_help_text(cls, prog, settings))
        raise SystemExit(0)
    _check_flags(cls, prog, arguments)
    _refuse_files_like_flags(prog, arguments)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parsed = tyro.cli(cls, prog=prog, args=list(arguments), **settings)
    except SystemExit as leaving:
        reason = _first_message(said.getvalue()).removeprefix("Error parsing config: ")
        raise UsageError(f"{reason} See {prog} --help.") from leaving
    parts = [value for value in vars(parsed).values() if dataclasses.is_dataclass(value)]
    for part in parts or [parsed]:
        check_fields(part, lambda name: f"--{name.replace('_', '-')}")
    return parsed


def _refuse_files_like_flags(prog: str, arguments: Sequence[str]) -> None:
    """Tells how to give a file whose name begins with a hyphen, as names of downloads may."""
    flags = arguments[: arguments.index("--")] if "--" in arguments else arguments
    for argument in flags:
        if argument.startswith("-") and Path(argument).suffix and Path(argument).exists():
            raise UsageError(f"{argument}: a file whose name begins like a flag. Write ./{argument} in {prog}.")


def parse_system(flags: type, options: type, command: str, system: str, arguments: Sequence[str]) -> tuple[Any, Any]:
    """Parses `tfav COMMAND SYSTEM`: flags that all systems have, and the system's own options.

    Returns:
        Both, as objects of their classes.
    """
    both = _joined(flags, options, system)
    # The options' own text says what this system does; the command's says what holds for all.
    both.__doc__ = f"{inspect.getdoc(options)}\n\n{inspect.getdoc(flags)}"
    parsed = parse(both, f"tfav {command} {system}", arguments)
    return parsed.common, getattr(parsed, system)


def parse_train(flags: type, config_cls: type, presets: Mapping[str, dict], system: str, arguments: Sequence[str]):
    """Parses `tfav train SYSTEM`: the flags, and every field of the system's `Config` on top of a preset.

    Returns:
        The flags and the configuration.
    """
    wants_help = any(argument in ("-h", "--help") for argument in arguments)
    name = _value_of("--preset", arguments) or (next(iter(presets)) if wants_help else None)
    if name is None:
        raise UsageError(f"tfav train {system} needs --preset. Valid presets: {', '.join(presets)}.")
    both = _joined(flags, config_cls, system)
    both.__doc__ = f"{inspect.getdoc(flags)}\n\nPresets of {system}: {', '.join(presets)}."
    default = both(flags(run_dir=tyro.MISSING, preset=name), config_cls.preset(name))
    parsed = parse(both, f"tfav train {system}", _spelt_out_switches(config_cls, arguments), default=default)
    return parsed.common, getattr(parsed, system)


def expand_home(arguments: Iterable[str]) -> list[str]:
    """Replaces `~` where a path begins with it, as in `--data-dir=~/v`, which shells leave as it is."""

    def home(match: re.Match) -> str:
        try:
            return match[1] + str(Path(match[2]).expanduser())
        except RuntimeError:  # nobody is called so
            return match[0]

    return [re.sub(r"(^|[=,])(~[^/=,]*)(?=/|,|$)", home, argument) for argument in arguments]


def _joined(flags: type, options: type, system: str) -> type:
    fields = [
        ("common", Annotated[flags, tyro.conf.OmitArgPrefixes, tyro.conf.arg(help="Flags of every system.")]),
        (system, Annotated[options, tyro.conf.OmitArgPrefixes, tyro.conf.arg(help=f"Flags of {system}.")]),
    ]
    return dataclasses.make_dataclass("both", fields, frozen=True)


def overview(commands: Mapping[str, tuple[type, Callable]], systems: Mapping) -> str:
    """The text of `tfav --help`."""
    width = max(map(len, [*commands, *systems])) + 2
    lines = ["tfav: audio-visual video models in Keras 3 on TensorFlow", "", "Commands (tfav COMMAND --help for each):"]
    lines += [f"  {name:<{width}}{inspect.getdoc(cls).splitlines()[0]}" for name, (cls, _) in commands.items()]
    lines += ["", "Systems:"]
    lines += [f"  {name:<{width}}{system.summary}" for name, system in systems.items()]
    lines += ["", "Example:", "  tfav train SYSTEM --preset demo --data-dir videos --run-dir runs/mine"]
    return "\n".join(lines)


def systems_overview(flags: type, command: str, systems: Mapping) -> str:
    """The text of `tfav COMMAND --help` for a command that takes a system first."""
    width = max(map(len, systems)) + 2
    lines = [f"usage: tfav {command} SYSTEM ...", "", inspect.getdoc(flags), "", "Systems:"]
    lines += [f"  {name:<{width}}{system.summary}" for name, system in systems.items()]
    lines += ["", f"For the flags of one: tfav {command} SYSTEM --help"]
    return "\n".join(lines)


def unknown_command(words: Sequence[str], commands: Mapping) -> UsageError:
    """The error for a command that is none, with the nearest one that is."""
    close = difflib.get_close_matches(" ".join(words[:2]), list(commands), 1) or difflib.get_close_matches(
        words[0], list(commands), 1
    )
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UsageError(f"unknown command {words[0]!r}.{hint} Valid commands: {', '.join(commands)}.")


def _fail(error: object, exit_code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return exit_code


def _help_text(cls: type, prog: str, settings: dict) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        tyro.cli(cls, prog=prog, args=["--help"], description=inspect.getdoc(cls), **settings)
    return said.getvalue().rstrip()


def _flags(cls: type) -> list[str]:
    """Long flags of a dataclass, those of its nested dataclasses included."""
    names = []
    for field in dataclasses.fields(cls):
        inner = getattr(field.type, "__origin__", field.type)
        inner = getattr(inner, "__args__", (inner,))[0] if not dataclasses.is_dataclass(inner) else inner
        names += _flags(inner) if dataclasses.is_dataclass(inner) else [_flag(field)]
    return names


def _flag(field: dataclasses.Field) -> str:
    """The flag of a field: what tyro is told to call it, else its own name."""
    given = [getattr(note, "name", None) for note in getattr(field.type, "__metadata__", ())]
    return next(filter(None, given), field.name).replace("_", "-")


def _check_flags(cls: type, prog: str, arguments: Sequence[str]) -> None:
    valid = _flags(cls)
    for argument in arguments:
        if argument == "--":
            return
        match = re.match(r"--([A-Za-z][\w-]*)", argument)
        if not match:
            continue
        name = match[1].replace("_", "-")
        if name not in valid and name.removeprefix("no-") not in valid:
            close = difflib.get_close_matches(name, valid, 1)
            hint = f" Did you mean --{close[0]}?" if close else ""
            raise UsageError(f"unknown field --{name}.{hint} Valid: {', '.join(valid)}. See {prog} --help.")


def _value_of(flag: str, arguments: Sequence[str]) -> str | None:
    for index, argument in enumerate(arguments):
        if argument == flag and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"{flag}="):
            return argument.split("=", 1)[1]
    return None


def _spelt_out_switches(cls: type, arguments: Sequence[str]) -> list[str]:
    """Accepts `--flip true` and `--flip false` beside `--flip` and `--no-flip`."""
    switches = {field.name.replace("_", "-") for field in dataclasses.fields(cls) if field.type in (bool, "bool")}
    result = []
    for argument in arguments:
        before = result[-1].removeprefix("--").replace("_", "-") if result else ""
        if argument.lower() in ("true", "false") and before in switches:
            if argument.lower() == "false":
                result[-1] = f"--no-{before}"
            continue
        result.append(argument)
    return result


def _first_message(text: str) -> str:
    """The message of tyro's box, as one line."""
    message = []
    for line in text.splitlines()[1:]:  # the first one is the box's title
        line = line.strip("│| ")
        if not set(line) - set("─-"):  # a rule within the box, or a blank line
            if message:
                break
            continue
        message.append(line)
    return " ".join(" ".join(message).split()).rstrip(".:") + "."


def print_json(args, result: dict, flush: bool = False) -> None:
    """Prints a result as JSON on a line of its own, where `--json` asks for it."""
    if args.json:
        text = json.dumps(result, ensure_ascii=False)
        print(text if console.can_show(text) else json.dumps(result), flush=flush)
