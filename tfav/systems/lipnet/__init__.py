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
        "tokenizer",
        "augment",
        "config",
        "corpus",
        "crops",
        "losses",
        "dataset",
        "decoding",
        "evaluate",
        "grammar",
        "synthetic",
        "model",
        "options",
        "convert_weights",
        "predict",
        "inference",
        "export",
        "train",
        "alignment",
        "shipped_weights",
    ],
    submod_attrs={
        "tokenizer": ["ALPHABETS", "Alphabet"],
        "options": ["EvaluateOptions", "PredictOptions", "PrepareOptions", "TAB"],
        "config": ["Config", "PRESETS"],
        "dataset": ["build_datasets", "prepare"],
        "demo": ["demo"],
        "evaluate": ["describe_evaluation", "evaluate"],
        "grammar": ["Grammar", "read_grammar"],
        "model": ["build_cpu", "build_model", "build_notebook", "build_paper"],
        "predict": ["open_predictor", "predict_files"],
        "inference": ["open_reader"],
        "export": ["export"],
        "train": ["callbacks", "compile_args", "train"],
        "shipped_weights": ["write_pretrained"],
    },
)
