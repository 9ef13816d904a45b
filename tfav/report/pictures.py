"""Pictures as text, to stand inside the page."""

import base64
import io

import numpy as np
from PIL import Image


def png(picture: np.ndarray) -> bytes:
    """`[H, W, 3]` or `[H, W]` uint8 as the content of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def data_url(content: bytes, kind: str) -> str:
    """A `data:` address of an image file; `kind` is `png` or `gif`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
