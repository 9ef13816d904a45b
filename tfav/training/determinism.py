"""The same numbers from the same seed, to the last digit."""

import tensorflow as tf


def be_deterministic() -> None:
    """Makes every operation give the same result for the same input, to the last digit, at a price in speed.

    To be called before anything else uses TensorFlow. With the same seed, machine and settings, two trainings then have
    the same history.
    """
    tf.config.experimental.enable_op_determinism()
