"""Floor 2: arrays to `tf.data`: sampling, clip operations, the pipeline, made data."""
