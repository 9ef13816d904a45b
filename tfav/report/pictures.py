"""Pictures as text, to stand inside the page, and as a notebook shows them."""

import base64
import io

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfav.io.images import resize
from tfav.io.sampling import indices_evenly

_GAP = 4
_FONT_SIZE = 14


def png(picture: np.ndarray) -> bytes:
    """`[H, W, 3]` or `[H, W]` uint8 as the content of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def data_url(content: bytes, kind: str) -> str:
    """A `data:` address of an image file; `kind` is `png` or `gif`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


class Picture:
    """A picture that a notebook shows where it is the last thing in a cell.

    Attributes:
        pixels: `[H, W, 3]` uint8 RGB.
    """

    def __init__(self, pixels: np.ndarray):
        self.pixels = pixels

    def _repr_png_(self) -> bytes:
        return png(self.pixels)


def films(rows: dict[str, np.ndarray], *, columns: int = 8, width: int = 112) -> Picture:
    """Videos as strips of frames below one another, each with its name.

    Args:
        rows: Name to `[T, H, W, C]` or `[T, H, W]`, uint8, or float 0-1.
        columns: Frames of each, evenly over its length.
        width: Of a frame, in pixels.
    """
    strips = []
    font = ImageFont.load_default(_FONT_SIZE)
    for name, frames in rows.items():
        frames = np.asarray(frames)
        tiles = [_tile(frames[index], width) for index in indices_evenly(len(frames), columns)]
        height = tiles[0].shape[0]
        strip = np.full((height + _FONT_SIZE + 3 * _GAP, columns * (width + _GAP) - _GAP, 3), 255, np.uint8)
        for number, tile in enumerate(tiles):
            left = number * (width + _GAP)
            strip[-height:, left : left + width] = tile
        image = Image.fromarray(strip)
        ImageDraw.Draw(image).text((0, _GAP), name, fill=(28, 39, 51), font=font)
        strips.append(np.asarray(image))
    return Picture(np.concatenate(strips))


def _tile(frame: np.ndarray, width: int) -> np.ndarray:
    if frame.dtype != np.uint8:
        frame = np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8)
    frame = frame[..., 0] if frame.ndim == 3 and frame.shape[-1] == 1 else frame
    frame = np.repeat(frame[..., None], 3, axis=-1) if frame.ndim == 2 else frame
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    return resize(frame, height, width, growing=cv2.INTER_NEAREST)
