"""Ten epochs over a frozen MobileNetV2: `make bench BENCH=transfer`.

The straightforward model is `TimeDistributed` over the frozen backbone under an LSTM, fitted for ten epochs to the
frames of all clips, decoded before and in memory. Ours decodes the videos, computes the features once, as filmed and
mirrored, and trains the same LSTM on them, with nothing in the cache beforehand. Same backbone, frames, batch and
epochs.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tests.bench.rounds import measure, print_row
from tests.conftest import shared_root
from tfav.data.folders import scan
from tfav.systems.cnn_lstm import Config, build_model, clip_reader, compile_args
from tfav.systems.cnn_lstm.dataset import build_dataset
from tfav.systems.cnn_lstm.model import build_backbone

EPOCHS, NUM_FRAMES, SIZE, BATCH = 10, 10, 160, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=shared_root() / "ut_interaction", help="folder of class/video")
    weights = shared_root() / "weights" / "mobilenet_v2_0.35_224_no_top.h5"
    parser.add_argument("--weights", type=Path, default=weights, help="MobileNetV2, alpha 0.35, no top")
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-flip", action="store_true", help="train both sides without mirrored clips")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        raise SystemExit(f"{arguments.data}: no such folder. Give one with --data, or set TFAV_DATA.")
    tree = scan(arguments.data)
    examples = tree.examples[:: -(-len(tree.examples) // arguments.clips)]
    with tempfile.TemporaryDirectory() as work_dir:
        base = {
            "num_classes": len(tree.labels),
            "num_frames": NUM_FRAMES,
            "image_size": SIZE,
            "backbone": "mobilenet_v2",
            "backbone_alpha": 0.35,
            "backbone_weights": str(arguments.weights),
            "backbone_mode": "frozen",
            "flip": not arguments.no_flip,
            "batch_size": BATCH,
            "epochs": EPOCHS,
        }
        counter = iter(range(10**6))
        frames = np.stack(
            [clip.pixels[0] for clip in clip_reader.read_clips([e.path for e in examples], Config(**base))]
        )
        targets = np.eye(len(tree.labels), dtype="f")[[tree.labels.index(e.label) for e in examples]]

        def each_epoch():
            backbone = build_backbone(Config(**base))
            backbone.trainable = False
            inputs = keras.Input(frames.shape[1:])
            x = keras.layers.TimeDistributed(backbone)(inputs)
            x = keras.layers.LSTM(128)(x)
            x = keras.layers.Dense(32, activation="relu")(x)
            model = keras.Model(inputs, keras.layers.Dense(len(tree.labels), activation="softmax")(x))
            model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
            data = tf.data.Dataset.from_tensor_slices((frames, targets)).shuffle(len(examples))
            if not arguments.no_flip:
                data = data.map(
                    lambda c, t: (tf.cond(tf.random.uniform([]) < 0.5, lambda: c[:, :, ::-1], lambda: c), t)
                )
            model.fit(data.batch(BATCH).prefetch(2), epochs=EPOCHS, verbose=0)

        def once():
            config = Config(**{**base, "backbone_mode": "cached"}, cache_dir=f"{work_dir}/{next(counter)}")
            data = build_dataset(config, examples, tree.labels, training=True)
            model = build_model(config)
            model.compile(**compile_args(config))
            model.fit(data, epochs=EPOCHS, verbose=0, shuffle=False)

        row = measure(
            "ten epochs, frozen MobileNetV2 0.35, 10 x 160 x 160",
            {"TimeDistributed each epoch": each_epoch, "features once": once},
            rounds=arguments.rounds,
            target=6.0,
            packages=("tensorflow", "keras"),
            clips=len(examples),
            flip=not arguments.no_flip,
        )
    print_row(row)


if __name__ == "__main__":
    main()
