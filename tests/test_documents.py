"""What the Markdown files tell a reader to type or to open is there: commands, make targets, files, tests."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from tfav import cli
from tfav.cli import commands as cli_commands
from tfav.cli import parsing
from tfav.errors import UsageError
from tfav.systems import SYSTEMS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "data").glob("*.md"), *ROOT.glob("t*/**/*.md")])
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")


def commands(snippets: list[str]) -> list[list[str]]:
    """The `tfav` commands among lines, as words; prose after a comment sign or some blanks is no part of them."""
    found = []
    for snippet in snippets:
        match = re.match(r"\s*(?:\.venv/bin/)?tfav\s+(\S.*)", snippet)
        if match:
            parts = re.split(r"\s{3,}", re.sub(r"\s+#.*", "", match[1]))
            # Blanks behind a command's name line a table of commands up; anywhere else a remark follows them.
            found.append(shlex.split(" ".join(parts[:2] if parts[0] in cli.COMMANDS else parts[:1])))
    return found


def lines_to_type(text: str) -> list[list[str]]:
    """Commands in code blocks, which are whole."""
    blocks = [re.sub(r"\\\n\s*", " ", block) for block in BLOCK.findall(text)]
    return commands([line for block in blocks for line in block.splitlines()])


def mentions(text: str) -> list[list[str]]:
    """Commands in the text, of which there may be no more than a name and a flag."""
    return commands(INLINE.findall(BLOCK.sub("", text)))


def command_of(words: list[str]) -> tuple[str, list[str]]:
    """The name of a command, and what stands behind it."""
    for name in (" ".join(words[:2]), words[0]):
        if name in cli.COMMANDS:
            return name, words[len(name.split()) :]
    raise parsing.unknown_command(words, cli.COMMANDS)


def check_line(words: list[str]) -> None:
    """Parses a whole command, and runs nothing.

    Raises:
        UsageError: It would be refused.
    """
    name, rest = command_of(words)
    if name in cli_commands.OF_A_SYSTEM:
        cli_commands.parsed(name, rest)
    else:
        parsing.parse(cli.COMMANDS[name][0], f"tfav {name}", rest)


def check_mention(words: list[str]) -> None:
    """Looks whether there are such a command and such flags.

    Raises:
        UsageError: There are not.
    """
    if words[0] in ("--help", "--version", "COMMAND"):
        return
    name, rest = command_of(words)
    flags = [word for word in rest if word != "--help"]
    if name == "train" and rest and not rest[0].startswith("-"):
        check_line(words)
    elif name in cli_commands.OF_A_SYSTEM:
        options = cli_commands.OPTIONS.get(name)
        # Where no system is named, one of them has to have the flag.
        named = [rest[0]] if rest and rest[0] in SYSTEMS else cli_commands.able_systems(name)
        own = [getattr(SYSTEMS[system], options or "Config") for system in named]
        valid = {flag for cls in (cli.COMMANDS[name][0], *own) for flag in parsing._flags(cls)}
        given = {word[2:].split("=")[0].removeprefix("no-") for word in flags if word.startswith("--")}
        if given - valid:
            raise UsageError(f"no such flags: {given - valid}")
    else:
        parsing._check_flags(cli.COMMANDS[name][0], f"tfav {name}", flags)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_documents_are_found():
    assert {"README.md", "CONTRIBUTING.md", "tfav/systems/lipnet/README.md"} <= set(map(name_of, DOCUMENTS))
    assert sum(len(lines_to_type(path.read_text(encoding="utf-8"))) for path in DOCUMENTS) > 40


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_would_be_taken(path):
    text = path.read_text(encoding="utf-8")
    pairs = [(check_line, words) for words in lines_to_type(text)] + [
        (check_mention, words) for words in mentions(text)
    ]
    wrong = []
    for check, words in pairs:
        try:
            check(words)
        except (UsageError, SystemExit) as error:
            wrong.append(f"tfav {shlex.join(words)}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert not [link for link in local if not (path.parent / link).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_make_targets_are_there(path):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert not set(named) - set(targets)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_tests_that_are_named_are_there(path):
    text = path.read_text(encoding="utf-8")
    missing = []
    for file, function in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", text):
        names = functions(ROOT / file) if (ROOT / file).is_file() else None
        if names is None or (function and function not in names):
            missing.append(f"{file}::{function}" if function else file)
    assert not missing


def functions(path: Path) -> set[str]:
    """Names of the functions of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tfav fetch ucf3            downloads it", ["fetch", "ucf3"]),
        ("tfav report   --run-dir runs/a      # curves", ["report", "--run-dir", "runs/a"]),
        ("tfav train    cnn_lstm --preset demo", ["train", "cnn_lstm", "--preset", "demo"]),
        ("tfav evaluate x --part test     or more words", ["evaluate", "x", "--part", "test"]),
    ],
)
def test_remarks_are_told_from_commands(line, words):
    assert lines_to_type(f"```\n{line}\n```\n") == [words]


@pytest.mark.parametrize(
    "line",
    [
        "trian cnn_lstm --preset demo",
        "train cnn_lstm --preset demoo --run-dir r",
        "evaluate lipnet --run-dir r --snr 3",
        "report --rundir r",
    ],
)
def test_a_wrong_command_would_be_noticed(line):
    with pytest.raises((UsageError, SystemExit)):
        check_line(line.split())
