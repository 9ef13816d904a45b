"""Floor 5: a run's model as SavedModel, ONNX or LiteRT, written only if it answers as the run itself does."""

from tfav.export.export_run import FORMATS, Written, export

__all__ = ["FORMATS", "Written", "export"]
