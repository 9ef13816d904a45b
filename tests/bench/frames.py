"""Frame extraction at one frame a second against the notebook's method: `make bench BENCH=frames`.

The notebook seeks by milliseconds for each wanted second, reads one frame and writes it with `cv2.imwrite`, in one
process, video after video. Ours is `extract_frames` as every user calls it, with its processes, its partial folders and
manifests. JPEG quality is the same (95). Both write to an emptied folder in every round.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it also runs as a plain script

import json
import shutil

from tests.bench.rounds import measure, print_row
from tests.conftest import shared_root
from tfav.io.frame_extraction import extract_frames
from tfav.io.listing import MANIFEST_NAME, VIDEO_SUFFIXES, walk_files

EVERY_SEC = 1.0
TARGET = 4.0


def extract_by_seeking(videos: list[Path], out_dir: Path) -> dict[str, list[int]]:
    """Extract frames as the notebook does; return the frame numbers it read, for each video's name."""
    indices = {}
    for video in videos:
        folder = out_dir / video.parent.name / video.stem
        folder.mkdir(parents=True)
        capture = cv2.VideoCapture(str(video))
        duration_sec = capture.get(cv2.CAP_PROP_FRAME_COUNT) / capture.get(cv2.CAP_PROP_FPS)
        numbers = []
        while len(numbers) * EVERY_SEC < duration_sec:
            capture.set(cv2.CAP_PROP_POS_MSEC, len(numbers) * EVERY_SEC * 1000)
            read, frame = capture.read()
            if not read:
                break
            cv2.imwrite(str(folder / f"video_frame_{len(numbers):02d}.jpg"), frame)
            numbers.append(round(capture.get(cv2.CAP_PROP_POS_FRAMES)) - 1)
        capture.release()
        indices[video.stem] = numbers
    return indices


def compare_indices(by_seeking: dict[str, list[int]], out_dir: Path) -> tuple[int, int]:
    """Return the largest difference between the frame numbers of both sides, and how many frames only we found.

    The notebook's last seek fails where the last wanted moment lies in the very last frame (240 frames at 29.97 fps:
    second 8), so one frame more at the end is no difference in the choice; anything else is an error.
    """
    largest, num_more = 0, 0
    for manifest_path in sorted(out_dir.rglob(MANIFEST_NAME)):
        ours = [frame["index"] for frame in json.loads(manifest_path.read_text())["frames"]]
        theirs = by_seeking.pop(manifest_path.parent.name)
        num_more += len(ours) - len(theirs)
        if len(ours) - len(theirs) not in (0, 1):
            raise SystemExit(f"{manifest_path.parent}: {len(ours)} frames against the notebook's {len(theirs)}")
        largest = max([largest, *(abs(a - b) for a, b in zip(ours, theirs, strict=False))])
    if by_seeking:
        raise SystemExit(f"not extracted: {', '.join(by_seeking)}")
    return largest, num_more


def main() -> None:
    """Measure, check that both sides chose the same frames, and print the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=shared_root() / "ucf101" / "videos", help="folder of class/video")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        raise SystemExit(f"{arguments.data}: no such folder. Give one with --data, or set TFAV_DATA.")
    videos = walk_files(arguments.data, VIDEO_SUFFIXES).files[: arguments.clips]
    with tempfile.TemporaryDirectory() as work_dir:
        subset, theirs_dir, ours_dir = (Path(work_dir, name) for name in ("videos", "theirs", "ours"))
        for video in videos:
            (subset / video.parent.name).mkdir(parents=True, exist_ok=True)
            (subset / video.parent.name / video.name).symlink_to(video.resolve())
        by_seeking = {}

        def empty_folders():
            shutil.rmtree(theirs_dir, ignore_errors=True)
            shutil.rmtree(ours_dir, ignore_errors=True)

        def extract():
            report = extract_frames(subset, ours_dir, every_sec=EVERY_SEC, quiet=True)
            if not report.ok:
                raise SystemExit(report.summary())

        row = measure(
            "frames at one a second, JPEG",
            {
                "seek by milliseconds, one process": lambda: by_seeking.update(extract_by_seeking(videos, theirs_dir)),
                "extract_frames": extract,
            },
            rounds=arguments.rounds,
            prepare=empty_folders,
            target=TARGET,
            packages=("av", "opencv-contrib-python", "joblib", "numpy"),
            clips=len(videos),
        )
        row["frames"] = sum(map(len, by_seeking.values()))
        row["largest_index_difference"], row["frames_missed_by_seeking"] = compare_indices(by_seeking, ours_dir)
    print_row(row)
    if row["largest_index_difference"] > 1:
        raise SystemExit("the two sides chose different frames")


if __name__ == "__main__":
    main()
