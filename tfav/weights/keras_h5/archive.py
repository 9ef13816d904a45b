"""Reading legacy HDF5 files as data and nothing else: no links followed, no code run, no size believed unchecked.

Everything here works without TensorFlow. An `Archive` gives the stored JSON and, per layer, `Stored` arrays that know
their shape and read their values only when asked.
"""

import contextlib
import json
import math
import mmap
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from tfav.weights.errors import DamagedError, WeightsError, first_line
from tfav.weights.keras_h5.lookalikes import explain_file, explain_folder

MAX_CONFIG_BYTES = 64 * 2**20
MAX_LAYERS = 20_000
# gzip cannot do better than about 1:1032, and real weights do far worse; a larger ratio is a bomb, not a model.
MAX_INFLATION = 64
INFLATION_GRACE_BYTES = 64 * 2**20

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAP_SIGNATURE = b"GCOL\x01\0\0\0"
_INCOMPLETE = "The file is incomplete."
_FETCH = "Fetch it again."


@dataclass(frozen=True)
class Stored:
    """One array of the file, whose values are not yet in memory."""

    name: str
    shape: tuple
    dtype: np.dtype
    dataset: h5py.Dataset

    @property
    def size(self):
        """Number of values."""
        return math.prod(self.shape)

    def read(self):
        """The values, as stored."""
        return self.dataset[()]


class Archive:
    """An open legacy Keras file; use it in a `with` block.

    Args:
        path: An HDF5 file written by Keras 1, Keras 2 or tf.keras, with a whole model or weights only.

    Raises:
        WeightsError: The file is missing, is something other than HDF5, is truncated or damaged, links to other files,
            or declares more data than it holds.
    """

    def __init__(self, path):
        self.path = Path(path)
        _check_is_hdf5(self.path)
        _check_heaps_end(self.path)
        self.size_bytes = self.path.stat().st_size
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise WeightsError(self.path, *_explain_open_failure(error)) from error
        try:
            with reading(self.path):
                self._weights = _child(self._file, "model_weights", self.path) or self._file
                self.keras_version = self._text("keras_version")
                self.backend = self._text("backend")
        except Exception:
            self._file.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def _text(self, name):
        """An attribute of the file (or of its weights group) as text; None where there is none."""
        for holder in (self._file, self._weights):
            if name in holder.attrs:
                return _as_text(_attribute(holder, name))
        return None

    def json(self, name):
        """The attribute `name` parsed as JSON, or None where the file has none.

        Raises:
            WeightsError: The attribute is too large, nested too deeply, or not JSON.
        """
        with reading(self.path):
            text = self._text(name)
        if text is None or text in ("", "null"):
            return None
        if len(text) > MAX_CONFIG_BYTES:
            raise WeightsError(self.path, f"its {name} is {len(text) / 2**20:.0f} MB long, which no model needs")
        try:
            return json.loads(text)
        except RecursionError as error:
            raise WeightsError(self.path, f"its {name} is nested too deeply to be a model") from error
        except ValueError as error:
            raise WeightsError(self.path, f"its {name} is not valid JSON ({error})") from error

    @property
    def has_optimizer(self):
        """Whether the file also holds an optimizer's state."""
        with reading(self.path):
            return self._file.id.links.exists(b"optimizer_weights")

    def layer_names(self):
        """Names of the stored layers, in the order they were saved."""
        with reading(self.path):
            names = _long_attribute(self._weights, "layer_names")
            if names is None:
                raise WeightsError(self.path, *self._explain_no_layers())
        if len(names) > MAX_LAYERS:
            raise WeightsError(self.path, f"it lists {len(names)} layers; more than {MAX_LAYERS} is not a model")
        return names

    def _explain_no_layers(self):
        if "nb_layers" in self._weights.attrs:
            return "it was written by Keras 0.x, before layers had names", "Open it with Keras 1.2 and save it again."
        if {"_layer_checkpoint_dependencies", "layers", "vars"} & set(self._file):
            return (
                "it is a weights file of the newer Keras format (.weights.h5)",
                "Build the model and call model.load_weights on it.",
            )
        return "it is HDF5, but not a Keras file: there is no list of layers", "Pass a file saved by Keras 1 or 2."

    def stored_layers(self):
        """`{layer name: [Stored, ...]}` in saved order, every array checked and none read."""
        layers = {}
        budget = self.size_bytes * MAX_INFLATION + INFLATION_GRACE_BYTES
        for name in self.layer_names():
            with reading(self.path):
                layers[name] = self._arrays_of(name)
            budget -= sum(array.size * array.dtype.itemsize for array in layers[name])
            if budget < 0:
                raise WeightsError(
                    self.path,
                    f"up to layer {name!r} it declares over {MAX_INFLATION} times more data than the file is long",
                    "It is damaged or made to exhaust memory; it was not read.",
                )
        return layers

    def _arrays_of(self, layer_name):
        group = _child(self._weights, layer_name, self.path)
        if not isinstance(group, h5py.Group):
            raise WeightsError(self.path, f"layer {layer_name!r} is listed but not stored", _INCOMPLETE)
        names = _long_attribute(group, "weight_names") or []
        return [self._array(group, layer_name, name) for name in names]

    def _array(self, group, layer_name, name):
        dataset = _child(group, name, self.path)
        if not isinstance(dataset, h5py.Dataset):
            reason = f"weight {name!r} of layer {layer_name!r} is listed but not stored"
            raise WeightsError(self.path, reason, _INCOMPLETE)
        if dataset.is_virtual or dataset.external:
            raise WeightsError(self.path, f"weight {name!r} lies in another file, which is not followed")
        if dataset.dtype.kind not in "fiub" or dataset.shape is None:
            raise WeightsError(self.path, f"weight {name!r} holds {dataset.dtype} values, not numbers")
        declared = math.prod(dataset.shape) * dataset.dtype.itemsize
        present = dataset.id.get_storage_size()
        is_compressed = dataset.id.get_create_plist().get_nfilters() > 0
        if declared and (not present or (not is_compressed and present < declared)):
            raise WeightsError(
                self.path,
                f"weight {name!r} declares shape {dataset.shape} but the file holds {present} of its {declared} bytes",
                "The file is damaged or was never written to the end; fetch it again.",
            )
        return Stored(name, tuple(int(n) for n in dataset.shape), dataset.dtype, dataset)


@contextlib.contextmanager
def reading(path):
    """Turns the many faces of a damaged HDF5 file into one error."""
    try:
        yield
    except WeightsError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeError, MemoryError) as error:
        cause = first_line(error).strip("'\"")
        raise DamagedError(path, f"the file is damaged ({cause})", _FETCH) from error


def _child(group, path, file_path):
    """Walks `a/b/c` down from `group` over real members only; None where there is no such member."""
    for part in str(path).split("/"):
        if not part:
            continue
        if not isinstance(group, h5py.Group):
            return None
        links, name = group.id.links, part.encode("utf-8")  # `part in group` would follow a link to look behind it
        if not links.exists(name):
            return None
        if links.get_info(name).type != h5py.h5l.TYPE_HARD:
            raise WeightsError(file_path, f"{path!r} is a link to elsewhere, which is not followed")
        group = group[part]
    return group


def _as_text(value):
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else ""
    return value.decode("utf-8") if isinstance(value, bytes | np.bytes_) else str(value)


def _attribute(group, name):
    """An attribute's value. The library sets aside what an attribute declares before it looks how much there is."""
    attribute = group.attrs.get_id(name)
    declared = attribute.get_space().get_simple_extent_npoints() * attribute.get_type().get_size()
    if declared > group.file.id.get_filesize():
        raise OSError(f"its attribute {name!r} declares {declared} bytes, more than the file has")
    return group.attrs[name]


def _long_attribute(group, name):
    """A list of names; Keras splits lists over 64 kB into `name0`, `name1`, ..."""
    if name in group.attrs:
        return [_as_text(item) for item in np.atleast_1d(_attribute(group, name))]
    chunks = []
    while f"{name}{len(chunks)}" in group.attrs:
        chunks.append(_attribute(group, f"{name}{len(chunks)}"))
    return [_as_text(item) for chunk in chunks for item in np.atleast_1d(chunk)] if chunks else None


def _check_is_hdf5(path):
    """Says what a file is that is not HDF5; files people mistake for one are mostly failed downloads."""
    if path.is_dir():
        raise WeightsError(path, *explain_folder(path))
    if not path.is_file():
        raise WeightsError(path, "there is no such file", "Check the path.")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise WeightsError(path, f"it cannot be read ({error.strerror})") from error
    if head.startswith(_HDF5_SIGNATURE) or h5py.is_hdf5(path):
        return
    raise WeightsError(path, *explain_file(path, head))


def _check_heaps_end(path):
    """Refuses a file on which the HDF5 library, 1.14 at least, would walk in a circle and never come back.

    Texts of any length lie in heaps: one object behind the other, each with its length. The library believes a length
    that leads to where it stands. See "Global Heap" in the HDF5 File Format Specification.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = 0  # of the file proper, behind whatever the user put there
        while start < len(content) and content[start : start + 8] != _HDF5_SIGNATURE:
            start = max(512, 2 * start)
        superblock = content[start + 8 : start + 15].ljust(7, b"\0")
        width = superblock[6 if superblock[0] < 2 else 2]  # of lengths, in bytes: 8 in all files seen
        steps = len(content) // 8  # far more than there can be objects, but an end where heaps lie within heaps
        at = content.find(_HEAP_SIGNATURE)
        while at >= 0:
            steps -= _walk_heap(content, at, width, path)
            if steps < 0:
                raise WeightsError(path, "the file is damaged (heaps within heaps)", _FETCH)
            at = content.find(_HEAP_SIGNATURE, at + 1)


def _walk_heap(content, start, width, path):
    """Walks over a heap's objects; returns how many there are."""
    header, count = 8 + width, 0
    at = start + header
    end = min(start + int.from_bytes(content[start + 8 : at], "little"), len(content))
    while at + header <= end:
        number = int.from_bytes(content[at : at + 2], "little")
        length = int.from_bytes(content[at + 8 : at + header], "little")
        # Number 0 is free space, whose length includes its header; lengths wrap around as they do in the library.
        step = (length if number == 0 else header + (length + 7) // 8 * 8) % 2**64
        if step == 0:
            raise WeightsError(path, "the file is damaged (a heap that never ends)", _FETCH)
        at, count = at + step, count + 1
    return count


def _explain_open_failure(error):
    text = str(error)
    if "truncated" in text:
        sizes = text[text.find("(", text.find("truncated")) :].strip("()")
        return f"it is a truncated HDF5 file ({sizes})", "The download or copy stopped early; fetch it again."
    return f"it is a damaged HDF5 file ({first_line(error)})", _FETCH
