"""The page of the house says where things are, and files and settings keep to their limits."""

import dataclasses
import re
from pathlib import Path

import pytest

from tfav.systems import SYSTEMS

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES, MAX_FIELDS, OWN_FILES = 400, 45, 5
SAME = {"__init__", "config", "dataset", "model", "train", "evaluate", "predict", "export", "demo"}


def concepts() -> list[tuple[str, str]]:
    text = (ROOT / "docs" / "architecture.md").read_text().split("## Where is X")[1].split("\n## ")[0]
    return re.findall(r"^\| ([^|`]+?) +\| `([^`|]+)`", text, re.MULTILINE)


def test_every_concept_is_where_the_page_says():
    rows = concepts()
    assert len(rows) >= 40 and len({name for name, _ in rows}) == len(rows)
    assert not [path for _, path in rows if not (ROOT / "tfav" / path).exists()]


def test_no_file_is_longer_than_a_person_reads_at_once():
    long = {str(path): len(path.read_text("utf-8").splitlines()) for path in (ROOT / "tfav").rglob("*.py")}
    assert not {path: lines for path, lines in long.items() if lines > MAX_LINES}


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_a_system_has_the_same_files_as_the_others_and_few_settings(name):
    files = {path.stem for path in (ROOT / "tfav" / "systems" / name).glob("*.py")}
    assert not SAME - files
    assert len(files - SAME) <= OWN_FILES, sorted(files - SAME)
    assert len(dataclasses.fields(SYSTEMS[name].Config)) <= MAX_FIELDS
