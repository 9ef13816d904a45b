"""Imports go down only, and systems never import each other: the house rule, read off the source."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "tfav"

FLOORS = {
    "errors": 0,
    "_version": 0,
    "lazy_names": 0,
    "ranges": 0,
    "keras_private": 1,
    "keras_settings": 1,
    "old_packages": 1,
    "io": 1,
    "data": 2,
    "layers": 2,
    "live": 2,
    "metrics": 2,
    "weights": 2,
    "speech": 3,
    "training": 3,
    "systems": 4,
    "report": 5,
    "app": 5,
    "export": 5,
    "doctor": 5,
    "cli": 6,
    "__main__": 7,
}
NO_TENSORFLOW = ("errors", "lazy_names", "ranges", "io", "live", "cli", "doctor", "old_packages")


def imports_of(path: Path) -> set[str]:
    """Dotted names a module imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> list[str]:
    return list(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def broken_rule(room: list[str], imported: str) -> str:
    """Why this import may not be, or nothing."""
    parts = imported.split(".")
    if parts[0] in ("tensorflow", "keras") and room[0] in NO_TENSORFLOW:
        return "loads TensorFlow on a floor that must not"
    if parts[0] != "tfav" or len(parts) < 2 or parts[1] == "__version__":
        return ""
    target = parts[1]
    if target not in FLOORS:
        return "" if target in ("weights",) else f"imports the unknown room {target}"
    if FLOORS[target] > FLOORS[room[0]]:
        return "goes up"
    if (
        target == room[0] == "systems"
        and len(parts) > 2
        and len(room) > 1
        and parts[2] not in (room[1], "SYSTEMS", "load")
    ):
        return "goes sideways, from one system to another"
    if FLOORS[target] == FLOORS[room[0]] and target != room[0] and FLOORS[target] not in (5, 6):
        return "" if FLOORS[target] in (0, 1, 2) else "goes sideways"
    return ""


def test_modules_are_found():
    assert len(MODULES) > 20


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_down_only(path):
    room = room_of(path)
    assert room[0] in FLOORS, f"a new room {room[0]}: give it a floor"
    broken = {name: broken_rule(room, name) for name in imports_of(path)}
    assert not {name: why for name, why in broken.items() if why}


def test_the_rule_would_notice():
    assert broken_rule(["io", "video"], "tfav.data.augment") == "goes up"
    assert broken_rule(["io", "video"], "tensorflow") != ""
    assert broken_rule(["systems", "cnn_lstm", "model"], "tfav.systems.lipnet.model") != ""
    assert broken_rule(["systems", "cnn_lstm", "model"], "tfav.report.html") == "goes up"
    assert broken_rule(["systems", "cnn_lstm", "model"], "tfav.layers.residual_block") == ""
