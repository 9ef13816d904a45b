"""Next-frame prediction by ConvLSTM networks or SimVP on Moving MNIST, on any videos, or on arrays of any numbers.

config = Config.preset("cpu", mnist="mnist.npz")
train, val, test = build_datasets(config)
model = build_model(config)
model.compile(**compile_args(config))
model.fit(train, validation_data=val, epochs=config.epochs, callbacks=callbacks(config, "runs/mine"))
frames = predict_next(model, test_inputs, 10)
"""

from tfav import lazy_names
from tfav.training.system import System

SYSTEM = System(
    name="next_frame",
    summary="next-frame prediction by ConvLSTM networks or SimVP on Moving MNIST, any videos or arrays",
    kind="frames",
    package=__name__,
)

__getattr__, __dir__, __all__ = lazy_names.attach(
    __name__,
    submodules=[
        "config",
        "convlstm",
        "dataset",
        "frame_sequences",
        "model",
        "pixel_advection",
        "predict",
        "rollout",
        "simvp",
    ],
    submod_attrs={
        "config": ["Config", "EvaluateOptions", "PRESETS", "PredictOptions", "PrepareOptions", "TAB"],
        "dataset": ["build_datasets", "open_data", "prepare"],
        "model": ["build_forecaster", "build_model", "build_notebook"],
        "train": ["callbacks", "compile_args", "train"],
        "evaluate": ["describe_evaluation", "evaluate"],
        "predict": ["open_predictor", "predict_array", "predict_files"],
        "rollout": ["predict_next"],
        "export": ["export", "write_pretrained"],
        "demo": ["demo"],
    },
)
