"""TensorFlow operations that tf.keras recorded as layers, as Keras 3 operations.

A file names an operation (`"math.reduce_mean"`); it is looked up in the tables here and nowhere else.
"""

import keras

from tfav.weights.errors import WeightsError

_ops = keras.ops


def _reduce(function):
    def reduce(input_tensor, axis=None, keepdims=False):
        return function(input_tensor, axis=axis, keepdims=bool(keepdims))

    return reduce


def _clip(t, clip_value_min, clip_value_max):
    return _ops.clip(t, clip_value_min, clip_value_max)


def _matmul(a, b, transpose_a=False, transpose_b=False, **_):
    def swap(x):
        return _ops.swapaxes(x, -1, -2)

    return _ops.matmul(swap(a) if transpose_a else a, swap(b) if transpose_b else b)


def _resize(images, size, method="bilinear", preserve_aspect_ratio=False, antialias=False):
    if preserve_aspect_ratio:
        raise TypeError("preserve_aspect_ratio")
    return _ops.image.resize(images, size, interpolation=method, antialias=antialias, data_format="channels_last")


def _slice(x, slice_spec):
    def one(item):
        if isinstance(item, dict):
            return slice(item.get("start"), item.get("stop"), item.get("step"))
        return Ellipsis if item == "__ellipsis__" else item

    return x[tuple(one(item) for item in slice_spec)] if isinstance(slice_spec, list) else x[one(slice_spec)]


def _l2_normalize(x, axis=None, epsilon=1e-12):
    return x * _ops.rsqrt(_ops.maximum(_ops.sum(_ops.square(x), axis=axis, keepdims=True), epsilon))


_BINARY = {
    "add": _ops.add,
    "subtract": _ops.subtract,
    "sub": _ops.subtract,
    "multiply": _ops.multiply,
    "mul": _ops.multiply,
    "truediv": _ops.true_divide,
    "divide": _ops.true_divide,
    "pow": _ops.power,
    "maximum": _ops.maximum,
    "minimum": _ops.minimum,
    "squared_difference": lambda x, y: _ops.square(_ops.subtract(x, y)),
}
_UNARY = {
    "abs": _ops.abs,
    "exp": _ops.exp,
    "log": _ops.log,
    "negative": _ops.negative,
    "neg": _ops.negative,
    "sqrt": _ops.sqrt,
    "rsqrt": _ops.rsqrt,
    "square": _ops.square,
    "sin": _ops.sin,
    "cos": _ops.cos,
    "floor": _ops.floor,
    "round": _ops.round,
    "sign": _ops.sign,
    "sigmoid": _ops.sigmoid,
    "tanh": _ops.tanh,
    "softplus": _ops.softplus,
    "relu": _ops.relu,
    "relu6": _ops.relu6,
    "elu": _ops.elu,
    "selu": _ops.selu,
    "silu": _ops.silu,
    "swish": _ops.silu,
    "identity": lambda x: x,
    "stop_gradient": _ops.stop_gradient,
}
_REDUCTIONS = {
    "reduce_mean": _reduce(_ops.mean),
    "reduce_sum": _reduce(_ops.sum),
    "reduce_max": _reduce(_ops.max),
    "reduce_min": _reduce(_ops.min),
    "reduce_prod": _reduce(_ops.prod),
}
# First argument by position, the others by TensorFlow's own names.
_OTHERS = {
    "concat": lambda values, axis: _ops.concatenate(values, axis=axis),
    "stack": lambda values, axis=0: _ops.stack(values, axis=axis),
    "expand_dims": lambda input, axis: _ops.expand_dims(input, axis),
    "squeeze": lambda input, axis=None: _ops.squeeze(input, axis),
    "reshape": lambda tensor, shape: _ops.reshape(tensor, shape),
    "transpose": lambda a, perm=None: _ops.transpose(a, perm),
    "tile": lambda input, multiples: _ops.tile(input, multiples),
    "cast": lambda x, dtype: _ops.cast(x, dtype),
    "clip_by_value": _clip,
    "matmul": _matmul,
    "softmax": lambda logits, axis=-1: _ops.softmax(logits, axis=-1 if axis is None else axis),
    "leaky_relu": lambda features, alpha=0.2: _ops.leaky_relu(features, alpha),
    "gelu": lambda features, approximate=False: _ops.gelu(features, approximate=approximate),
    "l2_normalize": _l2_normalize,
    "bias_add": lambda value, bias: _ops.add(value, bias),
    "resize": _resize,
    "split": lambda value, num_or_size_splits, axis=0: _split(value, num_or_size_splits, axis),
    "getitem": _slice,
}
_TABLE = {**_UNARY, **_BINARY, **_REDUCTIONS, **_OTHERS}
_NAMESPACES = ("", "math", "nn", "linalg", "image", "__operators__")


def _split(value, sizes, axis):
    if isinstance(sizes, list):
        edges = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
        return _ops.split(value, edges, axis=axis)
    return _ops.split(value, sizes, axis=axis)


# Operations of TensorFlow 2.0-2.3's TensorFlowOpLayer, which stored the graph's node: inputs come by position.
_GRAPH_NODES = {
    "Add": _ops.add,
    "AddV2": _ops.add,
    "BiasAdd": _ops.add,
    "Sub": _ops.subtract,
    "Mul": _ops.multiply,
    "RealDiv": _ops.true_divide,
    "Pow": _ops.power,
    "Maximum": _ops.maximum,
    "Minimum": _ops.minimum,
    "Abs": _ops.abs,
    "Exp": _ops.exp,
    "Log": _ops.log,
    "Neg": _ops.negative,
    "Sqrt": _ops.sqrt,
    "Rsqrt": _ops.rsqrt,
    "Square": _ops.square,
    "Relu": _ops.relu,
    "Relu6": _ops.relu6,
    "Elu": _ops.elu,
    "Selu": _ops.selu,
    "Sigmoid": _ops.sigmoid,
    "Softplus": _ops.softplus,
    "Softmax": _ops.softmax,
    "Tanh": _ops.tanh,
    "ExpandDims": _ops.expand_dims,
    "Reshape": _ops.reshape,
    "Transpose": _ops.transpose,
    "Identity": lambda x: x,
}


def operation_name(spec):
    """The operation a `TFOpLambda`, `SlicingOpLambda` or `TensorFlowOpLayer` stands for, as TensorFlow spells it."""
    if spec.class_name == "TensorFlowOpLayer":
        node = spec.config.get("node_def")
        return node.get("op") if isinstance(node, dict) else None
    return str(spec.config.get("function", ""))


def is_known(spec):
    """Whether the operation behind the layer is translated."""
    return _find(spec) is not None


def _find(spec):
    name = operation_name(spec)
    if name is None:
        return None
    if spec.class_name == "TensorFlowOpLayer":
        return _GRAPH_NODES.get(name)
    space, _, short = name.removeprefix("tf.").removeprefix("compat.v1.").rpartition(".")
    return _TABLE.get(short) if space in _NAMESPACES else None


def apply(spec, inputs, kwargs):
    """Calls the operation on Keras tensors.

    Raises:
        WeightsError: It is used with arguments that are not translated.
    """
    function = _find(spec)
    try:
        if spec.class_name == "TensorFlowOpLayer":
            return function(*_by_position(spec, inputs))
        given = {key: value for key, value in kwargs.items() if key != "name" and value is not None}
        first, *rest = _names_of_two(spec, given)
        return function(inputs, *rest) if first else function(inputs, **given)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise WeightsError(
            None,
            f"layer {spec.name!r} uses TensorFlow's {operation_name(spec)} in a way that is not translated "
            f"({str(error).splitlines()[0]})",
            f"Pass custom_objects={{{spec.name!r}: a function}}.",
        ) from error


def _names_of_two(spec, given):
    """`(True, y)` for an operation on two tensors, whose second argument TensorFlow names y."""
    return (True, given["y"]) if set(given) == {"y"} else (False,)


def _by_position(spec, inputs):
    arguments = list(inputs) if isinstance(inputs, list) else [inputs]
    constants = sorted((int(place), value) for place, value in (spec.config.get("constants") or {}).items())
    for place, value in constants:
        arguments.insert(place, value)
    return arguments
