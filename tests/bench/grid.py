"""GRID below the real data, for the benchmarks that read it."""

import os
from pathlib import Path

from tests.conftest import shared_root


def use_detector() -> None:
    """Takes the face detector that lies beside the data, unless another one is set."""
    detector = shared_root() / "weights" / "face_detection_yunet_2023mar.onnx"
    os.environ.setdefault("TFAV_FACE_DETECTOR", str(detector))


def link_clips(folder: Path, count: int) -> Path:
    """A tree of GRID with the first so many clips of its first speaker, as links."""
    (folder / "s1").mkdir(parents=True)
    for video in sorted((shared_root() / "grid" / "s1").glob("*.mp4"))[:count]:
        (folder / "s1" / video.name).symlink_to(video)
    (folder / "align").symlink_to(shared_root() / "grid" / "align")
    return folder
