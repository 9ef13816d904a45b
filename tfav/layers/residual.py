"""The basic block of residual networks."""

from collections.abc import Callable

from keras import layers


def residual_block(x, rank: int, width: int, stride: int, name: str, normalize: Callable):
    """Two convolutions of 3 beside a shortcut, as a function on Keras tensors.

    Layers are called as the modules of a basic block in PyTorch, behind the name of the block.

    Args:
        x: `[N, ..., C]`, `rank` dimensions in the middle.
        rank: 1 or 2.
        width: Channels.
        stride: Of the first convolution, and of the shortcut.
        name: Of the block.
        normalize: From a tensor and a name to the tensor behind a layer of normalisation.

    Returns:
        `[N, ..., width]`, each side divided by `stride` and rounded up.

    Reference:
        He et al., 2016, "Deep residual learning for image recognition", section 3.3.
    """
    shortcut = x
    if stride != 1 or x.shape[-1] != width:
        # Every `stride`-th place, then stride 1: the same numbers. oneDNN's weight gradient of a strided
        # convolution of 1 writes beyond its memory where the channels are no multiple of 16, and TensorFlow dies.
        # Pooling over single places takes them a fifth of the time that a strided slice and its gradient take.
        pool = {1: layers.MaxPooling1D, 2: layers.MaxPooling2D}[rank]
        shortcut = pool(1, stride, padding="same", name=f"{name}.every")(x) if stride != 1 else x
        shortcut = _convolve(shortcut, rank, width, 1, 1, f"{name}.downsample.0")
        shortcut = normalize(shortcut, f"{name}.downsample.1")
    x = normalize(_convolve(x, rank, width, 3, stride, f"{name}.conv1"), f"{name}.bn1")
    x = layers.Activation("relu", name=f"{name}.relu1")(x)
    x = normalize(_convolve(x, rank, width, 3, 1, f"{name}.conv2"), f"{name}.bn2")
    return layers.Activation("relu", name=f"{name}.relu2")(layers.Add(name=f"{name}.add")([x, shortcut]))


def _convolve(x, rank: int, width: int, kernel: int, stride: int, name: str):
    convolution, pad = {1: (layers.Conv1D, layers.ZeroPadding1D), 2: (layers.Conv2D, layers.ZeroPadding2D)}[rank]
    padding = "same"
    if stride != 1:  # then "same" pads one side alone, and PyTorch both
        x, padding = pad(kernel // 2, name=f"{name}.pad")(x), "valid"
    return convolution(width, kernel, stride, padding, use_bias=False, kernel_initializer="he_normal", name=name)(x)
