"""Networks in NumPy, layer by layer from their definitions: what the systems' figures are compared with.

Weights are found by the names of layers; arrays are float64, channels last, with a batch in front.
"""

import numpy as np


def weights_of(model):
    """`{layer name: its arrays}` of a Keras model and of the models inside it."""
    found = {}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found |= weights_of(layer)
        inner = getattr(layer, "model", None)  # PerFrame
        if inner is not None and hasattr(inner, "layers"):
            found |= weights_of(inner)
        found.setdefault(layer.name, [np.asarray(weight, np.float64) for weight in layer.get_weights()])
    return found


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def softmax(x):
    shifted = np.exp(x - x.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def convolve(x, kernel, stride=1, padding="same"):
    """Cross-correlation in as many dimensions as the kernel has, `[N, *sides, C]` by `[*size, C, F]`."""
    size = kernel.shape[:-2]
    strides = (stride,) * len(size) if isinstance(stride, int) else stride
    if padding == "same":  # TensorFlow's: what is left over goes to the end
        pads = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(x.shape[1:-1], strides, size, strict=True)]
        x = np.pad(x, [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
    axes = tuple(range(1, 1 + len(size)))
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axes)  # [N, *places, C, *size]
    windows = windows[(slice(None), *(slice(None, None, s) for s in strides))]
    return np.tensordot(np.moveaxis(windows, len(size) + 1, -1), kernel, len(size) + 1)


def pool_max(x, size, stride=None, padding="valid"):
    """The largest of each window of `size`."""
    strides = stride or size
    if padding == "same":
        pads = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(x.shape[1:-1], strides, size, strict=True)]
        around = [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)]
        x = np.pad(x, around, constant_values=-np.inf)
    axes = tuple(range(1, 1 + len(size)))
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axes)
    windows = windows[(slice(None), *(slice(None, None, s) for s in strides))]
    return windows.max(tuple(range(-len(size), 0)))


def normalize(x, weights, epsilon=1e-3):
    """Batch normalisation as in inference; weights are gamma, beta, mean and variance."""
    gamma, beta, mean, variance = weights
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def run_lstm(x, weights, real=None):
    """The last state of an LSTM over `[N, T, D]`; steps that are not real leave the state as it was."""
    kernel, recurrent, bias = weights
    state = memory = np.zeros((len(x), recurrent.shape[0]))
    for number, step in enumerate(np.moveaxis(x, 1, 0)):
        i, f, c, o = np.split(step @ kernel + state @ recurrent + bias, 4, axis=-1)
        new_memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(c)
        new = sigmoid(o) * np.tanh(new_memory)
        is_real = np.ones((len(x), 1), bool) if real is None else real[:, number, None] > 0
        state, memory = np.where(is_real, new, state), np.where(is_real, new_memory, memory)
    return state


def run_gru(x, weights, real=None):
    """All states of a GRU (`reset_after`) over `[N, T, D]`; a step that is not real gives zeros."""
    kernel, recurrent, (given_bias, own_bias) = weights
    state, states = np.zeros((len(x), recurrent.shape[0])), []
    for number, step in enumerate(np.moveaxis(x, 1, 0)):
        gz, gr, gn = np.split(step @ kernel + given_bias, 3, axis=-1)
        oz, orr, on = np.split(state @ recurrent + own_bias, 3, axis=-1)
        z, r = sigmoid(gz + oz), sigmoid(gr + orr)
        new = z * state + (1 - z) * np.tanh(gn + r * on)
        is_real = np.ones((len(x), 1), bool) if real is None else real[:, number, None] > 0
        state = np.where(is_real, new, state)
        states.append(np.where(is_real, state, 0))
    return np.stack(states, axis=1)


def run_gru_both_ways(x, weights, real=None):
    """A GRU forwards beside one backwards; padding stays at the end."""
    backwards = run_gru(x[:, ::-1], weights[3:], None if real is None else real[:, ::-1])
    return np.concatenate([run_gru(x, weights[:3], real), backwards[:, ::-1]], axis=-1)


def run_conv_lstm(x, weights, activation=np.tanh):
    """All states of a ConvLSTM over `[N, T, H, W, C]`, gates by sigmoids, `same` padding."""
    kernel, recurrent, bias = weights
    state = memory = np.zeros((*x[:, 0].shape[:-1], recurrent.shape[-1] // 4))
    states = []
    for step in np.moveaxis(x, 1, 0):
        i, f, c, o = np.split(convolve(step, kernel) + bias + convolve(state, recurrent), 4, axis=-1)
        memory = sigmoid(f) * memory + sigmoid(i) * activation(c)
        state = sigmoid(o) * activation(memory)
        states.append(state)
    return np.stack(states, axis=1)


def run_residual(x, weights, name, stride, epsilon=1e-3):
    """The basic block of a residual network, in as many dimensions as its kernels have."""
    first = weights[f"{name}.conv1"][0]
    rank = first.ndim - 2
    sides = [(first.shape[0] // 2,) * 2] * rank if stride != 1 else [(1, 1)] * rank
    y = convolve(np.pad(x, [(0, 0), *sides, (0, 0)]), first, stride, "valid")
    y = relu(normalize(y, weights[f"{name}.bn1"], epsilon))
    y = normalize(convolve(y, weights[f"{name}.conv2"][0]), weights[f"{name}.bn2"], epsilon)
    if f"{name}.downsample.0" in weights:
        x = x[(slice(None), *[slice(None, None, stride)] * rank)]
        x = normalize(convolve(x, weights[f"{name}.downsample.0"][0]), weights[f"{name}.downsample.1"], epsilon)
    return relu(x + y)
