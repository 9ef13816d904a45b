"""Graphs of calls between layers: parsing them, ordering them, and refusing the impossible."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from tfav.weights.errors import WeightsError


@dataclass(frozen=True)
class Ref:
    """Output number `tensor` of call number `node` of a layer."""

    layer: str
    node: int
    tensor: int


@dataclass
class Call:
    """One call of a layer: structures (lists, dicts) of `Ref`s and constants."""

    inputs: Any
    kwargs: dict


def order_calls(spec, path) -> list[tuple]:
    """Orders the calls of a graph so that each comes after those it needs.

    Returns:
        A list of `(layer, call number)`; input layers have no call and are left out.

    Raises:
        WeightsError: A call needs something that does not exist, or needs its own result.
    """
    by_name = {layer.name: layer for layer in spec.layers}
    waiting, needed_by, ready = {}, {}, deque()
    for layer in spec.layers:
        for number, call in enumerate(layer.calls):
            needs = {_call_key(by_name, ref, path) for ref in flat_refs([call.inputs, call.kwargs])} - {None}
            waiting[layer.name, number] = len(needs)
            for need in needs:
                needed_by.setdefault(need, []).append((layer.name, number))
            if not needs:
                ready.append((layer.name, number))
    for ref in flat_refs([spec.inputs, spec.outputs]):
        _call_key(by_name, ref, path)
    order = []
    while ready:
        key = ready.popleft()
        order.append((by_name[key[0]], key[1]))
        for dependent in needed_by.get(key, ()):
            waiting[dependent] -= 1
            if not waiting[dependent]:
                ready.append(dependent)
    if len(order) < len(waiting):
        stuck = sorted({name for (name, number), left in waiting.items() if left})
        raise WeightsError(path, f"its graph runs in a circle through layers {stuck[:4]}")
    return order


def _call_key(by_name, ref: Ref, path):
    """`(layer name, call number)` behind a reference; None for an input layer."""
    layer = by_name.get(ref.layer)
    if layer is not None and layer.class_name == "InputLayer" and not layer.calls:
        return None
    number = ref.node - (layer.first_node if layer else 0)
    if layer is None or not 0 <= number < len(layer.calls):
        raise WeightsError(path, f"its graph refers to call {ref.node} of layer {ref.layer!r}, which does not exist")
    return ref.layer, number


def number_calls(spec) -> None:
    """Finds from which number the calls of each layer are counted.

    A model built on its own input was already called once, outside the stored graph, so its calls count from 1.
    """
    used = {}
    for ref in flat_refs([spec.outputs, *([call.inputs, call.kwargs] for la in spec.layers for call in la.calls)]):
        used.setdefault(ref.layer, set()).add(ref.node)
    for layer in spec.layers:
        nodes = used.get(layer.name, set())
        if (nodes and max(nodes) >= len(layer.calls) > 0) or (layer.model and 0 not in nodes):
            layer.first_node = 1


def parse_refs(value, names):
    """A stored structure with `[layer, node, tensor]` in it, as the same structure with `Ref`s."""
    if isinstance(value, list):
        if _looks_like_ref(value) and value[0] in names and isinstance(value[1], int) and isinstance(value[2], int):
            return Ref(*value[:3])
        return value[2] if value[:1] == ["_CONSTANT_VALUE"] else [parse_refs(item, names) for item in value]
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return Ref(*value["config"]["keras_history"])
        return {key: parse_refs(item, names) for key, item in value.items()}
    return value


def parse_call(node, names) -> Call:
    """One entry of a layer's `inbound_nodes`, in any of the forms Keras has written it, as a `Call`."""
    if isinstance(node, dict) and "args" in node:
        args = parse_refs(node["args"], names)
        return Call(args[0] if len(args) == 1 else args, parse_refs(node.get("kwargs", {}), names))
    if isinstance(node, list) and node and not isinstance(node[0], str):
        inputs = [parse_refs(item, names) for item in node]
        for item, ref in zip(node, inputs, strict=True):
            if isinstance(ref, list) and _looks_like_ref(item):
                raise KeyError(f"layer {item[0]!r} that is not there")
        kwargs = node[0][3] if isinstance(node[0], list) and len(node[0]) > 3 else {}
        return Call(inputs[0] if len(inputs) == 1 else inputs, parse_refs(kwargs or {}, names))
    if not _looks_like_ref(node):
        return Call(parse_refs(node, names), {})
    if node[0] not in names and node[0] != "_CONSTANT_VALUE":
        raise KeyError(f"layer {node[0]!r} that is not there")
    return Call(parse_refs(node, names), parse_refs(node[3] if len(node) > 3 else {}, names))


def _looks_like_ref(value) -> bool:
    return isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str)


def only_refs(structure) -> bool:
    """Whether a structure holds references, one at least, and nothing else."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, list):
        return bool(structure) and all(only_refs(item) for item in structure)
    return isinstance(structure, Ref)


def flat_refs(structure) -> list[Ref]:
    """Every `Ref` in a structure, in order."""
    if isinstance(structure, Ref):
        return [structure]
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, list):
        return [ref for item in structure for ref in flat_refs(item)]
    return []
