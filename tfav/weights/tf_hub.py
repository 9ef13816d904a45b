"""TF-Hub image feature vectors as an ordinary Keras 3 layer.

`hub.KerasLayer` is a Keras 2 layer and does not go into a Keras 3 model. `HubExtractor` loads the same folders and
behaves as any other layer: it saves, loads, freezes, trains and works inside `TimeDistributed`.
"""

import contextlib
import inspect
import socket
from pathlib import Path

import keras
import tensorflow as tf

from tfav.keras_private import track_variable
from tfav.old_packages import import_tensorflow_hub
from tfav.weights.errors import WeightsError, first_line

DOWNLOAD_TIMEOUT_SEC = 60.0

# TF1 hub modules name their only interesting signature "default"; a Keras export calls it "serve".
_SIGNATURES_BY_PREFERENCE = ("default", "image_feature_vector", "serving_default", "serve")


@keras.saving.register_keras_serializable(package="tfav")
class HubExtractor(keras.layers.Layer):
    """A TF-Hub module (or any SavedModel of the same form) that turns images into feature vectors.

    Both forms of module are read: TF2 SavedModels that can be called, and TF1 hub modules and plain SavedModels that
    have signatures only. The latter are always frozen, since a signature holds the inference graph alone.

    The saved config holds the handle, not the module: a `.keras` file with this layer needs the same folder (or the
    TF-Hub cache) where it is loaded, and loading runs that module's graph, so open only files you trust.

    Args:
        handle: Folder of an unpacked module, or its address (downloaded once, kept in `$TFHUB_CACHE_DIR`).
        trainable: Fine-tune the module. The module's own variables are trained.
        signature: Signature to use instead of calling the module.
        output_key: Which output to take where the module gives a dict.

    Input: `[B, H, W, 3]` float, RGB, 0-1. Output: `[B, D]` float in the layer's compute dtype.

    Raises:
        WeightsError: The module cannot be found, downloaded or read, does not take such images, or gives no vector;
            `trainable=True` for a module that has signatures only.
    """

    def __init__(self, handle, trainable=False, signature=None, output_key=None, **kwargs):
        kwargs.setdefault("autocast", False)  # a module's dtypes are fixed when it is saved
        super().__init__(trainable=trainable, **kwargs)
        self.handle = str(handle)
        self.signature = signature
        self.output_key = output_key
        self._module, is_tf1 = _load_module(self.handle)
        self._function, self._input_name = _pick_function(self.handle, self._module, is_tf1, signature)
        self._takes_training = self._input_name is None and _has_training_argument(self._function)
        for variable, is_trainable in _variables_of(self._module, self._function):
            track_variable(self, _adopt(variable, is_trainable))
        self._refuse_training_a_signature(trainable)

    @property
    def trainable(self):
        """Whether the module's variables are trained; cannot be set for a module with signatures only."""
        return keras.layers.Layer.trainable.fget(self)

    @trainable.setter
    def trainable(self, value):
        self._refuse_training_a_signature(value)
        keras.layers.Layer.trainable.fset(self, value)

    @property
    def image_size(self):
        """The `(height, width)` the module was saved for; None in the place of a size it leaves open."""
        shape = _declared_input_shape(self._function, self._input_name)
        return tuple(shape[1:3]) if shape is not None and len(shape) == 4 else (None, None)

    def _refuse_training_a_signature(self, trainable):
        if trainable and self._input_name is not None:
            reason = "the module has signatures only, which hold the inference graph, so it cannot be trained"
            raise WeightsError(self.handle, reason, "Use trainable=False, or a module in the TF2 SavedModel format.")

    def build(self, input_shape):
        """Finds the feature size D by tracing the module once on `[None, H, W, 3]`."""
        shape = tuple(input_shape)
        if len(shape) != 4 or shape[-1] != 3:
            reason = f"an image module needs [batch, height, width, 3]. Received: input_shape={shape}"
            raise WeightsError(self.handle, reason)
        spec = tf.TensorSpec([None, *shape[1:]], tf.float32)
        try:
            output = tf.function(lambda x: self._extract(x, training=False)).get_concrete_function(spec).outputs[0]
        except WeightsError:
            raise
        except (ValueError, TypeError, tf.errors.OpError) as error:
            reason = f"the module does not take images of shape {shape[1:]} (it was saved for {self.image_size})"
            raise WeightsError(self.handle, reason, "Resize the frames to the size the module expects.") from error
        if output.shape.rank not in (None, 2):
            reason = f"the module gives a tensor of shape {output.shape}, not one vector an image"
            remedy = "Take its feature_vector variant, or name another output by output_key=."
            raise WeightsError(self.handle, reason, remedy)
        self._feature_size = output.shape[-1] if output.shape.rank == 2 else None
        if self._feature_size is None:  # TF1 graphs may lose their static shapes: ask with one black image
            with tf.init_scope():
                size = [1, *(side or 224 for side in shape[1:3]), 3]
                self._feature_size = int(self._extract(tf.zeros(size), training=False).shape[-1])
        super().build(input_shape)

    def call(self, inputs, training=False):
        """`[B, H, W, 3]` float 0-1 -> `[B, D]`; the module sees `training` only while it is trainable."""
        features = self._extract(inputs, training=bool(training) and self.trainable)
        features = tf.ensure_shape(features, [None, self._feature_size])
        return keras.ops.cast(features, self.compute_dtype)

    def _extract(self, images, training):
        images = tf.cast(images, tf.float32)
        if self._input_name is not None:
            outputs = self._function(**{self._input_name: images})
        elif self._takes_training:
            outputs = self._function(images, training=training)
        else:
            outputs = self._function(images)
        return _pick_output(self.handle, outputs, self.output_key)

    def compute_output_shape(self, input_shape):
        """`(B, H, W, 3) -> (B, D)`."""
        if not self.built:
            self.build(input_shape)
        return (input_shape[0], self._feature_size)

    def get_config(self):
        """The handle and the choices; the module itself stays where it is."""
        config = {"handle": self.handle, "signature": self.signature, "output_key": self.output_key}
        return {**super().get_config(), "trainable": self.trainable, **config}


def resolve(handle):
    """Finds a module's folder, downloading it where the handle is an address.

    Args:
        handle: A folder, or an address such as `https://tfhub.dev/google/imagenet/.../feature_vector/4`.

    Returns:
        The folder as a string.

    Raises:
        WeightsError: There is no such folder, or the address cannot be reached.
    """
    handle = str(handle)
    if "://" not in handle:
        return _check_folder(handle)
    tensorflow_hub = import_tensorflow_hub()  # only here: it pulls in tf_keras, which nothing else needs
    before = socket.getdefaulttimeout()
    # A closed network often drops packets without a word; urllib would wait for ever.
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SEC)
    try:
        return tensorflow_hub.resolve(handle)
    except Exception as error:  # urllib, tarfile, TensorFlow's file systems: each has its own family
        raise WeightsError(
            handle,
            f"the module cannot be downloaded ({first_line(error)})",
            "Without a network, unpack the module on a machine that has one and pass its folder as the handle.",
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _check_folder(handle):
    folder = Path(handle).expanduser()
    if folder.is_file():
        raise WeightsError(handle, "this is a file, not a folder", "Unpack the archive and pass the folder it makes.")
    if not folder.is_dir():
        raise WeightsError(handle, "there is no such folder", "Pass an unpacked TF-Hub module, or its full address.")
    if not any((folder / name).exists() for name in ("saved_model.pb", "saved_model.pbtxt")):
        remedy = "Pass the folder that has it; archives may nest it one deeper."
        raise WeightsError(handle, "the folder holds no saved_model.pb", remedy)
    return str(folder)


def _load_module(handle):
    """Returns `(module, is_tf1)`."""
    folder = resolve(handle)
    is_tf1 = (Path(folder) / "tfhub_module.pb").exists()
    try:
        # A TF1 module holds several graphs; the one without a tag is the inference graph.
        return tf.saved_model.load(folder, tags=[] if is_tf1 else None), is_tf1
    except Exception as error:
        reason = f"the SavedModel cannot be read ({first_line(error)})"
        raise WeightsError(handle, reason, "Download it again; the folder may be incomplete.") from error


def _pick_function(handle, module, is_tf1, signature):
    """Returns `(function, input name)`; the name is None for a module that is called, not asked by signature."""
    if signature is None and callable(module) and not is_tf1:
        return module.__call__, None
    signatures = dict(getattr(module, "signatures", {}))
    wanted = (signature,) if signature else _SIGNATURES_BY_PREFERENCE
    name = next((name for name in wanted if name in signatures), None)
    if name is None and signature is None and len(signatures) == 1:
        name = next(iter(signatures))
    if name is None:
        asked = f"no signature {signature!r}" if signature else "neither a call nor a signature to use by default"
        raise WeightsError(handle, f"the module has {asked}", f"Pass signature=; it has: {sorted(signatures)}.")
    inputs = sorted(signatures[name].structured_input_signature[1])
    if len(inputs) != 1:
        raise WeightsError(handle, f"signature {name!r} takes {inputs}, not one batch of images")
    return signatures[name], inputs[0]


def _pick_output(handle, outputs, output_key):
    if not isinstance(outputs, dict):
        outputs = tf.nest.flatten(outputs)
        outputs = {"default": outputs[0]} if len(outputs) == 1 else dict(enumerate(outputs))
    vectors = [key for key, value in outputs.items() if value.shape.rank == 2]
    candidates = [output_key] if output_key is not None else ["default", *(outputs if len(outputs) == 1 else vectors)]
    key = next((key for key in candidates if key in outputs), None)
    is_ambiguous = output_key is None and key != "default" and len(candidates) > 2
    if key is None or is_ambiguous:
        raise WeightsError(
            handle,
            f"the module gives several outputs, {list(outputs)}" if is_ambiguous else "the module lacks that output",
            f"Pass output_key= as one of {list(outputs)}.",
        )
    return outputs[key]


def _has_training_argument(function) -> bool:
    """Whether a restored `tf.function` (or a plain one) takes `training`."""
    with contextlib.suppress(AttributeError):
        spec = function.function_spec.fullargspec
        return "training" in [*spec.args, *spec.kwonlyargs]
    with contextlib.suppress(TypeError, ValueError):
        return "training" in inspect.signature(getattr(function, "python_function", function)).parameters
    return False


def _declared_input_shape(function, input_name):
    """Shape of the images as the module was traced, or None where nothing tells it."""
    if input_name is not None:
        return function.structured_input_signature[1][input_name].shape.as_list()
    for concrete in getattr(function, "concrete_functions", ()):
        specs = [spec for spec in tf.nest.flatten(concrete.structured_input_signature) if hasattr(spec, "shape")]
        if specs and specs[0].shape.rank == 4:
            return specs[0].shape.as_list()
    return None


def _adopt(variable, is_trainable) -> keras.Variable:
    """A variable of the module as one of Keras'; both share one storage."""
    name = variable.name.split(":")[0].replace("/", "_")
    return keras.Variable(variable, trainable=is_trainable, dtype=variable.dtype, shape=variable.shape, name=name)


def _variables_of(module, function):
    """Yields `(variable, is_trainable)`, each once, in a stable order."""
    trainable_ids = {id(v) for v in getattr(module, "trainable_variables", ())}
    declared = list(getattr(module, "variables", ()))
    captured = list(getattr(function, "variables", ()))
    seen = set()
    for variable in declared or captured:
        if id(variable) not in seen and variable.dtype.is_floating:
            seen.add(id(variable))
            yield variable, (id(variable) in trainable_ids if declared else variable.trainable)
