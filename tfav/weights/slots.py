"""Where a layer keeps its weights, and under which names old files list them.

A `Leaf` is one layer with weights of its own; a `Branch` is a model or a wrapper around others. Both list their slots
in the two parts old Keras stored one after the other: trainable first, then the rest.
"""

from dataclasses import dataclass, field
from typing import Any

import keras

_CONVOLUTIONS = "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose DepthwiseConv1D DepthwiseConv2D"
_RECURRENT = "LSTM GRU SimpleRNN ConvLSTM1D ConvLSTM2D ConvLSTM3D"

# Class -> attributes that hold its trainable variables, in the order of old files. None and absent ones are skipped.
_TRAINABLE = {
    **dict.fromkeys(["Dense", "EinsumDense", *_CONVOLUTIONS.split()], ("kernel", "bias")),
    **dict.fromkeys(["SeparableConv1D", "SeparableConv2D"], ("depthwise_kernel", "pointwise_kernel", "bias")),
    **dict.fromkeys(["BatchNormalization", "LayerNormalization", "GroupNormalization"], ("gamma", "beta")),
    "Embedding": ("embeddings",),
    "PReLU": ("alpha",),
    **dict.fromkeys(_RECURRENT.split(), ("cell.kernel", "cell.recurrent_kernel", "cell.bias")),
    **dict.fromkeys(["LSTMCell", "GRUCell", "SimpleRNNCell"], ("kernel", "recurrent_kernel", "bias")),
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
        names: Names the file may know it by: its own, and those of the wrappers around it.
    """

    layer: Any
    kind: str
    names: tuple
    trainable_slots: list = field(default_factory=list)
    other_slots: list = field(default_factory=list)

    @property
    def slots(self) -> list[Slot]:
        """All of them, the trainable ones first."""
        return self.trainable_slots + self.other_slots

    def parts(self, by_flag: bool = True) -> tuple[list, list]:
        """`(trainable, others)`, each a list of `(leaf, slot)`; a frozen layer lists all under the others."""
        is_frozen = by_flag and not self.layer.trainable
        return _parts(
            [(self, slot) for slot in self.trainable_slots], [(self, slot) for slot in self.other_slots], is_frozen
        )

    def leaves(self) -> list["Leaf"]:
        """This leaf, if it holds anything."""
        return [self] if self.slots else []


@dataclass
class Branch:
    """A model or wrapper: its slots are those of its children."""

    children: list
    trainable: bool = True

    def parts(self, by_flag: bool = True) -> tuple[list, list]:
        """As `Leaf.parts`, the children's one after the other."""
        parts = [child.parts(by_flag) for child in self.children]
        trainable, others = ([pair for part in parts for pair in part[place]] for place in (0, 1))
        return _parts(trainable, others, is_frozen=by_flag and not self.trainable)

    def leaves(self) -> list[Leaf]:
        """Every leaf below."""
        return [leaf for child in self.children for leaf in child.leaves()]


def _parts(trainable: list, others: list, is_frozen: bool) -> tuple[list, list]:
    return ([], trainable + others) if is_frozen else (trainable, others)


def tree_of(layer, spec=None, built=None, names=()) -> Leaf | Branch:
    """The `Leaf` or `Branch` of a built Keras layer.

    Args:
        layer: The layer.
        spec: Its `LayerSpec`; gives the stored order of layers and the old class.
        built: The layer of each spec inside, by the spec's id.
        names: Names of the wrappers around it.
    """
    names = (*names, layer.name, *([spec.name] if spec is not None and spec.name else []))
    wrapped = spec.wrapped if spec is not None else {}
    if isinstance(layer, keras.Model):
        if spec is None or spec.model is None:
            return Branch([tree_of(inner) for inner in layer.layers])
        inner_specs = [inner for inner in spec.model.layers if id(inner) in built]
        children = [tree_of(built[id(inner)], inner, built, names) for inner in inner_specs]
        return Branch(children, trainable=spec.model.trainable)
    if isinstance(layer, keras.layers.TimeDistributed):
        inside = [(layer.layer, wrapped.get("layer"))]
    elif isinstance(layer, keras.layers.Bidirectional):
        forward = wrapped.get("layer")
        inside = [(layer.forward_layer, forward), (layer.backward_layer, wrapped.get("backward_layer", forward))]
    elif type(layer) is keras.layers.RNN:
        inside = [(cell, None) for cell in getattr(layer.cell, "cells", [layer.cell])]
    else:
        return _leaf(layer, names)
    return Branch([tree_of(inner, inner_spec, built, names) for inner, inner_spec in inside])


def _leaf(layer, names) -> Leaf:
    is_norm = isinstance(layer, keras.layers.BatchNormalization)  # of whatever class of ours or the caller's
    kind = "BatchNormalization" if is_norm else type(layer).__name__
    if kind in _TRAINABLE or kind in _OTHER:
        return Leaf(layer, kind, names, _slots(layer, _TRAINABLE.get(kind, ())), _slots(layer, _OTHER.get(kind, ())))
    trainable = layer.trainable_weights if layer.trainable else layer.weights
    others = layer.non_trainable_weights if layer.trainable else []
    return Leaf(layer, kind, names, [Slot(w.name, w) for w in trainable], [Slot(w.name, w) for w in others])


def _slots(layer, attributes) -> list[Slot]:
    slots = []
    for path in attributes:
        variable = layer
        for part in path.split("."):
            variable = getattr(variable, part, None)
        if isinstance(variable, keras.Variable):
            slots.append(Slot(path.split(".")[-1], variable))
    return slots
