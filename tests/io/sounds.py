"""Made files with sound, and pictures where wanted."""

from fractions import Fraction

import av
import numpy as np


def write_sound(path, samples, rate, *, layout="mono", codec="pcm_s16le", start_sec=0.0, frames=None):
    """Writes a file.

    Args:
        path: The file; its suffix is the container.
        samples: `[S]` or `[C, S]`, -1 to 1.
        rate: Samples per second.
        layout: libav's name of the channels.
        codec: libav's name of the sound's encoder.
        start_sec: When the sound begins.
        frames: `[T, H, W, 3]` uint8, pictures at 25 a second from 0 on; None: none.

    Returns:
        The path.
    """
    samples = np.atleast_2d(samples)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        if frames is not None:
            video = container.add_stream("mpeg4", rate=25)
            video.height, video.width = frames.shape[1:3]
            video.bit_rate = 4_000_000
        sound = container.add_stream(codec, rate=rate, layout=layout)
        for number, picture in enumerate(() if frames is None else frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        if frames is not None:
            container.mux(video.encode())
        size = sound.codec_context.frame_size or 1024
        for start in range(0, samples.shape[1], size):
            part = np.ascontiguousarray(samples[:, start : start + size], np.float32)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = start + round(start_sec * rate)
            for ready in av.AudioResampler(format=sound.format, layout=layout, rate=rate).resample(frame):
                ready.pts = frame.pts
                container.mux(sound.encode(ready))
        container.mux(sound.encode())
    return path
