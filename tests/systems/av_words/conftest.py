"""Made recordings: clips whose flashes and clicks are at the same moments, in GRID's tree and in LRW's."""

import numpy as np
import pytest

from tests.io.sounds import write_sound
from tfav.systems.av_words.demo import make_shards

RATE = 16000
ALIGNMENT = """0 3000 sil
3000 9000 bin
9000 14000 blue
14000 20000 at
20000 30000 sil
30000 36000 f
36000 40000 now
"""


def flashes_and_clicks(num_frames, moments, seconds=None):
    """Frames `[T, 256, 256, 3]`, dark but for a flash at each moment, and sound with a click where the flash begins."""
    frames = np.full((num_frames, 256, 256, 3), 30, np.uint8)
    sound = np.random.default_rng(0).normal(0, 0.002, round((seconds or num_frames / 25) * RATE))
    for moment in moments:
        frames[moment] = 220
        sound[moment * 640 : moment * 640 + 40] = 0.8
    return frames, sound


@pytest.fixture
def make_clip():
    """A function that writes a video of 256x256 with a flash and a click at each of the given frames."""

    def write(path, num_frames=40, moments=(6, 11, 17, 33, 38), seconds=None, **options):
        frames, sound = flashes_and_clicks(num_frames, moments, seconds)
        return write_sound(path, sound, RATE, frames=frames, **options)

    return write


@pytest.fixture
def grid_tree(tmp_path, make_clip):
    """Six sentences of one speaker, 40 frames each, whose words have their middles at flashes."""
    root = tmp_path / "grid"
    for name in ("bbaf1n", "bbaf2n", "bbaf3n", "bbaf4n", "bbaf5n", "bbaf6n"):
        make_clip(root / "s1" / f"{name}.mkv")
        align = root / "align" / "s1" / f"{name}.align"
        align.parent.mkdir(parents=True, exist_ok=True)
        align.write_text(ALIGNMENT)
    return root


@pytest.fixture(scope="session")
def made_index(tmp_path_factory):
    """Shards of 24 made sentences; read only."""
    return make_shards(tmp_path_factory.mktemp("made"), num_sentences=24)
