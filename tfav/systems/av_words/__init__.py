"""Audio-visual word recognition: a word from 29 frames of a mouth and the sound that belongs to them.

config = Config.preset("cpu", data_dir="word_shards")
train(config, "runs/mine")  # all stages; or the whole network at once:
train_data, val, test = build_datasets(config)
model = build_model(config)
model.compile(**compile_args(config))
model.fit(train_data, validation_data=val, epochs=config.epochs, callbacks=callbacks(config, "runs/at_once"))
"""

import lazy_loader

from tfav.training.system import System

SYSTEM = System(
    name="av_words",
    summary="audio-visual word recognition in noise: by sound, by lips, by both; GRID's words and LRW",
    kind="words",
    package=__name__,
)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "augmentation",
        "config",
        "corpus",
        "crops",
        "data",
        "evaluation",
        "losses",
        "made",
        "model",
        "options",
        "noise",
        "page",
        "prediction",
        "preparation",
        "recognition",
        "recordings",
        "serving",
        "stages",
        "task",
        "transfer",
        "windows",
    ],
    submod_attrs={
        "options": ["EvaluateOptions", "PredictOptions", "PrepareOptions", "TAB"],
        "config": ["Config", "PRESETS", "STAGES"],
        "data": ["build_dataset", "build_datasets", "prepare"],
        "demo": ["demo"],
        "evaluation": ["describe_evaluation", "evaluate"],
        "model": ["build_audio", "build_fusion", "build_model", "build_video", "by_stream"],
        "prediction": ["open_predictor", "predict_files"],
        "recognition": ["open_recognizer"],
        "serving": ["exported"],
        "stages": ["build_stage"],
        "task": ["callbacks", "compile_args", "train"],
        "transfer": ["load_pytorch", "run_from_pytorch", "write_pretrained"],
    },
)
