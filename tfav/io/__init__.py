"""Floor 1: files to NumPy arrays and back. Nothing in here imports TensorFlow or Keras."""
