"""`make bench BENCH=lipnet`: mouths cut out against real time, and clips a second that come out of the shards.

`--clips N` (default 200) clips of `grid/s1` below the real data are prepared once; then whole epochs of the training
pipeline of the preset `cpu` are timed, against decoding and cutting each clip again in every epoch.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from tests.bench.rounds import describe_machine, print_row
from tests.conftest import shared_root
from tfav.data import shards
from tfav.systems.lipnet import corpus, data
from tfav.systems.lipnet.config import Config
from tfav.training.start import start_tensorflow

_CLIP_SEC = 3.0
_DETECTOR = "weights/face_detection_yunet_2023mar.onnx"


def main() -> None:
    """Prints two rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    start_tensorflow()
    os.environ.setdefault("TFAV_FACE_DETECTOR", str(shared_root() / _DETECTOR))
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "grid"), Path(folder, "shards")
        (source / "s1").mkdir(parents=True)
        for video in sorted((shared_root() / "grid" / "s1").glob("*.mp4"))[: options.clips]:
            (source / "s1" / video.name).symlink_to(video)
        (source / "align").symlink_to(shared_root() / "grid" / "align")
        prepared = bench_prepare(source, out)
        print_row(prepared)
        print_row(bench_pipeline(out, options.epochs, prepared["seconds"] / prepared["clips"]))


def bench_prepare(source: Path, out: Path) -> dict:
    """Videos to shards, start of the processes included; the ratio is seconds of video to seconds of work."""
    started = time.perf_counter()
    report = data.prepare(source, out, quiet=True)
    seconds = time.perf_counter() - started
    index = shards.read_index(out)
    video_sec = sum(entry.num_frames for entry in index.entries) / corpus.FPS
    return {
        "what": "mouth crops of GRID clips into shards against real time",
        "clips": len(index.entries),
        "failed": len(report.failed),
        "seconds": round(seconds, 2),
        "ratio": round(video_sec / seconds, 2),
        "target": 3,
        "megabytes": round(sum(facts["bytes"] for facts in index.shards.values()) / 1e6, 1),
        "machine": describe_machine(),
    }


def bench_pipeline(out: Path, epochs: int, decode_sec: float) -> dict:
    """Epochs of the training pipeline alone; the baseline is what preparing took for each clip on all cores."""
    config = Config.preset("cpu", data_dir=str(out), val_fraction=0.0)
    train = data.build_datasets(config).train
    rates, first = [], 0.0
    for epoch in range(epochs + 1):
        started = time.perf_counter()
        count = sum(len(inputs["frame_count"]) for inputs, _ in train)
        rate = count / (time.perf_counter() - started)
        if epoch:
            rates.append(rate)
        else:
            first = rate
    median = statistics.median(rates)
    return {
        "what": "lipnet cpu training pipeline from shards, nothing else running in it",
        "baseline": {"name": "decode and cut anew in each epoch", "clips_per_sec": round(1 / decode_sec, 1)},
        "ours": {"name": "shards, cached in memory", "clips_per_sec": round(median, 1)},
        "first_epoch_clips_per_sec": round(first, 1),
        "ratio": round(median * decode_sec, 1),
        "target_clips_per_sec": 150,
        "rounds": [round(rate, 1) for rate in rates],
        "batch_size": config.batch_size,
        "machine": describe_machine(),
    }


if __name__ == "__main__":
    main()
