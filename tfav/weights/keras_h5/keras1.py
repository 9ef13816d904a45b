"""Keras 1 layer configurations in the words of Keras 2.

Plain data in, plain data out: nothing here imports Keras. A layer that Keras 2 already dropped keeps its name and is
refused further on, where refusals are worded.
"""

# Keras 1 class -> Keras 2 class, where the name changed.
_CLASSES = {
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

_FILTERS = {"nb_filter": "filters"}
_POOLING_1D = {"pool_length": "pool_size", "stride": "strides"}
_RATE = {"p": "rate"}
_RECURRENT = {"output_dim": "units", "dropout_W": "dropout", "dropout_U": "recurrent_dropout"}

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
    "SeparableConv2D": {"nb_filter": "filters", "init": "depthwise_initializer"},
    **dict.fromkeys(("Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose"), _FILTERS),
    "ConvLSTM2D": {**_FILTERS, **_RECURRENT},
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), _RECURRENT),
    **dict.fromkeys(("MaxPooling1D", "AveragePooling1D"), _POOLING_1D),
    "UpSampling1D": {"length": "size"},
    **dict.fromkeys(("Dropout", "GaussianDropout"), _RATE),
    **dict.fromkeys(("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), _RATE),
    "GaussianNoise": {"sigma": "stddev"},
    "PReLU": {"init": "alpha_initializer"},
    "BatchNormalization": {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"},
}

# Kernel sizes that were several settings and became one; the first complete group wins.
_KERNEL_PARTS = (("kernel_dim1", "kernel_dim2", "kernel_dim3"), ("nb_row", "nb_col"))

_DATA_FORMATS = {"th": "channels_first", "tf": "channels_last"}

# Merge mode -> the Keras 2 layer it became.
_MERGE_MODES = {
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
    """A layer's class name and configuration, which is left unchanged, in the words of Keras 2."""
    target = _CLASSES.get(class_name, class_name)
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
    """Class name and configuration for a Keras 1 `Merge` with a named mode; None for a mode that is code."""
    mode = config.get("mode")
    if config.get("mode_type", "raw") != "raw" or mode not in _MERGE_MODES:
        return None
    translated = {key: config[key] for key in ("name", "trainable") if key in config}
    if mode == "concat":
        translated["axis"] = config.get("concat_axis", -1)
    if mode in ("dot", "cos"):
        axes = config.get("dot_axes", -1)
        translated["axes"] = axes if isinstance(axes, int) else [a[0] if isinstance(a, list) else a for a in axes]
        translated["normalize"] = mode == "cos"
    return _MERGE_MODES[mode], translated
