"""Examples made from small text files; without TensorFlow, so that a process that makes them starts at once."""

from pathlib import Path

import numpy as np

from tfav.data.example_files import Record
from tfav.errors import DataError


def make_from_file(path):
    """A record whose pixels are the number in a file; counts how often it is made."""
    text = Path(path).read_text()
    with Path(path).with_suffix(".log").open("a") as log:
        log.write("made\n")
    if text == "bad":
        raise DataError(f"{path}: no number")
    frames = np.full((3, 2, 2, 1), int(text), np.uint8)
    return Record(Path(path).stem, frames, text=text), "odd" if int(text) % 2 else ""
