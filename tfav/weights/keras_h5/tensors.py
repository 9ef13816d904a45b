"""Stored tensors in the form Keras 3 holds them: transposed, flipped, joined or split, nothing retrained.

Each function takes the arrays stored for one layer and gives one `(array, how)` per variable, `how` in words for the
report. They work on shapes alone just as well, on arrays of zero stride, which is how an order is tried out.
"""

from typing import NamedTuple

import numpy as np

AS_STORED = "as stored"

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_RECURRENT_CONVOLUTIONS = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")


class Context(NamedTuple):
    """What of a file bears on its tensors: Theano's convolutions turn the kernel round."""

    is_keras1: bool = False
    is_theano: bool = False


# Number of arrays Keras 1 kept for a cell (input, recurrent and bias for each gate) -> the gates in Keras 2's order.
KERAS1_GATES = {
    ("LSTM", 12): (0, 2, 1, 3),  # stored i, c, f, o
    ("ConvLSTM2D", 12): (0, 2, 1, 3),
    ("GRU", 9): (0, 1, 2),  # stored z, r, h
}


def stored_counts(kind, num_slots):
    """Numbers of arrays a file may hold for a layer: one a variable, or Keras 1's three a gate."""
    return [num_slots, *(count for (name, count) in KERAS1_GATES if name == kind)]


def translate(leaf, arrays, context):
    """Translates the arrays of one layer.

    Args:
        leaf: The `Leaf`; its slots give the shapes wanted.
        arrays: What the file stores for it, in stored order.
        context: `Context` of the file.

    Returns:
        A list of `(array, how)`, one a slot, in the order of the slots.
    """
    gates = KERAS1_GATES.get((leaf.kind, len(arrays)))
    channels_first = _channels_first(leaf)
    if gates is not None:
        return _join_gates(leaf, arrays, gates, channels_first, context)
    if leaf.kind in ("LSTM", "GRU") and len(arrays) == 3:
        arrays, how = _from_cudnn(leaf.kind, arrays)
        if how:
            return [(array, how) for array in arrays]
    results = []
    for slot, array in zip(leaf.slots, arrays, strict=True):
        wanted = tuple(slot.variable.shape)
        if slot.role == "kernel" and leaf.kind in _CONVOLUTIONS:
            results.append(_kernel(leaf, array, wanted, channels_first, context))
        elif slot.role in ("kernel", "recurrent_kernel") and leaf.kind in _RECURRENT_CONVOLUTIONS:
            results.append(_flip(array, AS_STORED, context))
        elif slot.role in ("depthwise_kernel", "pointwise_kernel") and context.is_keras1 and channels_first:
            results.append((array.transpose(2, 3, 1, 0), "transposed from channels-first"))
        else:
            results.append(_reshape_harmlessly(array, wanted))
    return results


def _channels_first(leaf):
    layer = leaf.layer
    return getattr(layer, "data_format", getattr(getattr(layer, "cell", None), "data_format", None)) == "channels_first"


def _kernel(leaf, array, wanted, channels_first, context):
    """A convolution kernel; Keras 1 stored it in the layout of its data format, Keras 2 in one layout."""
    how = AS_STORED
    if context.is_keras1:
        array, how = _from_keras1_layout(leaf, array, wanted, channels_first)
    elif array.shape != wanted and array.ndim == 4 and array.transpose(2, 3, 1, 0).shape == wanted:
        array, how = array.transpose(2, 3, 1, 0), "transposed from channels-first"
    return _flip(array, how, context)


def _from_keras1_layout(leaf, array, wanted, channels_first):
    if leaf.kind == "Conv1D" and array.ndim == 4:
        length, _, filters = wanted
        if array.shape[:2] != (length, 1) or array.shape[3] != filters:  # before Keras 1.2: filters first
            return array.transpose(2, 3, 1, 0)[:, 0], "transposed, axis dropped"
        return array[:, 0], "axis dropped"
    if leaf.kind.endswith("Transpose"):
        spatial = tuple(range(2, array.ndim)) if channels_first else tuple(range(array.ndim - 2))
        filters_and_depth = (0, 1) if channels_first else (array.ndim - 1, array.ndim - 2)
        return array.transpose(*spatial, *filters_and_depth), "transposed"
    looks_first = array.ndim > 2 and array.transpose(*range(2, array.ndim), 1, 0).shape == wanted
    if looks_first and (channels_first or array.shape != wanted):
        return array.transpose(*range(2, array.ndim), 1, 0), "transposed from channels-first"
    return array, AS_STORED


def _flip(array, how, context):
    if not context.is_theano:
        return array, how
    flipped = array[tuple(slice(None, None, -1) for _ in range(array.ndim - 2))]
    return flipped, "kernel flipped (theano)" if how == AS_STORED else f"{how}, kernel flipped (theano)"


def _join_gates(leaf, arrays, gates, channels_first, context):
    """Keras 1 kept W, U, b of each gate; Keras 2 joins them along the last axis."""
    results = []
    for part, name in enumerate(("W", "U", "b")):
        pieces = [arrays[3 * gate + part] for gate in gates]
        how = f"{len(gates)} gates joined"
        if leaf.kind == "ConvLSTM2D" and name != "b":
            if channels_first:
                pieces = [piece.transpose(2, 3, 1, 0) for piece in pieces]
            if context.is_theano:
                pieces = [piece[::-1, ::-1] for piece in pieces]
                how = f"{how}, kernel flipped (theano)"
        results.append((np.concatenate(pieces, axis=-1), how))
    return results


def _from_cudnn(kind, arrays):
    """CuDNN's layers keep each gate transposed, and two biases that LSTM adds up."""
    kernel, recurrent, bias = arrays
    gates = 4 if kind == "LSTM" else 3
    if recurrent.ndim != 2 or bias.shape != (2 * gates * recurrent.shape[0],):
        return arrays, None
    kernel = np.hstack([k.T.reshape(k.shape, order="F") for k in np.split(kernel, gates, axis=1)])
    recurrent = np.hstack([k.T for k in np.split(recurrent, gates, axis=1)])
    bias = bias.reshape(2, -1)
    return [kernel, recurrent, bias.sum(0) if kind == "LSTM" else bias], "converted from CuDNN"


def _reshape_harmlessly(array, wanted):
    """Axes of length one come and go between versions (PReLU's shared axes, Normalization's statistics)."""
    if array.shape != wanted and tuple(n for n in array.shape if n != 1) == tuple(n for n in wanted if n != 1):
        return array.reshape(wanted), "axes of length one reshaped"
    return array, AS_STORED
