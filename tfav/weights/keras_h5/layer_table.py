"""Which Keras 3 layer takes over which old one, and what becomes of its settings.

Only the classes named here are ever made from a file. Settings that only steered training or speed and are gone are
dropped; settings that changed the outputs and are gone are refused.
"""

import inspect

import keras

from tfav.keras_private import application_layers
from tfav.weights.errors import WeightsError
from tfav.weights.keras_h5 import objects
from tfav.weights.keras_h5.lazy_init import Reserved
from tfav.weights.keras_h5.legacy_layers import LegacyBatchNormalization

# Same name, same meaning.
_SAME = """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
    AveragePooling2D AveragePooling3D BatchNormalization CategoryEncoding CenterCrop Concatenate Conv1D Conv1DTranspose
    Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D Cropping2D Cropping3D
    Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Flatten GRU
    GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization Identity LSTM LayerNormalization
    LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum MultiHeadAttention Multiply Normalization
    PReLU Permute RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom
    ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D SeparableConv2D SimpleRNN Softmax SpatialDropout1D
    SpatialDropout2D SpatialDropout3D Subtract UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D
    ZeroPadding2D ZeroPadding3D
""".split()  # noqa: SIM905

# Other names for the same thing.
_OLD_NAMES = {
    "BatchNormalization": "BatchNormalizationV1 BatchNormalizationV2 SyncBatchNormalization",
    "LSTM": "CuDNNLSTM LSTMV1 LSTMV2 UnifiedLSTM",
    "GRU": "CuDNNGRU GRUV1 GRUV2 UnifiedGRU",
    "ReLU": "ThresholdedReLU",
    "Dropout": "FixedDropout",  # of a much used EfficientNet package; nothing but Dropout in inference
    "Conv1D": "Convolution1D",
    "Conv2D": "Convolution2D",
    "Conv3D": "Convolution3D",
    "Conv2DTranspose": "Convolution2DTranspose",
    "SeparableConv1D": "SeparableConvolution1D",
    "SeparableConv2D": "SeparableConvolution2D",
    "MaxPooling1D": "MaxPool1D",
    "MaxPooling2D": "MaxPool2D",
    "AveragePooling2D": "AvgPool2D",
    "GlobalAveragePooling2D": "GlobalAvgPool2D",
    "GlobalMaxPooling2D": "GlobalMaxPool2D",
}
_RENAMED = {old: name for name, olds in _OLD_NAMES.items() for old in olds.split()}

_OF_APPLICATIONS = application_layers()

_SETTINGS_RENAMED = {
    "LeakyReLU": {"alpha": "negative_slope"},
    "ThresholdedReLU": {"theta": "threshold"},
    "GaussianNoise": {"sigma": "stddev"},
}

# What an old class meant without saying so.
_IMPLIED = {
    "CuDNNLSTM": {"activation": "tanh", "recurrent_activation": "sigmoid"},
    "CuDNNGRU": {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True},
    "SyncBatchNormalization": {"synchronized": True},
}

# What Keras 2 assumed where a file does not say.
_OLD_DEFAULTS = {
    "LSTM": {"recurrent_activation": "hard_sigmoid"},
    "GRU": {"recurrent_activation": "hard_sigmoid", "reset_after": False},
    "ConvLSTM2D": {"recurrent_activation": "hard_sigmoid"},
}

CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell")
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional")

# Layers with a meaning Keras 3 cannot express, and what to say of them.
_REFUSED = {
    "TextVectorization": "its vocabulary is not stored in HDF5",
    "StringLookup": "its vocabulary is not stored in HDF5",
    "IntegerLookup": "its vocabulary is not stored in HDF5",
    "Graph": "the Graph model ended with Keras 0.3",
}

# Gone without a trace in the outputs.
_HARMLESS = """
    U_constraint activity_regularizer adjustment autocast batch_input_shape batch_shape batch_size consume_less
    data_format depthwise_dropout dilation_rate dropout force_generator forget_bias_init forget_bias_initializer fused
    groups implementation input_dim input_dtype input_length input_shape kernel_constraint kernel_initializer
    kernel_regularizer max_tokens mode optional output_mode output_shape ragged recurrent_activation renorm
    renorm_clipping renorm_momentum reset_after rng_type seed sparse stateful time_major unit_forget_bias
    virtual_batch_size zero_output_for_mask
""".split()  # noqa: SIM905

_SET_ELSEWHERE = ("self", "args", "kwargs", "name", "dtype", "trainable", "unroll")

# Settings that matter where they are on, and what they mean.
_DECISIVE = {
    "time_major": "time-major sequences, which Keras 3 does not have",
    "ragged": "ragged tensors, which Keras 3 on its own does not feed",
    "renorm": "batch renormalisation",
}


def find_class(class_name):
    """The Keras 3 class for an old class name, or None for one that is not translated."""
    name = class_name.split(">")[-1]  # registered classes carry their package
    name = _RENAMED.get(name, name)
    return getattr(keras.layers, name, None) if name in (*_SAME, *CELLS) else _OF_APPLICATIONS.get(name)


def why_refused(class_name):
    """Why a class is not translated, in a few words."""
    return _REFUSED.get(class_name, "it has no counterpart in Keras 3")


def make(spec, name, custom_objects, report):
    """Makes the Keras 3 layer for a `LayerSpec` of a class in this table.

    Args:
        spec: The layer; not a wrapper, a model or a Lambda.
        name: Its name in the new model.
        custom_objects: The caller's functions and classes, by name.
        report: Collects the settings that were dropped.

    Raises:
        WeightsError: A setting changes the outputs and cannot be kept.
    """
    cls = find_class(spec.class_name)
    config = {**_OLD_DEFAULTS.get(spec.class_name, {}), **spec.config, **_IMPLIED.get(spec.class_name, {})}
    for key, meaning in _DECISIVE.items():
        if config.get(key) is True:
            raise WeightsError(None, f"layer {spec.name!r} uses {meaning}, which is not translated")
    renames = _SETTINGS_RENAMED.get(spec.class_name, {})
    config = {renames.get(key, key): value for key, value in config.items()}
    if cls is keras.layers.BatchNormalization:
        cls, config["axis"] = _batch_normalization(spec, config)
    layer = cls(name=name, **_translate(cls, config, spec, custom_objects, report))
    if config.get("trainable") is False:  # set afterwards, since not every constructor takes it
        layer.trainable = False
    return layer


def _batch_normalization(spec, config):
    """`(class, axis)`: tf.keras stores the axis as a list of one, Keras 1 has two modes of its own."""
    axis = config.get("axis", -1)
    if isinstance(axis, list) and len(axis) != 1:
        raise WeightsError(None, f"layer {spec.name!r} normalises over axes {axis} at once, which is not translated")
    is_legacy = config.get("mode", 0) in (1, 2)
    cls = LegacyBatchNormalization if is_legacy else keras.layers.BatchNormalization
    return cls, axis[0] if isinstance(axis, list) else axis


def _translate(cls, config, spec, custom_objects, report):
    """Settings of `cls` from an old configuration, by the kind of each."""
    parameters = _parameters(cls)
    settings = {}
    for key, value in config.items():
        if key not in parameters:
            if key not in _HARMLESS and key not in _SET_ELSEWHERE and value is not None:
                report.note(f"setting {key}={_short(value)} of layer {spec.name!r} dropped: Keras 3 does not have it")
            continue
        if key.endswith(("_regularizer", "_constraint")):
            made = objects.make(key.rsplit("_", 1)[1], value, custom_objects) if value else None
            if value and made is None:
                report.note(f"{key} of layer {spec.name!r} dropped: {_short(value)} is not Keras' own")
            settings[key] = made
        elif key.endswith("activation"):
            settings[key] = objects.activation(value, custom_objects)
        elif not key.endswith("_initializer"):
            settings[key] = value
    for key, parameter in parameters.items():
        if key.endswith("_initializer"):
            settings[key] = _reserve(key, config.get(key), parameter.default, spec, custom_objects, report)
    if "data_format" in parameters and settings.get("data_format") is None:
        settings["data_format"] = "channels_last"  # the old default, whatever this machine's may be
    dtype = objects.layer_dtype(config.get("dtype"))
    return {**settings, "dtype": dtype} if dtype else settings


def _reserve(key, value, default, spec, custom_objects, report):
    original = objects.make("initializer", value, custom_objects) if value else None
    if value and original is None:
        report.note(f"{key} of layer {spec.name!r} replaced by the default: {_short(value)} is not Keras' own")
    if original is None and default not in (None, inspect.Parameter.empty):
        original = default
    return Reserved(original, spec.name) if original is not None else None


def _parameters(cls):
    """Parameters of a class's constructor."""
    bases = (keras.layers.BatchNormalization, cls) if cls is LegacyBatchNormalization else (cls,)
    parameters = {}
    for base in bases:
        parameters.update(inspect.signature(base.__init__).parameters)
    return {key: value for key, value in parameters.items() if key not in _SET_ELSEWHERE}


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
