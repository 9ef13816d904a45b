"""Video classification: a CNN per frame under an LSTM.

config = Config.preset("transfer", data_dir="videos")
train, val, test = build_datasets(config)
model = build_model(config)
model.compile(**compile_args(config))
model.fit(train, epochs=config.epochs, callbacks=callbacks(config, "runs/mine"))
"""

import lazy_loader

from tfav.training.system import System

SYSTEM = System(
    name="cnn_lstm",
    summary="video classification: a CNN per frame under an LSTM",
    kind="classes",
    package=__name__,
)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "clips",
        "config",
        "data",
        "extractor",
        "features",
        "model",
        "options",
        "predictor",
        "serving",
        "task",
        "views",
    ],
    submod_attrs={
        "options": ["EvaluateOptions", "PredictOptions", "PrepareOptions", "TAB"],
        "config": ["Config", "PRESETS"],
        "data": ["build_datasets", "open_data"],
        "extractor": ["build_extractor"],
        "model": ["build_head", "build_model"],
        "demo": ["demo"],
        "predictor": ["open_predictor"],
        "serving": ["exported"],
        "task": [
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
