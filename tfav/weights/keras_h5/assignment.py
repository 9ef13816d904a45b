"""Stored arrays into the variables of a built model: by layer, by position within it, every shape checked."""

import re

import numpy as np

from tfav.weights.errors import WeightsError, few, first_line
from tfav.weights.keras_h5.tensors import AS_STORED, stored_counts, translate
from tfav.weights.report import Translation
from tfav.weights.slots import ALIASES, Leaf

# State of random generators, which some versions list among the weights.
_NOT_WEIGHTS = re.compile(r"(StateVar|seed_generator|rng_state|random_generator)", re.IGNORECASE)
_CHECK_MODEL = "Check that the model is the one the file was made from."


class Assignment:
    """Fills a model from the arrays of a file.

    Args:
        path: The file, for errors.
        context: The file's `Context`.
        report: Collects what went where.
    """

    def __init__(self, path, context, report):
        self.path, self.context, self.report = path, context, report

    def fill(self, children, stored) -> None:
        """Fills every layer.

        Args:
            children: `[(name in the file or None, Leaf or Branch), ...]` in stored order, of the layers of the model.
            stored: `{layer name: [Stored, ...]}` in stored order.

        Raises:
            WeightsError: A layer has no arrays, has the wrong number of them, or one has the wrong shape.
        """
        stored = {name: self._weights_only(arrays) for name, arrays in stored.items()}
        for node, name in self._pair(children, stored):
            for leaf, indices in self._best_order(node, name, stored[name]):
                self._assign(leaf, [stored[name][index] for index in indices], name)

    def _weights_only(self, arrays):
        kept = [array for array in arrays if not _NOT_WEIGHTS.search(array.name)]
        self.report.ignored += [f"{a.name}: state of a random generator" for a in arrays if a not in kept]
        return kept

    def _pair(self, children, stored):
        """`[(node, stored name), ...]`: by name, and by order where old files did not keep the names of models."""
        wanting = [(name, node) for name, node in children if node.leaves()]
        pairs = {id(node): name for name, node in wanting if stored.get(name)}
        left = [(name, node) for name, node in wanting if id(node) not in pairs]
        spare = [name for name, arrays in stored.items() if arrays and name not in set(pairs.values())]
        if not left:
            self.report.ignored += [f"{name}: stored, but no layer of that name has weights" for name in spare]
        elif len(left) == len(spare):
            pairs.update({id(node): name for (_, node), name in zip(left, spare, strict=True)})
            matched = few(f"{name} = {other}" for (name, _), other in zip(left, spare, strict=True))
            self.report.note(f"layers paired with stored ones by order: {matched}")
        else:
            raise WeightsError(
                self.path,
                f"no weights are stored for layers {few(repr(name) for name, _ in left)}; "
                f"stored and without a layer: {few(map(repr, spare)) or 'none'}",
                _CHECK_MODEL,
            )
        return [(node, pairs[id(node)]) for _, node in wanting]

    def _assign(self, leaf: Leaf, chosen, group) -> None:
        try:
            values = [array.read() for array in chosen]
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            reason = f"layer {group!r} cannot be read ({first_line(error)})"
            raise WeightsError(self.path, reason, "Fetch the file again.") from error
        count = len(leaf.slots)
        for index, (slot, (array, how)) in enumerate(
            zip(leaf.slots, translate(leaf, values, self.context), strict=True)
        ):
            dtype = np.dtype("float32" if slot.variable.dtype == "bfloat16" else slot.variable.dtype)
            if array.dtype != dtype:
                cast = f"cast from {array.dtype}"
                how = cast if how == AS_STORED else f"{how}, {cast}"
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                self.report.note(f"layer {group!r} holds values that are not finite")
            slot.variable.assign(np.asarray(array, dtype=dtype))
            sources = chosen[index::count] if len(chosen) != count else [chosen[index]]
            shape = tuple(slot.variable.shape)
            self.report.translated += [Translation(s.name, slot.variable.path, shape, how) for s in sources]
        if hasattr(leaf.layer, "finalize_state"):
            leaf.layer.finalize_state()  # preprocessing layers keep derived tensors beside their variables

    # -- the order of the arrays inside a group -------------------------------------------------------------------

    def _best_order(self, node, group, arrays):
        """Finds which array belongs to which layer of a group: `[(leaf, indices), ...]`.

        Old Keras listed all trainable weights first, then the rest, so the order depends on what was frozen when the
        file was written, which it does not always say. The orders it can have been are tried; among those whose
        shapes fit, the one whose names agree best is taken.
        """
        orders = [trainable + others for trainable, others in (node.parts(by_flag=True), node.parts(by_flag=False))]
        orders.append([(leaf, slot) for leaf in node.leaves() for slot in leaf.slots])
        best, best_score, problems = None, -1, []
        for parts in orders:
            order, problem = self._try(parts, arrays)
            if problem:
                problems.append(problem)
                continue
            score = sum(_agreement(leaf, indices, arrays) for leaf, indices in order)
            if score > best_score:
                best, best_score = order, score
        if best is None:
            raise WeightsError(self.path, f"layer {group!r} does not fit: {problems[0]}", _CHECK_MODEL)
        return best

    def _try(self, parts, arrays):
        """Deals the arrays out in this order; returns `(order, None)` or `(None, what does not fit)`."""
        slots_of = {}
        for leaf, slot in parts:
            slots_of.setdefault(id(leaf), (leaf, []))[1].append(slot)
        counts = _counts([leaf for leaf, _ in slots_of.values()], len(arrays))
        if counts is None:
            names = few(f"{array.name} {list(array.shape)}" for array in arrays)
            return None, f"it takes {len(parts)} arrays, the file stores {len(arrays)}: {names}"
        indices, position = {}, 0
        for leaf, _ in parts:
            # A cell of Keras 1 has several arrays for each of its slots; they stand together where its first one does.
            taken = indices.setdefault(id(leaf), [])
            step = 1 if counts[id(leaf)] == len(leaf.slots) else counts[id(leaf)] if not taken else 0
            taken += range(position, position + step)
            position += step
        order = []
        for key, (leaf, given) in slots_of.items():
            if len(indices[key]) == len(leaf.slots):  # back from the order of the file to the order of the slots
                place = {id(slot): index for slot, index in zip(given, indices[key], strict=True)}
                indices[key] = [place[id(slot)] for slot in leaf.slots]
            problem = self._mismatch(leaf, [arrays[i] for i in indices[key]])
            if problem:
                return None, problem
            order.append((leaf, indices[key]))
        return order, None

    def _mismatch(self, leaf: Leaf, arrays) -> str | None:
        shadows = [np.broadcast_to(np.zeros((), array.dtype), array.shape) for array in arrays]
        try:
            shapes = [array.shape for array, _ in translate(leaf, shadows, self.context)]
        except (ValueError, IndexError) as error:
            return f"{leaf.layer.name} cannot take shapes {[array.shape for array in arrays]} ({error})"
        for slot, shape, array in zip(leaf.slots, shapes, arrays, strict=False):
            if tuple(shape) != tuple(slot.variable.shape):
                stored, wanted = list(array.shape), list(slot.variable.shape)
                return f"{leaf.layer.name}: {slot.role} is stored as {stored} ({array.name}), the model has {wanted}"
        return None


def _counts(leaves, total: int) -> dict[int, int] | None:
    """How many arrays each layer has in the file, or None where no choice adds up."""
    for place in (0, -1):
        sizes = {id(leaf): stored_counts(leaf.kind, len(leaf.slots))[place] for leaf in leaves}
        if sum(sizes.values()) == total:
            return sizes
    return None


def _agreement(leaf: Leaf, indices, arrays) -> int:
    """How far stored names agree with the layer they would go to: its name, and the role of each array."""
    score = 0
    for position, index in enumerate(indices):
        *scopes, last = arrays[index].name.split(":")[0].split("/")
        score += 2 * any(name in scopes for name in leaf.names)
        score += any(re.sub(r"_\d+$", "", scope) in leaf.names for scope in scopes)
        if len(indices) == len(leaf.slots):
            role = leaf.slots[position].role
            score += any(last == alias or last.endswith(f"_{alias}") for alias in ALIASES.get(role, (role,)))
    return score
