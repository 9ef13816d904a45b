"""Optical flow against OpenCV's TV-L1, pair by pair as in the notebook: `make bench BENCH=flow`.

The baseline is one `cv2.optflow.DualTVL1OpticalFlow` in one process, with all the threads OpenCV gives itself, called
for each pair of frames. Two rows: ours by the same method over processes, whose result must be the same bit for bit,
and ours by the fast method DIS. Frames are decoded beforehand for both; processes are started in the warm-up round.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it also runs as a plain script

from tests.bench.rounds import measure, print_row
from tests.conftest import shared_root
from tfav.io.optical_flow import iter_flow
from tfav.io.video import read_video

CLIP = "ucf101/abseiling_k400.mp4"
SIZE = (240, 320)
TARGETS = {"tvl1": 1.3, "dis": 30.0}
PACKAGES = ("opencv-contrib-python", "joblib", "numpy")


def flow_pair_by_pair(frames) -> list[np.ndarray]:
    """Compute flow as the notebook does."""
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0 for frame in frames]
    tvl1 = cv2.optflow.DualTVL1OpticalFlow_create()
    return [tvl1.calc(grays[i], grays[i + 1], None) for i in range(len(grays) - 1)]


def main() -> None:
    """Measure both methods, check that TV-L1 is the same, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, default=shared_root() / CLIP)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not arguments.video.is_file():
        raise SystemExit(f"{arguments.video}: no such file. Give one with --video, or set TFAV_DATA.")
    clip = read_video(arguments.video, list(range(arguments.pairs + 1)))
    frames = [cv2.resize(frame, SIZE[::-1], interpolation=cv2.INTER_AREA) for frame in clip.frames]
    kept = {}
    for method, target in TARGETS.items():
        row = measure(
            f"flow of {arguments.pairs} pairs at {SIZE[1]}x{SIZE[0]}, {method} against TV-L1 pair by pair",
            {
                "cv2 TV-L1, pair by pair": lambda: kept.update(theirs=flow_pair_by_pair(frames)),
                f"iter_flow, {method}": lambda method=method: kept.update(ours=list(iter_flow(frames, method))),
            },
            rounds=arguments.rounds,
            target=target,
            packages=PACKAGES,
            opencv_threads=cv2.getNumThreads(),
        )
        if method == "tvl1":
            row["identical"] = all(map(np.array_equal, kept["theirs"], kept["ours"]))
        print_row(row)
        if row.get("identical") is False:
            raise SystemExit("the two sides differ")


if __name__ == "__main__":
    main()
