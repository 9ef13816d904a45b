"""Made corpora: grey clips in GRID's size whose frames carry their number, with alignments, and shards of them."""

import numpy as np
import pytest

from tfav.data import shards
from tfav.data.example_files import Record
from tfav.io.encoding import write_video
from tfav.speech.grid import FPS

ALIGNMENT = """0 5000 sil
5000 9000 bin
9000 14000 blue
14000 15500 at
15500 20000 f
20000 21000 sp
21000 26500 two
26500 32000 now
32000 40000 sil
"""


@pytest.fixture
def make_video():
    """A function that writes a clip of 360x288, each frame a little brighter than the one before."""

    def write(path, num_frames=40, size=(288, 360), fps=25.0):
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = np.empty((num_frames, *size, 3), np.uint8)
        frames[:] = (40 + 4 * np.arange(num_frames))[:, None, None, None]
        write_video(path, frames, fps=fps, preset="ultrafast")
        return path

    return write


@pytest.fixture
def grid(tmp_path, make_video):
    """Two speakers with two clips each, in the corpus' own tree; one clip has 39 frames."""
    root = tmp_path / "grid"
    for speaker in ("s1", "s2"):
        for name, length in (("bbaf2n", 40), ("srwi5a", 39)):
            make_video(root / speaker / f"{name}.mp4", length)
            align = root / "align" / speaker / f"{name}.align"
            align.parent.mkdir(parents=True, exist_ok=True)
            align.write_text(ALIGNMENT.replace("40000", f"{length - 0.5:g}e3"))
    return root


@pytest.fixture
def shard_folder(tmp_path):
    """A function that writes shards of clips given as `{name: (text, words, num_frames)}`, 12 x 20 pixels."""

    def write(clips, folder=None):
        def load(name):
            text, words, length = clips[name]
            rng = np.random.default_rng(sum(name.encode()))
            frames = rng.integers(0, 200, (1, 12, 20, 1)) + np.arange(length)[:, None, None, None]
            times = np.array([word[1:] for word in words], np.float32).reshape(-1, 2) / FPS
            return Record(name, frames.astype(np.uint8), 25.0, text, tuple(word[0] for word in words), times)

        folder = folder or tmp_path / "shards"
        settings = {"system": "lipnet", "format": 2, "mouth_crop": "tracked"}
        return shards.write_shards(folder, list(clips), load, settings=settings)

    return write
