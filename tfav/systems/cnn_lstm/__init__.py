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
        "feature_cache",
        "feature_pca",
        "model",
        "motion_images",
    ],
    submod_attrs={
        "config": ["Config", "EvaluateOptions", "LiveOptions", "PRESETS", "PredictOptions", "PrepareOptions", "TAB"],
        "dataset": ["build_datasets", "open_data", "prepare"],
        "model": ["build_backbone", "build_head", "build_model"],
        "train": ["callbacks", "compile_args", "train"],
        "evaluate": ["describe_evaluation", "evaluate"],
        "predict": ["open_live", "open_predictor", "predict", "predict_files"],
        "export": ["export"],
        "demo": ["demo"],
    },
)
