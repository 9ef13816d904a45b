"""Made clips with known answers: each frame carries its own number in black and white blocks."""

from fractions import Fraction

import av
import numpy as np

BITS = 10
_BLOCK = 16


def draw_number(number: int, height: int = 48, width: int = 176) -> np.ndarray:
    """Return `[H, W, 3]` uint8: the number's bits as 16-pixel blocks along the top, the top left corner red below."""
    frame = np.full((height, width, 3), 128, np.uint8)
    for bit in range(BITS):
        frame[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = 255 * (number >> bit & 1)
    frame[_BLOCK : 2 * _BLOCK, :_BLOCK] = (255, 0, 0)
    return frame


def read_number(frame: np.ndarray) -> int:
    """Return the number drawn into a frame, which may have gone through a lossy codec."""
    centres = frame[_BLOCK // 2, _BLOCK // 2 : BITS * _BLOCK : _BLOCK, 1]
    return sum(int(value > 127) << bit for bit, value in enumerate(centres))


def read_numbers(frames) -> list[int]:
    """Return the number drawn into each frame."""
    return [read_number(frame) for frame in frames]


def write_clip(
    path,
    num_frames: int = 30,
    *,
    fps=25,
    codec: str = "mpeg4",
    times_ms: list[int] | None = None,
    rotation: float = 0,
    size: tuple[int, int] = (48, 176),
    audio: bool = False,
    format: str | None = None,
    options: dict | None = None,
    pix_fmt: str = "yuv420p",
) -> None:
    """Write a clip of numbered frames.

    Args:
        path: The file; its suffix is the container unless `format` is given.
        num_frames: How many.
        fps: The rate the container states.
        codec: libav's name of the encoder.
        times_ms: Time of each frame in milliseconds, for a variable rate.
        rotation: Degrees anticlockwise stored as the display rotation.
        size: `(height, width)`.
        audio: Add a sound stream of silence.
        format: libav's name of the container.
        options: For the container.
        pix_fmt: Of the stored picture.
    """
    with av.open(str(path), "w", format=format, options=options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        stream.bit_rate = 2_000_000
        stream.gop_size = 12
        if times_ms is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        sound = container.add_stream("aac", rate=16000) if audio else None
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(draw_number(number, *size), format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            for start in range(0, int(16000 * num_frames / fps), 1024):
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                samples.sample_rate, samples.pts = 16000, start
                container.mux(sound.encode(samples))
            container.mux(sound.encode())
