"""Lip reading: GRID sentences from silent video of a mouth, by 3-D convolutions, recurrent layers and CTC.

config = Config.preset("cpu", data_dir="grid_shards")
train, val, test = build_datasets(config)
model = build_model(config)
model.compile(**compile_args(config))
model.fit(train, validation_data=val, epochs=config.epochs, callbacks=callbacks(config, "runs/mine"))
"""

from tfav import lazy_names
from tfav.training.system import System

SYSTEM = System(
    name="lipnet",
    summary="lip reading: sentences with word times from silent video of a face; GRID corpus",
    kind="sentences",
    package=__name__,
)

__getattr__, __dir__, __all__ = lazy_names.attach(
    __name__,
    submodules=[
        "augment",
        "config",
        "convert_weights",
        "dataset",
        "decoding",
        "export",
        "losses",
        "model",
        "predict",
        "reader",
    ],
    submod_attrs={
        "config": ["Config", "EvaluateOptions", "PRESETS", "PredictOptions", "PrepareOptions", "TAB"],
        "dataset": ["build_datasets", "open_data", "prepare"],
        "demo": ["demo"],
        "evaluate": ["describe_evaluation", "evaluate"],
        "export": ["export", "write_pretrained"],
        "model": ["build_model", "build_notebook", "build_paper", "build_with_heads"],
        "predict": ["align_files", "open_predictor", "open_scorer", "predict_files"],
        "reader": ["open_reader"],
        "train": ["callbacks", "compile_args", "train"],
    },
)
