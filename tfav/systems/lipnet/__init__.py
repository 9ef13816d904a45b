"""Lip reading: GRID sentences from silent video of a mouth, by 3-D convolutions, recurrent layers and CTC.

config = Config.preset("cpu", data_dir="grid_shards")
train, val, test = build_datasets(config)
model = build_model(config)
model.compile(**compile_args(config))
model.fit(train, validation_data=val, epochs=config.epochs, callbacks=callbacks(config, "runs/mine"))
"""

import lazy_loader

from tfav.training.system import System

SYSTEM = System(
    name="lipnet",
    summary="lip reading: sentences with word times from silent video of a face; GRID corpus",
    kind="sentences",
    package=__name__,
)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "alphabet",
        "augmentation",
        "config",
        "corpus",
        "crops",
        "ctc",
        "data",
        "decoding",
        "evaluation",
        "grammar",
        "made",
        "model",
        "options",
        "old_weights",
        "prediction",
        "recognition",
        "serving",
        "task",
        "times",
        "transfer",
    ],
    submod_attrs={
        "alphabet": ["ALPHABETS", "Alphabet"],
        "options": ["EvaluateOptions", "PredictOptions", "PrepareOptions", "TAB"],
        "config": ["Config", "PRESETS"],
        "data": ["build_datasets", "prepare"],
        "demo": ["demo"],
        "evaluation": ["describe_evaluation", "evaluate"],
        "grammar": ["Grammar", "read_grammar"],
        "model": ["build_cpu", "build_model", "build_notebook", "build_paper"],
        "prediction": ["open_predictor", "predict_files"],
        "recognition": ["open_reader"],
        "serving": ["exported"],
        "task": ["callbacks", "compile_args", "train"],
        "transfer": ["write_pretrained"],
    },
)
