"""Audio-visual word recognition: a word from 29 frames of a mouth and the sound that belongs to them.

config = Config.preset("cpu", data_dir="word_shards")
train(config, "runs/mine")  # all stages; or the whole network at once:
train_data, val, test = build_datasets(config)
model = build_model(config)
model.compile(**compile_args(config))
model.fit(train_data, validation_data=val, epochs=config.epochs, callbacks=callbacks(config, "runs/at_once"))
"""

from tfav import lazy_names
from tfav.training.system import System

SYSTEM = System(
    name="av_words",
    summary="audio-visual word recognition in noise: by sound, by lips, by both; GRID's words and LRW",
    kind="words",
    package=__name__,
)

__getattr__, __dir__, __all__ = lazy_names.attach(
    __name__,
    submodules=[
        "augment",
        "config",
        "convert_weights",
        "dataset",
        "export",
        "losses",
        "model",
        "networks",
        "predict",
        "stages",
    ],
    submod_attrs={
        "config": ["Config", "EvaluateOptions", "PRESETS", "PredictOptions", "PrepareOptions", "STAGES", "TAB"],
        "convert_weights": ["load_pytorch", "run_from_pytorch"],
        "dataset": ["build_dataset", "build_datasets", "open_data", "prepare"],
        "demo": ["demo"],
        "evaluate": ["describe_evaluation", "evaluate"],
        "export": ["export", "write_pretrained"],
        "model": ["build_audio", "build_fusion", "build_model", "build_video", "by_stream"],
        "predict": ["open_predictor", "open_recognizer", "predict_files"],
        "stages": ["build_stage"],
        "train": ["callbacks", "compile_args", "train"],
    },
)
