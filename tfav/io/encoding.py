"""RGB arrays to video files: H.264 in MP4 that plays in a browser, and GIF."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np

from tfav.errors import MediaError, UsageError
from tfav.io.atomic_write import partial_file
from tfav.old_packages import import_skvideo

_BT709 = 1  # libav's number for the HD colour matrix, primaries and transfer


def write_video(
    path,
    frames: Iterable[np.ndarray],
    fps: float,
    *,
    crf: int = 18,
    preset: str = "veryfast",
    sound: np.ndarray | None = None,
    sample_rate: int = 16000,
) -> Path:
    """Write H.264 (4:2:0) in MP4, with its index in front, so that browsers play it while it loads.

    The file is written beside and renamed in; an error leaves nothing behind.

    Args:
        path: The file, ending in .mp4, .m4v or .mov.
        frames: `[T, H, W, 3]` uint8 RGB, or any iterable of such frames, which may be a generator. An odd width or
            height, which 4:2:0 cannot hold, is padded by repeating the last column or row.
        fps: Frames per second.
        crf: Quality, 0 (best) to 51; 18 is hard to tell from the source.
        preset: x264's name for effort.
        sound: `[S]` float32 mono, -1 to 1, that begins with the first frame; written as AAC. None: no sound.
        sample_rate: Samples per second of `sound`.

    Returns:
        The path.

    Raises:
        UsageError: No frames, frames of a wrong shape or type, sound that is none, or a rate that is not positive.
        MediaError: The file cannot be written.
        DiskFullError: No space was left.
    """
    path = Path(path)
    rate = _rate(fps)
    if sound is not None and (sound.ndim != 1 or not len(sound) or sound.dtype.kind != "f" or sample_rate < 1):
        raise UsageError(
            f"{path}: sound must be [S] float. Received: shape={sound.shape}, dtype={sound.dtype}, rate={sample_rate}"
        )
    if path.suffix.lower() not in (".mp4", ".m4v", ".mov"):
        raise UsageError(f"{path}: video is written as .mp4, .m4v or .mov; choose such a name.")
    try:
        with partial_file(path) as partial:
            _encode_h264(path, partial, frames, rate, crf, preset, sound, sample_rate)
    except (OSError, av.error.FFmpegError) as error:
        raise MediaError(path, f"cannot be written ({error})", "Check the folder and its permissions.") from error
    return path


def write_gif(path, frames: Iterable[np.ndarray], fps: float) -> Path:
    """Write an animated GIF that plays over and over, beside and renamed in.

    Args:
        path: The file, ending in .gif.
        frames: `[T, H, W, 3]` uint8 RGB or `[T, H, W]` uint8 grey, or an iterable of such frames.
        fps: Frames per second; GIF counts in 1/100 s, and browsers slow down anything over 50.

    Returns:
        The path.

    Raises:
        UsageError: No frames, frames of a wrong shape or type, or a rate that is not positive.
        MediaError: The file cannot be written.
        DiskFullError: No space was left.
    """
    path = Path(path)
    duration_ms = max(20, round(1000 / float(_rate(fps))))
    pictures = list(frames)
    for frame in pictures:
        _check_frame(path, frame, grey_too=True)
        _check_alike(path, frame, pictures[0].shape)
    if not pictures:
        raise UsageError(f"{path}: there are no frames to write.")
    try:
        # Each frame gets a palette of its own, without dithering, which would crawl.
        with partial_file(path) as partial:
            iio.imwrite(
                partial, np.stack(pictures), plugin="pillow", is_batch=True, duration=duration_ms, disposal=1, loop=0
            )
    except OSError as error:
        raise MediaError(path, f"cannot be written ({error})", "Check the folder and its permissions.") from error
    return path


def open_ffmpeg_writer(path, fps: float, *, crf: int = 18):
    """scikit-video's `FFmpegWriter`, as the course notebooks use it, on the ffmpeg program of imageio-ffmpeg.

    `write_video` writes whole files only and needs no program; this one takes frames as they come.

    Args:
        path: The file, in a folder that is there.
        fps: Frames per second.
        crf: As in `write_video`.

    Returns:
        A context manager with `writeFrame(frame)`, for frames `[H, W, 3]` uint8 RGB of even sides, and `close()`.

    Raises:
        UsageError: A rate that is not positive.
    """
    ffmpeg, program = import_skvideo("io.ffmpeg"), Path(imageio_ffmpeg.get_ffmpeg_exe())
    # It looks for a program of this name in `PATH` alone, and only where ffprobe lies beside it.
    ffmpeg._FFMPEG_PATH, ffmpeg._FFMPEG_APPLICATION, ffmpeg._HAS_FFMPEG = str(program.parent), program.name, 1
    ffmpeg._FFMPEG_SUPPORTED_ENCODERS = [Path(path).suffix.lower().encode()]
    rate = str(_rate(fps))
    options = {"-c:v": "libx264", "-pix_fmt": "yuv420p", "-crf": str(crf), "-r": rate}
    return ffmpeg.FFmpegWriter(str(path), inputdict={"-r": rate}, outputdict=options)


def _encode_h264(path: Path, partial: Path, frames, rate: Fraction, crf, preset, sound, sample_rate) -> None:
    shape = None
    with av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        for frame in frames:
            if shape is None:
                shape = _check_frame(path, frame)
                stream = _add_h264(container, shape, rate, crf, preset)
                if sound is not None:  # both streams must be known before the first packet; the muxer interleaves them
                    _write_aac(container, sound, sample_rate)
            else:
                _check_alike(path, frame, shape)
            container.mux(stream.encode(_to_yuv(frame)))
        if shape is None:
            raise UsageError(f"{path}: there are no frames to write.")
        container.mux(stream.encode())


def _rate(fps) -> Fraction:
    if not 0 < fps < 100_000:
        raise UsageError(f"The frame rate must be positive. Received: fps={fps}")
    return Fraction(fps).limit_denominator(1001)  # 29.97... becomes 30000/1001


def _check_frame(path: Path, frame, grey_too: bool = False) -> tuple[int, ...]:
    frame_shape = getattr(frame, "shape", None)
    colour = frame_shape is not None and len(frame_shape) == 3 and frame_shape[-1] == 3
    grey = grey_too and frame_shape is not None and len(frame_shape) == 2
    if not (colour or grey) or frame.dtype != np.uint8 or 0 in frame_shape:
        raise UsageError(
            f"{path}: each frame must be an array [H, W, 3], uint8, RGB. "
            f"Received: {type(frame).__name__}, shape={frame_shape}, dtype={getattr(frame, 'dtype', None)}"
        )
    return frame_shape


def _check_alike(path: Path, frame: np.ndarray, shape: tuple[int, ...]) -> None:
    if frame.shape != shape or frame.dtype != np.uint8:
        got = f"{frame.dtype} {frame.shape}"
        raise UsageError(f"{path}: all frames must be uint8 {shape}, as the first. Received: {got}")


def _add_h264(container, shape, rate: Fraction, crf: int, preset: str):
    # Without x264's macroblock tree: it reads what it never wrote, and makes another file of small pictures each time.
    options = {"crf": str(crf), "preset": preset, "mbtree": "0"}
    stream = container.add_stream("libx264", rate=rate, options=options)
    height, width = shape[:2]
    stream.width, stream.height = width + width % 2, height + height % 2
    stream.pix_fmt = "yuv420p"
    # Said and done in BT.709: without the label a browser guesses the colours from the size of the picture.
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = 1
    return stream


def _write_aac(container, sound: np.ndarray, sample_rate: int) -> None:
    stream = container.add_stream("aac", rate=sample_rate, layout="mono", options={"b": "96k"})
    samples = np.ascontiguousarray(np.clip(sound, -1, 1), np.float32)[None]
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate, frame.pts = sample_rate, 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _to_yuv(frame: np.ndarray):
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation="BICUBIC"
    )
