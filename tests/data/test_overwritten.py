"""Pictures of a frame folder overwritten in place: what was kept of the old ones is never taken for the new ones."""

import os

import cv2
import numpy as np
import pytest

from tfav.data.example_files import fingerprint
from tfav.io.flow_extraction import folders_of
from tfav.io.npy_sequences import open_sequences
from tfav.systems.cnn_lstm import feature_cache as frame_features
from tfav.systems.next_frame import frame_sequences
from tfav.systems.two_stream import sampling, stream


def write_pictures(folder, level, count=4):
    """Grey pictures of one level; into the same files where they are there, so that the folder stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        data = cv2.imencode(".png", np.full((8, 8, 3), level, np.uint8))[1].tobytes()
        (folder / f"frame{number + 1:06d}.png").write_bytes(data)


def overwrite(folder, level):
    """Overwrites in place, and gives the folder its old times back, as some file systems would."""
    before = folder.stat()
    write_pictures(folder, level)
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert folder.stat().st_mtime_ns == before.st_mtime_ns


def test_sequences_are_cut_anew(tmp_path):
    frames, cache = tmp_path / "v" / "a", tmp_path / "cache"
    write_pictures(frames, 50)
    options = {"num_frames": 2, "size": 8, "channels": 1}
    first = frame_sequences.cached_sequences(tmp_path / "v", cache, **options)
    assert frame_sequences.cached_sequences(tmp_path / "v", cache, **options) == first  # kept
    overwrite(frames, 200)
    second = frame_sequences.cached_sequences(tmp_path / "v", cache, **options)
    assert [int(open_sequences(path).max()) for path in (first, second)] == [50, 200]


@pytest.mark.parametrize("key", [frame_features._video_key, fingerprint], ids=["cnn_lstm's features", "fingerprint"])
def test_the_name_of_what_is_kept_changes(tmp_path, key):
    write_pictures(tmp_path / "a", 50)
    before = key(tmp_path / "a")
    assert key(tmp_path / "a") == before
    overwrite(tmp_path / "a", 51)  # files of the same size
    assert key(tmp_path / "a") != before


@pytest.mark.parametrize("part", ["jpegs_256", "tvl1_flow/u", "tvl1_flow/v"])
def test_the_name_of_a_streams_answers_changes(tmp_path, part):
    for folder in ("jpegs_256", "tvl1_flow/u", "tvl1_flow/v"):
        write_pictures(tmp_path / folder / "a", 50)
    pictures = sampling.Pictures(folders_of(tmp_path, "a"), num_starts=1, orientation=1)
    before = stream._file_name(pictures)
    assert stream._file_name(pictures) == before
    overwrite(tmp_path / part / "a", 51)
    assert stream._file_name(pictures) != before
