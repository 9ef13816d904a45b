"""Next-frame prediction with ConvLSTM networks on Moving MNIST, or on any videos.

config = Config.preset("cpu", mnist="mnist.npz")
train, val, test = build_datasets(config)
model = build_model(config)
model.compile(**compile_args(config))
model.fit(train, validation_data=val, epochs=config.epochs, callbacks=callbacks(config, "runs/mine"))
frames = predict_next(model, test_inputs, 10)
"""

import lazy_loader

from tfav.training.system import System

SYSTEM = System(
    name="next_frame",
    summary="next-frame prediction with ConvLSTM networks on Moving MNIST or any videos",
    kind="frames",
    package=__name__,
)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "config",
        "data",
        "evaluation",
        "model",
        "options",
        "motion",
        "prediction",
        "recurrence",
        "rollout",
        "serving",
        "task",
    ],
    submod_attrs={
        "options": ["EvaluateOptions", "PredictOptions", "PrepareOptions", "TAB"],
        "config": ["Config", "PRESETS"],
        "data": ["build_datasets"],
        "demo": ["demo"],
        "evaluation": ["describe_evaluation", "evaluate"],
        "model": ["build_forecaster", "build_model", "build_notebook"],
        "prediction": ["open_predictor", "predict_files"],
        "rollout": ["predict_next"],
        "serving": ["exported"],
        "task": ["callbacks", "compile_args", "prepare", "train", "write_pretrained"],
    },
)
