"""Run folders with a model that has learnt nothing: all that export looks at."""

import keras

from tfav import systems
from tfav.training import run_folder as runs

CLASSES = ["left", "right", "up"]

SMALL = {
    "cnn_lstm": {
        "preset": "demo",
        "num_classes": 3,
        "num_frames": 4,
        "image_size": 32,
        "cnn_filters": (4, 8),
        "cnn_depths": (1, 1),
        "lstm_units": 8,
        "dense_units": 8,
    },
    "two_stream": {"preset": "demo", "num_classes": 3, "image_size": 32},
    "lipnet": {
        "preset": "demo",
        "num_frames": 12,
        "crop_size": (16, 32),
        "filters": (2, 3, 4),
        "rnn_units": 4,
        "precision": "mixed_bfloat16",
    },
    "av_words": {"preset": "demo", "num_classes": 3, "precision": "mixed_bfloat16"},
    "next_frame": {"preset": "demo", "filters": (4,), "input_frames": 3, "output_frames": 3},
}
OTHERS = {
    "next_frame, notebook": ("next_frame", {"preset": "notebook", "filters": (2,), "kernel_sizes": (3,)}),
    "next_frame, motion": (
        "next_frame",
        {"preset": "cpu", "filters": (4, 6), "kernel_sizes": (3, 3), "input_frames": 3, "output_frames": 3},
    ),
    "lipnet, notebook": (
        "lipnet",
        {
            "preset": "notebook",
            "num_frames": 6,
            "crop_size": (16, 32),
            "filters": (2, 3, 4),
            "rnn_units": 4,
        },
    ),
}


def make_run(folder, system, fields):
    """Writes the run folder of an untrained model."""
    module = systems.load(system)
    fields = dict(fields)
    config = module.Config.preset(fields.pop("preset"), **fields)
    runs.start(folder, system, config.to_dict(), {"labels": CLASSES, "words": CLASSES})
    keras.utils.set_random_seed(3)
    module.build_model(config).save(folder / "best.keras")
    return folder
