"""Video classification: a CNN per frame under an LSTM.

config = Config.preset("transfer", data_dir="videos")
train, val, test = build_datasets(config)
model = build_model(config)
model.compile(**compile_args(config))
model.fit(train, epochs=config.epochs, callbacks=callbacks(config, "runs/mine"))
"""

from tfav import lazy_names
from tfav.training.system import System

SYSTEM = System(
    name="cnn_lstm",
    summary="video classification: a CNN per frame under an LSTM",
    kind="classes",
    package=__name__,
)

__getattr__, __dir__, __all__ = lazy_names.attach(
    __name__,
    submodules=[
        "clip_reader",
        "config",
        "dataset",
        "backbone",
        "feature_cache",
        "model",
        "options",
        "predict",
        "export",
        "train",
        "motion_images",
    ],
    submod_attrs={
        "options": ["EvaluateOptions", "PredictOptions", "PrepareOptions", "TAB"],
        "config": ["Config", "PRESETS"],
        "dataset": ["build_datasets", "open_data"],
        "backbone": ["build_extractor"],
        "model": ["build_head", "build_model"],
        "demo": ["demo"],
        "predict": ["open_predictor"],
        "export": ["export"],
        "train": [
            "callbacks",
            "compile_args",
            "describe_evaluation",
            "evaluate",
            "predict",
            "predict_files",
            "prepare",
            "train",
        ],
    },
)
