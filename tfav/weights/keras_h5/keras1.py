"""Keras 1 layer configurations in the words of Keras 2.

Plain data in, plain data out: nothing here imports Keras. A layer that Keras 2 already dropped keeps its name and is
refused further on, where refusals are worded.
"""

# Keras 1 class -> Keras 2 class, where the name changed.
CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "AtrousConv1D": "Conv1D",
    "AtrousConv2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "Deconv2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}

# Settings that mean the same in every layer that has them.
_COMMON = {
    "border_mode": "padding",
    "bias": "use_bias",
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "dim_ordering": "data_format",
    "subsample": "strides",
    "atrous_rate": "dilation_rate",
}

_RECURRENT = {"output_dim": "units", "dropout_W": "dropout", "dropout_U": "recurrent_dropout"}
_POOLING_1D = {"pool_length": "pool_size", "stride": "strides"}

# Settings that mean something only in one class (named as Keras 2 names it).
_BY_CLASS = {
    "InputLayer": {"input_dtype": "dtype"},
    "Dense": {"output_dim": "units"},
    "Embedding": {
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    },
    "Conv1D": {"nb_filter": "filters", "filter_length": "kernel_size", "subsample_length": "strides"},
    "SeparableConv2D": {
        "nb_filter": "filters",
        "init": "depthwise_initializer",
        "depthwise_regularizer": "depthwise_regularizer",
    },
    "Conv2D": {"nb_filter": "filters"},
    "Conv2DTranspose": {"nb_filter": "filters"},
    "Conv3DTranspose": {"nb_filter": "filters"},
    "Conv3D": {"nb_filter": "filters"},
    "ConvLSTM2D": {"nb_filter": "filters", **_RECURRENT},
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    "SimpleRNN": _RECURRENT,
    "MaxPooling1D": _POOLING_1D,
    "AveragePooling1D": _POOLING_1D,
    "UpSampling1D": {"length": "size"},
    "Dropout": {"p": "rate"},
    "SpatialDropout1D": {"p": "rate"},
    "SpatialDropout2D": {"p": "rate"},
    "SpatialDropout3D": {"p": "rate"},
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "PReLU": {"init": "alpha_initializer"},
    "BatchNormalization": {
        "beta_init": "beta_initializer",
        "gamma_init": "gamma_initializer",
    },
}

# Kernel sizes that were several settings and became one; the first complete group wins.
_KERNEL_PARTS = (
    ("kernel_dim1", "kernel_dim2", "kernel_dim3"),
    ("nb_row", "nb_col"),
)

_DATA_FORMATS = {"th": "channels_first", "tf": "channels_last"}

# Merge mode -> the Keras 2 layer it became.
MERGE_MODES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
    "cos": "Dot",
}

# Any of these in a layer's configuration gives the file away as Keras 1.
_TELLTALES = frozenset(
    {"border_mode", "nb_filter", "dim_ordering", "W_regularizer", "inner_activation", "nb_row", "pool_length", "p"}
)


def is_keras1(config):
    """Whether a layer's configuration is written in the words of Keras 1."""
    return bool(_TELLTALES & set(config)) or ("output_dim" in config and "init" in config)


def translate(class_name, config):
    """Translates one layer.

    Args:
        class_name: Its class in Keras 1.
        config: Its configuration; left unchanged.

    Returns:
        `(class name, configuration)` in the words of Keras 2.
    """
    target = CLASSES.get(class_name, class_name)
    renames = {**_COMMON, **_BY_CLASS.get(target, {})}
    translated = {}
    parts = next((group for group in _KERNEL_PARTS if all(key in config for key in group)), ())
    if parts:
        translated["kernel_size"] = [config[key] for key in parts]
    for key, value in config.items():
        if key not in parts:
            translated[renames.get(key, key)] = value
    if translated.get("data_format") in _DATA_FORMATS:
        translated["data_format"] = _DATA_FORMATS[translated["data_format"]]
    if "padding" in translated:
        translated["padding"] = _padding_sides(translated["padding"])
    if class_name in ("LSTM", "GRU", "SimpleRNN", "ConvLSTM2D"):
        translated.setdefault("recurrent_activation", "hard_sigmoid")
        translated["reset_after"] = False
    return target, translated


def _padding_sides(padding):
    """Keras 1's four paddings, as a dict or a flat list, as `[[top, bottom], [left, right]]`; others as they are."""
    if isinstance(padding, dict):
        padding = [padding.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
    if isinstance(padding, list) and len(padding) == 4:
        return [padding[:2], padding[2:]]
    return padding


def was_theano(classes_and_configs):
    """Guesses the backend of a Keras 1 file, which never names it, from the layers it uses.

    Separable convolutions existed on TensorFlow only. Otherwise `dim_ordering="th"` was Theano's default and "tf"
    TensorFlow's, and almost nobody mixed them.
    """
    pairs = list(classes_and_configs)
    if any(name.startswith("Separable") for name, _ in pairs):
        return False
    return any("th" in (config.get("dim_ordering"), config.get("data_format")) for _, config in pairs)


def translate_merge(config):
    """Translates the configuration of a Keras 1 `Merge` with a named mode.

    Returns:
        `(class name, configuration)`, or None for a mode that is code.
    """
    mode = config.get("mode")
    if config.get("mode_type", "raw") != "raw" or mode not in MERGE_MODES:
        return None
    translated = {key: config[key] for key in ("name", "trainable") if key in config}
    if mode == "concat":
        translated["axis"] = config.get("concat_axis", -1)
    if mode in ("dot", "cos"):
        axes = config.get("dot_axes", -1)
        translated["axes"] = axes if isinstance(axes, int) else [a[0] if isinstance(a, list) else a for a in axes]
        translated["normalize"] = mode == "cos"
    return MERGE_MODES[mode], translated
