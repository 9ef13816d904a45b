"""Clips of 10 x 224 x 224 from frame folders, delivered as float32 0-1: `make bench BENCH=pipeline`.

The straightforward pipeline is a Python generator that reads, resizes and scales frame by frame with OpenCV, under
`tf.data.Dataset.from_generator`. Ours is `build_datasets` of the notebook preset, whose batches are uint8 and are cast
here as the model would. Both shuffle, batch and prefetch, and read the same JPEG files.

Each side has a process of its own, and they work in turn: `from_generator` changes for good how its process gives
memory back (TensorFlow sets `M_TRIM_THRESHOLD`), which would slow down whatever else is measured there.
"""

import argparse
import functools
import gc
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from tests.bench.rounds import measure, print_row
from tests.conftest import shared_root
from tfav.data.folders import scan
from tfav.io.frame_extraction import extract_frames
from tfav.io.frame_folders import list_frames
from tfav.systems.cnn_lstm import Config
from tfav.systems.cnn_lstm.dataset import build_dataset

NUM_FRAMES, SIZE, BATCH = 10, 224, 8
COPIES = 4  # every clip stands in so many times, so that an epoch lasts long enough to be measured


def generator_pipeline(examples, labels) -> tf.data.Dataset:
    """What one writes first."""

    def clips():
        for example in examples:
            frames = []
            for path in list_frames(example.path, check=False):
                image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
                frames.append(cv2.resize(image, (SIZE, SIZE)).astype(np.float32) / 255)
            yield np.stack(frames), labels.index(example.label)

    signature = (tf.TensorSpec((NUM_FRAMES, SIZE, SIZE, 3), tf.float32), tf.TensorSpec((), tf.int32))
    data = tf.data.Dataset.from_generator(clips, output_signature=signature)
    return data.shuffle(len(examples)).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def consume(dataset: tf.data.Dataset) -> None:
    """Takes every batch and touches it."""
    for batch in dataset:
        tf.reduce_max(batch[0][..., :1, :1, :]).numpy()


def our_pipeline(tree) -> tf.data.Dataset:
    """What a user of the package writes."""
    config = Config.preset("notebook", num_classes=len(tree.labels), batch_size=BATCH)
    data = build_dataset(config, tree.examples, tree.labels, training=True)
    return data.map(lambda inputs, target: (tf.cast(inputs["clip"], tf.float32) / 255, target), tf.data.AUTOTUNE)


@functools.cache
def kept(side: str, folder: str) -> tf.data.Dataset:
    """A pipeline that stays from round to round in the process of its side."""
    tree = scan(folder)
    return generator_pipeline(tree.examples, tree.labels) if side == "from_generator" else our_pipeline(tree)


def epoch(side: str, folder: str) -> None:
    """One epoch of a pipeline that was there before, whatever it remembers."""
    consume(kept(side, folder))


def forget() -> None:
    """Before a first epoch: what an epoch leaves in memory stays for the later ones, so it is given back untimed."""
    kept.cache_clear()
    gc.collect()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=shared_root() / "ucf101" / "videos", help="folder of class/video")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        raise SystemExit(f"{arguments.data}: no such folder. Give one with --data, or set TFAV_DATA.")
    with (
        tempfile.TemporaryDirectory() as work_dir,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as theirs,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as ours,
    ):
        extract_frames(arguments.data, f"{work_dir}/once", num_frames=NUM_FRAMES, quiet=True)
        for folder in [example.path for example in scan(f"{work_dir}/once").examples]:
            for copy in range(COPIES):
                link = Path(work_dir, "all", folder.parent.name, f"{folder.name}_{copy}")
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(folder)
        every = f"{work_dir}/all"
        facts = {"clips": len(scan(every).examples), "packages": ("tensorflow", "opencv-contrib-python", "numpy")}

        def baseline() -> None:
            theirs.submit(epoch, "from_generator", every).result()

        # Ours from nothing: the folder is scanned, the files are checked, every clip is decoded.
        sides = {"from_generator": baseline, "build_datasets": lambda: ours.submit(epoch, "ours", every).result()}
        prepare = {"prepare": lambda: ours.submit(forget).result(), "target": 3.0}
        rows = [measure("clips 10 x 224 x 224, first epoch", sides, rounds=arguments.rounds, **prepare, **facts)]
        what = "clips 10 x 224 x 224, later epochs"
        rows.append(measure(what, sides, rounds=arguments.rounds, target=6.0, **facts))
    for row in rows:
        for side in ("baseline", "ours"):
            row[side]["clips_per_sec"] = round(row["clips"] / row[side]["seconds"], 1)
        print_row(row)


if __name__ == "__main__":
    main()
