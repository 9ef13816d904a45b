"""Where a layer keeps its weights, and under which names old files list them.

A `Leaf` is one layer with weights of its own; a `Branch` is a model or a wrapper around others. Both list their slots
in the two parts old Keras stored one after the other: trainable first, then the rest.
"""

from dataclasses import dataclass, field
from typing import Any

import keras

_CONV = ("kernel", "bias")
_RNN = ("cell.kernel", "cell.recurrent_kernel", "cell.bias")
_CELL = ("kernel", "recurrent_kernel", "bias")

# Class -> attributes that hold its trainable variables, in the order of old files. None and absent ones are skipped.
_TRAINABLE = {
    "Dense": _CONV,
    "EinsumDense": _CONV,
    "Conv1D": _CONV,
    "Conv2D": _CONV,
    "Conv3D": _CONV,
    "Conv1DTranspose": _CONV,
    "Conv2DTranspose": _CONV,
    "Conv3DTranspose": _CONV,
    "DepthwiseConv1D": _CONV,
    "DepthwiseConv2D": _CONV,
    "SeparableConv1D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "BatchNormalization": ("gamma", "beta"),
    "LayerNormalization": ("gamma", "beta"),
    "GroupNormalization": ("gamma", "beta"),
    "Embedding": ("embeddings",),
    "PReLU": ("alpha",),
    "LSTM": _RNN,
    "GRU": _RNN,
    "SimpleRNN": _RNN,
    "ConvLSTM1D": _RNN,
    "ConvLSTM2D": _RNN,
    "ConvLSTM3D": _RNN,
    "LSTMCell": _CELL,
    "GRUCell": _CELL,
    "SimpleRNNCell": _CELL,
}
_OTHER = {
    "BatchNormalization": ("moving_mean", "moving_variance"),
    "Normalization": ("adapt_mean", "adapt_variance", "count"),
}

# Role -> last words under which files name it (tf.keras, Keras 2, Keras 1).
ALIASES = {
    "kernel": ("kernel", "W", "depthwise_kernel"),
    "depthwise_kernel": ("depthwise_kernel", "kernel"),
    "recurrent_kernel": ("recurrent_kernel", "U"),
    "bias": ("bias", "b"),
    "moving_variance": ("moving_variance", "running_std", "running_var"),
    "moving_mean": ("moving_mean", "running_mean"),
    "embeddings": ("embeddings", "W"),
    "alpha": ("alpha", "alphas"),
    "adapt_mean": ("mean",),
    "adapt_variance": ("variance",),
}


@dataclass(frozen=True)
class Slot:
    """One variable of a Keras 3 layer, by the role it has in old files."""

    role: str
    variable: Any


@dataclass
class Leaf:
    """A layer with weights of its own.

    Attributes:
        layer: The Keras layer.
        kind: Its class name in Keras 3.
        spec: What the file says of it; None where only the model is known.
        names: Names the file may know it by: its own, and those of the wrappers around it.
    """

    layer: Any
    kind: str
    spec: Any
    names: tuple
    trainable_slots: list = field(default_factory=list)
    other_slots: list = field(default_factory=list)

    def parts(self, by_flag=True):
        """`(trainable, others)`, each a list of `(leaf, slot)`; a frozen layer lists all under the others."""
        trainable = [(self, slot) for slot in self.trainable_slots]
        others = [(self, slot) for slot in self.other_slots]
        return ([], trainable + others) if by_flag and not self.layer.trainable else (trainable, others)

    def leaves(self):
        """This leaf, if it holds anything."""
        return [self] if self.trainable_slots or self.other_slots else []


@dataclass
class Branch:
    """A model or wrapper: its slots are those of its children."""

    children: list
    trainable: bool = True

    def parts(self, by_flag=True):
        """As `Leaf.parts`, the children's one after the other."""
        trainable, others = [], []
        for child in self.children:
            child_trainable, child_others = child.parts(by_flag)
            trainable += child_trainable
            others += child_others
        return ([], trainable + others) if by_flag and not self.trainable else (trainable, others)

    def leaves(self):
        """Every leaf below."""
        return [leaf for child in self.children for leaf in child.leaves()]


def tree_of(layer, spec=None, built=None, names=()):
    """The `Leaf` or `Branch` of a built Keras layer.

    Args:
        layer: The layer.
        spec: Its `LayerSpec`; gives the stored order of layers and the old class.
        built: The layer of each spec inside, by the spec's id.
        names: Names of the wrappers around it.
    """
    names = (*names, layer.name, *([spec.name] if spec is not None and spec.name else []))
    if isinstance(layer, keras.Model):
        if spec is not None and spec.model is not None:
            children = [
                tree_of(built[id(inner)], inner, built, names) for inner in spec.model.layers if id(inner) in built
            ]
        else:
            children = [tree_of(inner) for inner in layer.layers]
        return Branch(children, trainable=spec.model.trainable if spec is not None and spec.model else True)
    wrapped = spec.wrapped if spec is not None else {}
    if isinstance(layer, keras.layers.TimeDistributed):
        return Branch([tree_of(layer.layer, wrapped.get("layer"), built, names)])
    if isinstance(layer, keras.layers.Bidirectional):
        forward = wrapped.get("layer")
        backward = wrapped.get("backward_layer", forward)
        return Branch(
            [
                tree_of(layer.forward_layer, forward, built, names),
                tree_of(layer.backward_layer, backward, built, names),
            ]
        )
    if type(layer) is keras.layers.RNN:
        cells = getattr(layer.cell, "cells", [layer.cell])
        return Branch([tree_of(cell, None, built, names) for cell in cells])
    return _leaf(layer, spec, names)


def _leaf(layer, spec, names):
    is_norm = isinstance(layer, keras.layers.BatchNormalization)  # of whatever class of ours or the caller's
    kind = "BatchNormalization" if is_norm else type(layer).__name__
    if kind not in _TRAINABLE and kind not in _OTHER:
        return Leaf(
            layer,
            kind,
            spec,
            names,
            [Slot(w.name, w) for w in layer.trainable_weights or ([] if layer.trainable else layer.weights)],
            [Slot(w.name, w) for w in layer.non_trainable_weights if layer.trainable],
        )
    return Leaf(layer, kind, spec, names, _slots(layer, _TRAINABLE.get(kind, ())), _slots(layer, _OTHER.get(kind, ())))


def _slots(layer, attributes):
    slots = []
    for path in attributes:
        variable = layer
        for part in path.split("."):
            variable = getattr(variable, part, None)
        if isinstance(variable, keras.Variable):
            slots.append(Slot(path.split(".")[-1], variable))
    return slots
