"""What a file or folder is that was given for a legacy Keras file, by its first bytes, and what to do with it."""

import zipfile
from pathlib import Path

_CONVERT = "It holds a model for another runtime, from which Keras' cannot be made. Pass the .h5 file it was made of."

# First bytes -> (what the file is, what to do). Checked in order.
_LOOKALIKES = (
    (b"\x1f\x8b", "a gzip archive", "Unpack it and pass the .h5 file inside."),
    (b"Rar!", "a RAR archive", "Unpack it and pass the .h5 file inside."),
    (b"7z\xbc\xaf", "a 7-zip archive", "Unpack it and pass the .h5 file inside."),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "Run `git lfs pull` where it came from."),
    (b"\x93NUMPY", "a NumPy array", "Pass a Keras .h5 file."),
    (b"\x80", "a Python pickle, which is never opened", "Save the model as .h5 where it was made."),
    (b"GGUF", "a GGUF file of a language model", "Pass a Keras .h5 file."),
    (b"{", "JSON text, perhaps an architecture without weights", "Pass the .h5 file that goes with it."),
)


def explain_folder(path: Path) -> tuple[str, str]:
    """What a folder is, and what to do."""
    names = {item.name for item in path.iterdir()}
    if "saved_model.pb" in names:
        remedy = "Use tfav.weights.HubExtractor or keras.layers.TFSMLayer for it."
        return "it is a folder with a TensorFlow SavedModel", remedy
    if {"config.json", "metadata.json"} <= names:
        return "it is an unpacked Keras 3 .keras file", "Zip it again and open it with keras.models.load_model."
    if any(name.endswith(".index") for name in names):
        return "it is a folder with TensorFlow checkpoints", "Use tfav.weights.load_checkpoint for them."
    inside = sorted(name for name in names if name.lower().endswith((".h5", ".hdf5")))[:3]
    return "it is a folder", f"Pass the .h5 file inside{': ' if inside else ''}{', '.join(inside)}."


def explain_file(path: Path, head: bytes) -> tuple[str, str]:
    """What a file is that is not HDF5, and what to do.

    Args:
        path: The file.
        head: Its first bytes, 512 or more where it has them.
    """
    if not head:
        return "it is empty", "The download failed; fetch it again."
    if head.startswith(b"PK"):
        return _explain_zip(path)
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return (
            "it is an HTML page, not HDF5: the download was answered by a web page (Google Drive does so over its "
            "quota or for its virus-scan question)",
            "Fetch it again in a browser, or later.",
        )
    for start, what, remedy in _LOOKALIKES:
        if head.startswith(start):
            return f"it is {what}, not HDF5", remedy
    if head[257:262] == b"ustar":
        return "it is a tar archive, not HDF5", "Unpack it and pass the .h5 file inside."
    if head[4:8] == b"TFL3":
        return "it is a TensorFlow Lite model (.tflite), not HDF5", _CONVERT
    if head[8:9] == b"{" and 0 < int.from_bytes(head[:8], "little") < path.stat().st_size:
        remedy = "Read it with safetensors.numpy.load_file and give its arrays to tfav.weights.load_state_dict."
        return "it is a safetensors file, not HDF5", remedy
    return _explain_by_name(path, head)


def _explain_by_name(path: Path, head: bytes) -> tuple[str, str]:
    """Of formats without a mark of their own."""
    if path.suffix == ".onnx":
        return "it is an ONNX model, not HDF5", _CONVERT
    if path.name == "saved_model.pb":
        return "it is part of a TensorFlow SavedModel, not HDF5", "Give its folder to tfav.weights.HubExtractor."
    if path.suffix == ".pb":
        return "it is a TensorFlow graph (.pb), not HDF5", _CONVERT
    if path.suffix == ".index" or ".data-" in path.suffix or path.name == "checkpoint":
        return "it is part of a TensorFlow checkpoint, not HDF5", "Use tfav.weights.load_checkpoint for it."
    what = "no format known here (perhaps a TensorFlow checkpoint or the end of a download)"
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head[:512]):
        what = "plain text"
    return f"it is {what}, not HDF5", "Pass a Keras .h5 file, or see tfav.weights.load_checkpoint for checkpoints."


def _explain_zip(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "it is a truncated zip archive, not HDF5", "Fetch it again."
    if "config.json" in names and "metadata.json" in names:
        return "it is a Keras 3 .keras file, not legacy HDF5", "Open it with keras.models.load_model."
    if any(name.endswith("/data.pkl") for name in names):
        return "it is a PyTorch file, not HDF5", "Use tfav.weights.load_pt for it."
    if names and all(name.endswith(".npy") for name in names):
        return "it is a file of NumPy arrays (.npz), not HDF5", "Give its arrays to tfav.weights.load_state_dict."
    if any(name.split("/")[-1] == "saved_model.pb" for name in names):
        return "it is a zip archive of a TensorFlow SavedModel, not HDF5", "Unpack it for tfav.weights.HubExtractor."
    inside = [name for name in names if name.lower().endswith((".h5", ".hdf5"))][:3]
    found = f" that holds {', '.join(inside)}" if inside else ""
    return f"it is a zip archive{found}, not HDF5", "Unpack it and pass the .h5 file inside."
