"""The forecaster's recurrence: ConvLSTM cells stepped over the frames seen, then over the model's own.

`Forecaster` is the loop and owns what turns frames into patches and back. What one step does is in a layer of its own,
`ConvLSTMStep` here or `MotionStep`; any layer with the same methods can stand in their place.
"""

import keras
from keras import ops


def gate(convolution, x, state):
    """One step of a ConvLSTM cell whose four gates come from one convolution over input and last output together.

    Args:
        convolution: Gives `4 * filters` channels: enter, forget, leave, value.
        x: Input `[B, h, w, C]`.
        state: The cell's last output and memory, `[B, h, w, filters]` each.

    Returns:
        The output, and the new state.

    Reference:
        X. Shi et al., "Convolutional LSTM network", NIPS 2015.
    """
    output, memory = state
    enter, forget, leave, value = ops.split(convolution(ops.concatenate([x, output], axis=-1)), 4, axis=-1)
    memory = ops.sigmoid(forget) * memory + ops.sigmoid(enter) * ops.tanh(value)
    output = ops.sigmoid(leave) * ops.tanh(memory)
    return output, (output, memory)


def open_forget_gates(convolution, filters: int) -> None:
    """Sets the bias of a new cell's forget gates to 1, or nothing is remembered at first."""
    convolution.bias.assign(ops.concatenate([ops.zeros(filters), ops.ones(filters), ops.zeros(2 * filters)]))


@keras.saving.register_keras_serializable(package="tfav")
class ConvLSTMStep(keras.layers.Layer):
    """One step of time: ConvLSTM cells on top of one another, and a convolution that draws the next frame.

    Args:
        filters: Channels of each cell.
        kernel_sizes: Side of each cell's kernel.
        patch_size: Pixels on a side of a patch.
    """

    def __init__(self, filters, kernel_sizes, patch_size, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_sizes, self.patch_size = tuple(filters), tuple(kernel_sizes), patch_size
        self.gates = [
            keras.layers.Conv2D(4 * count, size, padding="same", dtype=self.dtype_policy, name=f"gates_{number}")
            for number, (count, size) in enumerate(zip(self.filters, self.kernel_sizes, strict=True))
        ]

    def build(self, input_shape):
        """Builds the convolutions for frames `[B, H, W, C]`."""
        _, height, width, channels = input_shape
        place, depth = (None, height // self.patch_size, width // self.patch_size), channels * self.patch_size**2
        self.draw = keras.layers.Conv2D(depth, 1, dtype=self.dtype_policy, name="draw")
        for gates, count in zip(self.gates, self.filters, strict=True):
            gates.build((*place, depth + count))
            open_forget_gates(gates, count)
            depth = count
        self.draw.build((*place, depth))
        self.built = True

    def initial_states(self, batch, height, width):
        """Zeros: for each cell output and memory, `[B, h, w, filters]`."""
        place = (height // self.patch_size, width // self.patch_size)
        shapes = [(batch, *place, count) for count in self.filters]
        return [(ops.zeros(shape, self.compute_dtype), ops.zeros(shape, self.compute_dtype)) for shape in shapes]

    def call(self, patches, states):
        """`[B, h, w, C * p * p]` float32 and states to the next patches, float32, and new states."""
        x, new_states = ops.cast(patches, self.compute_dtype), []
        for gates, state in zip(self.gates, states, strict=True):
            x, state = gate(gates, x, state)
            new_states.append(state)
        return ops.cast(self.draw(x), "float32"), new_states

    def get_config(self):
        """The layer's settings."""
        settings = {"filters": self.filters, "kernel_sizes": self.kernel_sizes, "patch_size": self.patch_size}
        return {**super().get_config(), **settings}


@keras.saving.register_keras_serializable(package="tfav")
class Forecaster(keras.layers.Layer):
    """Sees `input_frames` frames and goes on for `output_frames`, each made from the one before.

    After the frames seen, its input is its own last output. In training a share of the true frames,
    `teacher_forcing_ratio`, takes its place, sequence by sequence and step by step (scheduled sampling); outside of
    training true frames beyond `input_frames` are never looked at, so they need not be there.

    Args:
        input_frames: Frames seen.
        output_frames: Frames predicted after them.
        one_step: Layer that makes the next frame: `ConvLSTMStep` or `MotionStep`.
        patch_size: Pixels on a side that become channels of one place.
        activation: Of the frames made: `"sigmoid"`, or `"linear"`.
        teacher_forcing_ratio: At the start of training; a callback moves it.
        seed: Of the scheduled sampling.
    """

    def __init__(
        self,
        input_frames,
        output_frames,
        one_step,
        patch_size=1,
        activation="sigmoid",
        teacher_forcing_ratio=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings = {
            "input_frames": input_frames,
            "output_frames": output_frames,
            "patch_size": patch_size,
            "activation": activation,
            "teacher_forcing_ratio": teacher_forcing_ratio,
            "seed": seed,
        }
        self.input_frames = input_frames
        self.output_frames = output_frames
        self.patch_size = patch_size
        self.one_step = one_step
        self.activation = keras.activations.get(activation)
        self.draws = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        """Builds the step."""
        batch, _, *frame = input_shape
        self.one_step.build((batch, *frame))
        self.teacher_forcing_ratio = self.add_weight(
            name="teacher_forcing_ratio",
            shape=(),
            initializer=keras.initializers.Constant(self.settings["teacher_forcing_ratio"]),
            trainable=False,
            dtype="float32",
            autocast=False,
        )
        self.built = True

    def initial_states(self, frame):
        """States before the first frame, for frames like `frame`, `[B, H, W, C]`."""
        batch, height, width = ops.shape(frame)[:3]
        return self.one_step.initial_states(batch, height, width)

    def step(self, frame, states):
        """One step of time: `frame` `[B, H, W, C]` float, 0-1, to the next one, float32, and new states."""
        patches, states = self.one_step(to_patches(ops.cast(frame, "float32"), self.patch_size), states)
        return self.activation(to_frame(patches, self.patch_size)), states

    def call(self, frames, training=False):
        """`[B, T, H, W, C]` to what follows each frame but the last, `[B, input + output - 1, H, W, C]` float32.

        `T` is `input_frames` or, in training, `input_frames + output_frames`.
        """
        states = self.initial_states(frames[:, 0])
        made = []
        for number in range(self.input_frames + self.output_frames - 1):
            if number < self.input_frames:
                frame = frames[:, number]
            elif training:
                frame = self._sample(frames[:, number], made[-1])
            else:
                frame = made[-1]
            next_frame, states = self.step(frame, states)
            made.append(next_frame)
        return ops.stack(made, axis=1)

    def _sample(self, true, own):
        drawn = keras.random.uniform((ops.shape(true)[0], 1, 1, 1), seed=self.draws)
        return ops.where(drawn < self.teacher_forcing_ratio, ops.cast(true, own.dtype), own)

    def compute_output_shape(self, input_shape):
        """`(B, T, H, W, C)` to `(B, input + output - 1, H, W, C)`."""
        return (input_shape[0], self.input_frames + self.output_frames - 1, *input_shape[2:])

    def get_config(self):
        """The layer's settings."""
        step = keras.saving.serialize_keras_object(self.one_step)
        return {**super().get_config(), **self.settings, "one_step": step}

    @classmethod
    def from_config(cls, config):
        """The layer of such settings."""
        # Built by `build`, in this layer's name scope, or its weights would have other paths than in a new model.
        step = {key: value for key, value in config["one_step"].items() if key != "build_config"}
        return cls(**{**config, "one_step": keras.saving.deserialize_keras_object(step)})


def to_patches(frame, size):
    """`[B, H, W, C]` to `[B, H / size, W / size, size * size * C]`."""
    if size == 1:
        return frame
    height, width, channels = frame.shape[1:]
    frame = ops.reshape(frame, (-1, height // size, size, width // size, size, channels))
    frame = ops.transpose(frame, (0, 1, 3, 2, 4, 5))
    return ops.reshape(frame, (-1, height // size, width // size, size * size * channels))


def to_frame(patches, size):
    """The way back of `to_patches`."""
    if size == 1:
        return patches
    height, width, channels = patches.shape[1:]
    channels //= size * size
    frame = ops.reshape(patches, (-1, height, width, size, size, channels))
    frame = ops.transpose(frame, (0, 1, 3, 2, 4, 5))
    return ops.reshape(frame, (-1, height * size, width * size, channels))
