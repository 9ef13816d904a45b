"""Sizes of the network, by name.

Other sizes are a line: `NETWORKS["mine"] = dataclasses.replace(NETWORKS["cpu"], rnn_units=64)`.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """Sizes and parts of the network; see `NETWORKS`.

    Attributes:
        audio_kernel: Of the first convolution over the waveform, in samples.
        audio_stride: Its step, in samples.
        audio_widths: Channels of each stage of the residual network over the waveform; the first convolution has as
            many as the first stage.
        audio_blocks: Blocks of each stage.
        audio_strides: Step of each stage's first block.
        audio_dim: Features per frame that its front end gives.
        filterbank: Begin the first convolution as a bank of filters, spaced as the ear's, rather than at random.
        envelope: The first convolution has its filters in pairs, and gives the root of the sum of their squares: how
            strong each frequency is, whatever its phase.
        compress: After the first convolution `x` becomes `sign(x) log(1 + compress |x|)`, so that faint consonants
            count beside loud vowels; 0: it stays as it is.
        video_kernel: Of the first convolution over the pictures: frames, rows, columns.
        video_widths: Channels of each stage of the residual network over the pictures.
        video_blocks: Blocks of each stage.
        video_pool: Side of the average over its last map; 1 keeps every place of it.
        video_dim: Features per frame that its front end gives.
        rnn_units: Of each direction of each recurrent layer, in both streams and in the fusion.
        step_bias: The last layer of a front end has a bias for each step of the window: what comes after knows which
            frames are in the middle.
        gates: The fusion only weighs the streams: it tells from their features how much each counts at each step, and
            sums up what they say, beginning with as much of either. Else it has recurrent layers and words of its own.
    """

    audio_kernel: int
    audio_stride: int
    audio_widths: tuple[int, int, int, int]
    audio_blocks: tuple[int, int, int, int]
    audio_strides: tuple[int, int, int, int]
    audio_dim: int
    filterbank: bool
    envelope: bool
    compress: float
    video_kernel: tuple[int, int, int]
    video_widths: tuple[int, int, int, int]
    video_blocks: tuple[int, int, int, int]
    video_pool: int
    video_dim: int
    rnn_units: int
    step_bias: bool
    gates: bool


_CPU = Network(
    audio_kernel=256,
    audio_stride=16,
    audio_widths=(64, 64, 96, 128),
    audio_blocks=(1, 1, 1, 1),
    audio_strides=(2, 1, 1, 1),
    audio_dim=192,
    filterbank=True,
    envelope=True,
    compress=100.0,
    video_kernel=(5, 5, 5),
    video_widths=(24, 48, 64, 96),
    video_blocks=(1, 1, 1, 1),
    video_pool=1,
    video_dim=192,
    rnn_units=128,
    step_bias=True,
    gates=True,
)
NETWORKS = {
    # Petridis et al., 2018: ResNet-18 in one dimension, ResNet-34, GRUs of 512.
    "paper": Network(
        audio_kernel=80,
        audio_stride=4,
        audio_widths=(64, 128, 256, 512),
        audio_blocks=(2, 2, 2, 2),
        audio_strides=(1, 2, 2, 2),
        audio_dim=512,
        filterbank=False,
        envelope=False,
        compress=0.0,
        video_kernel=(5, 7, 7),
        video_widths=(64, 128, 256, 512),
        video_blocks=(3, 4, 6, 3),
        video_pool=2,
        video_dim=256,
        rnn_units=512,
        step_bias=False,
        gates=False,
    ),
    "cpu": _CPU,
    "demo": dataclasses.replace(
        _CPU,
        audio_kernel=64,
        audio_widths=(8, 8, 16, 16),
        audio_strides=(1, 2, 1, 1),
        audio_dim=24,
        envelope=False,
        video_kernel=(3, 3, 3),
        video_widths=(8, 8, 16, 16),
        video_dim=24,
        rnn_units=16,
        gates=False,
    ),
}
