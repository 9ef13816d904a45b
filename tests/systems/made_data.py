"""A little made data for each system, and settings so small that one training step takes a second."""

import os

import numpy as np

from tfav.data import synthetic
from tfav.speech.synthetic_speaker import WORDS
from tfav.systems.av_words.demo import make_shards as make_words
from tfav.systems.lipnet.demo import make_shards as make_mouths

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _videos(folder) -> dict:
    synthetic.moving_shapes(folder / "videos", num_groups=3, clips_per_group=1, num_frames=8, size=32)
    return {"data_dir": str(folder / "videos"), "val_fraction": 0.34, "cache_dir": str(folder / "cache")}


def _cnn_lstm(folder) -> dict:
    small = {"num_frames": 4, "image_size": 32, "cnn_filters": (4, 8), "cnn_depths": (1, 1), "lstm_units": 4}
    return _videos(folder) | small | {"batch_size": 6}


def _two_stream(folder) -> dict:
    return _videos(folder) | {"stream": "motion", "image_size": 32, "train_samples": 1, "samples_per_video": 2}


def _lipnet(folder) -> dict:
    make_mouths(folder / "shards", num_clips=12, num_slots=1, num_frames=20)
    small = {
        "num_frames": 20,
        "filters": (2, 3, 4),
        "rnn_units": 4,
        "grammar": "none",
    }
    return {"data_dir": str(folder / "shards"), "val_fraction": 0.3} | small


def _av_words(folder) -> dict:
    make_words(folder / "shards", num_sentences=8)
    shards = {"data_dir": str(folder / "shards"), "val_fraction": 0.3, "cache_dir": str(folder / "cache")}
    return shards | {"num_classes": len(WORDS)}


def _next_frame(folder) -> dict:
    sequences = np.random.default_rng(0).integers(0, 255, (6, 20, 64, 64), np.uint8)
    np.save(folder / "sequences.npy", np.maximum.accumulate(sequences, axis=0))
    small = {"input_frames": 3, "output_frames": 3, "filters": (4,), "batch_size": 4}
    return {"data_dir": str(folder / "sequences.npy"), "val_fraction": 0.2} | small


MAKERS = {
    "av_words": _av_words,
    "cnn_lstm": _cnn_lstm,
    "lipnet": _lipnet,
    "next_frame": _next_frame,
    "two_stream": _two_stream,
}
