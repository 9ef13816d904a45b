"""TensorFlow operations that tf.keras recorded as layers, as Keras 3 operations.

A file names an operation (`"math.reduce_mean"`); it is looked up in the tables here and nowhere else.
"""

from keras import ops

from tfav.weights.errors import WeightsError, first_line


def _reduce(function):
    return lambda input_tensor, axis=None, keepdims=False: function(input_tensor, axis=axis, keepdims=bool(keepdims))


def _matmul(a, b, transpose_a=False, transpose_b=False, **_):
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def _resize(images, size, method="bilinear", preserve_aspect_ratio=False, antialias=False):
    if preserve_aspect_ratio:
        raise TypeError("preserve_aspect_ratio")
    return ops.image.resize(images, size, interpolation=method, antialias=antialias, data_format="channels_last")


def _slice(x, slice_spec):
    def one(item):
        if isinstance(item, dict):
            return slice(item.get("start"), item.get("stop"), item.get("step"))
        return Ellipsis if item == "__ellipsis__" else item

    return x[tuple(one(item) for item in slice_spec)] if isinstance(slice_spec, list) else x[one(slice_spec)]


def _l2_normalize(x, axis=None, epsilon=1e-12):
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), epsilon))


def _split(value, num_or_size_splits, axis=0):
    sizes = num_or_size_splits
    if isinstance(sizes, list):
        sizes = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    return ops.split(value, sizes, axis=axis)


# Of one tensor or two, under the same name in Keras.
_SAME = """
    abs cos elu exp floor log negative relu relu6 round rsqrt selu sigmoid sign silu sin softplus sqrt square
    stop_gradient tanh add subtract multiply maximum minimum
""".split()  # noqa: SIM905
# The first argument comes by position, the others by TensorFlow's own names.
_TABLE = {name: getattr(ops, name) for name in _SAME} | {
    "sub": ops.subtract,
    "mul": ops.multiply,
    "neg": ops.negative,
    "pow": ops.power,
    "swish": ops.silu,
    "truediv": ops.true_divide,
    "divide": ops.true_divide,
    "identity": lambda x: x,
    "squared_difference": lambda x, y: ops.square(ops.subtract(x, y)),
    "reduce_mean": _reduce(ops.mean),
    "reduce_sum": _reduce(ops.sum),
    "reduce_max": _reduce(ops.max),
    "reduce_min": _reduce(ops.min),
    "reduce_prod": _reduce(ops.prod),
    "concat": lambda values, axis: ops.concatenate(values, axis=axis),
    "stack": lambda values, axis=0: ops.stack(values, axis=axis),
    "expand_dims": lambda input, axis: ops.expand_dims(input, axis),
    "squeeze": lambda input, axis=None: ops.squeeze(input, axis),
    "reshape": lambda tensor, shape: ops.reshape(tensor, shape),
    "transpose": lambda a, perm=None: ops.transpose(a, perm),
    "tile": lambda input, multiples: ops.tile(input, multiples),
    "cast": lambda x, dtype: ops.cast(x, dtype),
    "clip_by_value": lambda t, clip_value_min, clip_value_max: ops.clip(t, clip_value_min, clip_value_max),
    "matmul": _matmul,
    "softmax": lambda logits, axis=-1: ops.softmax(logits, axis=-1 if axis is None else axis),
    "leaky_relu": lambda features, alpha=0.2: ops.leaky_relu(features, alpha),
    "gelu": lambda features, approximate=False: ops.gelu(features, approximate=approximate),
    "l2_normalize": _l2_normalize,
    "bias_add": lambda value, bias: ops.add(value, bias),
    "resize": _resize,
    "split": _split,
    "getitem": _slice,
}
_NAMESPACES = ("", "math", "nn", "linalg", "image", "__operators__")

# Operations of TensorFlow 2.0-2.3's TensorFlowOpLayer, which stored the graph's node: inputs come by position.
_NODES = """
    Abs Add Elu Exp Identity Log Maximum Minimum Mul Neg Pow Relu Relu6 Reshape Rsqrt Selu Sigmoid Softmax Softplus
    Sqrt Square Sub Tanh Transpose
""".split()  # noqa: SIM905
_GRAPH_NODES = {name: _TABLE[name.lower()] for name in _NODES} | {
    "AddV2": ops.add,
    "BiasAdd": ops.add,
    "ExpandDims": ops.expand_dims,
    "RealDiv": ops.true_divide,
}


def operation_name(spec) -> str | None:
    """The operation a `TFOpLambda`, `SlicingOpLambda` or `TensorFlowOpLayer` stands for, as TensorFlow spells it."""
    if spec.class_name == "TensorFlowOpLayer":
        node = spec.config.get("node_def")
        return node.get("op") if isinstance(node, dict) else None
    return str(spec.config.get("function", ""))


def find(spec):
    """The function behind the layer; None for an operation that is not translated."""
    name = operation_name(spec)
    if spec.class_name == "TensorFlowOpLayer":
        return _GRAPH_NODES.get(name)
    space, _, short = name.removeprefix("tf.").removeprefix("compat.v1.").rpartition(".")
    return _TABLE.get(short) if space in _NAMESPACES else None


def apply(spec, inputs, kwargs: dict):
    """Calls the operation on Keras tensors.

    Raises:
        WeightsError: It is used with arguments that are not translated.
    """
    function = find(spec)
    try:
        if spec.class_name == "TensorFlowOpLayer":
            arguments = list(inputs) if isinstance(inputs, list) else [inputs]
            constants = sorted((int(place), value) for place, value in (spec.config.get("constants") or {}).items())
            for place, value in constants:
                arguments.insert(place, value)
            return function(*arguments)
        given = {key: value for key, value in kwargs.items() if key != "name" and value is not None}
        # Of an operation on two tensors TensorFlow names the second argument y.
        return function(inputs, given["y"]) if set(given) == {"y"} else function(inputs, **given)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise WeightsError(
            None,
            f"layer {spec.name!r} uses TensorFlow's {operation_name(spec)} in a way that is not translated "
            f"({first_line(error)})",
            f"Pass custom_objects={{{spec.name!r}: a function}}.",
        ) from error
