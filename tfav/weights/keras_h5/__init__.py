"""Legacy Keras HDF5 files, of Keras 1, Keras 2 and tf.keras, as data and nothing else, in Keras 3."""
