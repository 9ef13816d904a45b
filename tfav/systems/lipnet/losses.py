"""Losses and the metric of training: CTC over true lengths, those of the other heads, character errors."""

import keras
import tensorflow as tf
from keras import ops

from tfav.speech.grid import UNKNOWN


@keras.saving.register_keras_serializable(package="tfav")
class CTCLoss(keras.losses.Loss):
    """Connectionist temporal classification, of logits, with true lengths of labels and of frames.

    Labels are `[B, L]` int with the blank, which is no label, in padding. Logits are `[B, T, K]`; the models here make
    the blank certain in padded frames, which adds exactly nothing to the loss.

    A label that does not fit into its frames has an infinite loss and no gradient, and one of more symbols than T is
    TensorFlow's error; `dataset.encode_entries` refuses such clips by name.

    Args:
        blank: Class number of the blank.

    Reference:
        Graves et al., 2006, "Connectionist Temporal Classification".
    """

    def __init__(self, blank: int, name: str = "ctc", **kwargs):
        super().__init__(name=name, **kwargs)
        self.blank = blank

    def call(self, y_true, y_pred):
        """The loss of each clip, `[B]` float32, in nats."""
        labels = tf.cast(y_true, tf.int32)
        # Sparse: TensorFlow then takes its kernel, and for dense labels a loop that takes ten times as long.
        places = tf.where(labels != self.blank)
        labels = tf.SparseTensor(places, tf.gather_nd(labels, places), tf.shape(labels, tf.int64))
        frames = tf.fill(tf.shape(y_pred)[:1], tf.shape(y_pred)[1])
        logits = tf.cast(y_pred, tf.float32)
        losses = tf.nn.ctc_loss(labels, logits, None, frames, logits_time_major=False, blank_index=self.blank)
        # Where nothing fits, the kernel's gradient is that of no loss at all, though it is finite.
        return tf.where(tf.math.is_finite(losses), losses, tf.stop_gradient(losses))

    def get_config(self):
        """Which class the blank is."""
        return {**super().get_config(), "blank": self.blank}


@keras.saving.register_keras_serializable(package="tfav.lipnet")
class WordLoss(keras.losses.Loss):
    """Cross-entropy of what is being said, the mean over those frames of a clip of which that is known."""

    def __init__(self, name: str = "word", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        """`[B, T]` int, -1 where unknown, and logits `[B, T, 52]` to `[B]`; 0 where nothing is known of a clip."""
        labels = ops.cast(y_true, "int32")
        known = ops.cast(ops.not_equal(labels, UNKNOWN), "float32")
        losses = ops.sparse_categorical_crossentropy(
            ops.maximum(labels, 0), ops.cast(y_pred, "float32"), from_logits=True
        )
        return ops.sum(losses * known, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1e-6)


@keras.saving.register_keras_serializable(package="tfav")
class SoundLoss(keras.losses.Loss):
    """Squared error of what is heard in each frame, the mean over those frames of a clip of which that is known."""

    def __init__(self, name: str = "sound", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        """`[B, T, D]`, NaN where unknown, and as much told, to `[B]`; 0 where nothing is known of a clip."""
        known = ops.logical_not(ops.isnan(y_true))
        errors = ops.square(ops.where(known, y_true, 0.0) - ops.cast(y_pred, "float32"))
        known = ops.cast(known, "float32")
        return ops.sum(errors * known, axis=(1, 2)) / ops.maximum(ops.sum(known, axis=(1, 2)), 1.0)


@keras.saving.register_keras_serializable(package="tfav")
class CharacterErrorRate(keras.metrics.Metric):
    """Edits from the greedily decoded text to the true one over its length, of all clips together; for training.

    Args:
        blank: Class number of the blank.
    """

    def __init__(self, blank: int, name: str = "cer", **kwargs):
        super().__init__(name=name, **kwargs)
        self.blank = blank
        self.errors = self.add_weight(name="errors", initializer="zeros")
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Takes a batch, as `CTCLoss` does."""
        labels = tf.cast(y_true, tf.int32)
        logits = tf.cast(tf.transpose(y_pred, (1, 0, 2)), tf.float32)
        lengths = tf.fill([tf.shape(y_pred)[0]], tf.shape(y_pred)[1])
        (decoded,), _ = tf.nn.ctc_greedy_decoder(logits, lengths, blank_index=self.blank)
        truth = tf.sparse.from_dense(tf.where(labels == self.blank, -1, labels) + 1)  # 0 is what is left out
        decoded = tf.SparseTensor(decoded.indices, tf.cast(decoded.values, tf.int32) + 1, decoded.dense_shape)
        self.errors.assign_add(tf.reduce_sum(tf.edit_distance(decoded, truth, normalize=False)))
        self.total.assign_add(tf.cast(tf.size(truth.values), tf.float32))

    def result(self):
        """Errors over characters."""
        return self.errors / ops.maximum(self.total, 1.0)

    def get_config(self):
        """Which class the blank is."""
        return {**super().get_config(), "blank": self.blank}
