"""Action recognition from two streams: RGB frames and stacked optical flow, fused late.

spatial = Config.preset("cpu", stream="spatial", data_dir="videos")
train, val, test = build_datasets(spatial)
model = build_model(spatial)
model.compile(**compile_args(spatial))
model.fit(train, validation_data=val, epochs=spatial.epochs, callbacks=callbacks(spatial, "runs/spatial"))

predict_streams("runs/spatial", "runs/motion", ["holiday.mp4"], demo="demo.mp4")
"""

from tfav import lazy_names
from tfav.training.system import System

SYSTEM = System(
    name="two_stream",
    summary="action recognition from RGB frames and optical flow; opens old Keras weights",
    kind="timeline",
    package=__name__,
)

__getattr__, __dir__, __all__ = lazy_names.attach(
    __name__,
    submodules=[
        "augment",
        "config",
        "dataset",
        "demo_video",
        "model",
        "predict",
        "sampling",
        "stream",
        "video_scores",
    ],
    submod_attrs={
        "config": ["Config", "EvaluateOptions", "LiveOptions", "PRESETS", "PredictOptions", "PrepareOptions", "TAB"],
        "dataset": ["build_datasets", "open_data", "prepare"],
        "model": ["build_backbone", "build_fusion", "build_model"],
        "stream": ["load_stream"],
        "train": ["callbacks", "compile_args", "train"],
        "evaluate": ["describe_evaluation", "evaluate", "evaluate_fusion"],
        "predict": ["open_live", "open_predictor", "predict_files", "predict_streams"],
        "demo_video": ["draw_demo"],
        "video_scores": ["score_video"],
        "export": ["export"],
        "demo": ["demo"],
    },
)
