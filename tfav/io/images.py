"""Still pictures: whole and upright, and one way to resize for training, prediction and `tfav prepare`.

Cameras store a picture as the sensor saw it and note in EXIF how it is held; OpenCV turns it, TensorFlow does not.
Decoders also fill what is missing of a file that was cut short with grey, some of them in silence. So both are looked
up here, in the file's own structure: 30 us for a JPEG.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import cv2
import imageio.v3 as iio
import numpy as np
from PIL import Image

from tfav.errors import MediaError

_REMEDY = "Replace it with a fresh copy, or extract the frames of its folder again."
_EXIF = b"Exif\0\0"
_ORIENTATION_TAG = 0x0112
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG markers of a frame header


class PictureHeader(NamedTuple):
    """`width` and `height` as stored, in pixels; `orientation` as in EXIF, 1 (upright) to 8."""

    width: int
    height: int
    orientation: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width as shown."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def inspect_picture(path) -> PictureHeader:
    """Find out size and orientation of a picture, and make sure that its end is there, without decoding it.

    Raises:
        MediaError: It cannot be read, is no picture, or is cut short.
    """
    path = Path(path)
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(32)
            if head[:3] == b"\xff\xd8\xff":
                header = _inspect_jpeg(file, size_bytes)
            elif head[:8] == b"\x89PNG\r\n\x1a\n":
                header = _inspect_png(file, size_bytes)
            else:
                header = _inspect_other(path, file, head, size_bytes)
    except FileNotFoundError as error:
        raise MediaError(path, "no such file", "Check the spelling.") from error
    except (OSError, struct.error, Image.DecompressionBombError) as error:  # UnidentifiedImageError is an OSError
        raise MediaError(path, "not a readable image", _REMEDY) from error
    if header is None:
        raise MediaError(path, "an image that is cut short: its end is missing", _REMEDY)
    return header


def read_picture(path) -> np.ndarray:
    """Decode a picture.

    Args:
        path: JPEG, PNG, WebP or BMP.

    Returns:
        `[H, W, 3]` uint8 RGB, 0-255, upright as EXIF says.

    Raises:
        MediaError: It cannot be read, is no picture, or is cut short.
    """
    header = inspect_picture(path)
    try:
        with iio.imopen(path, "r", plugin="pillow") as file:
            if file.properties().dtype in (np.uint16, np.int32):  # grey of 16 bits, which Pillow would cut off at 255
                picture = np.repeat((file.read() >> 8).astype(np.uint8)[..., None], 3, axis=2)
            else:
                picture = file.read(mode="RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(path, "not a readable image", _REMEDY) from error
    return turn_upright(picture, header.orientation)


def write_picture(path, picture: np.ndarray, *, quality: int = 95) -> None:
    """Encode a picture as JPEG or PNG, by the suffix of `path`.

    Args:
        path: The file, which is not written beside and renamed in: folders of pictures are.
        picture: `[H, W]` grey or `[H, W, 3]` RGB, uint8.
        quality: Of a JPEG, 1-100.

    Raises:
        MediaError: It cannot be stored so, since JPEG has no side above 65,500 pixels.
        OSError: It cannot be written.
    """
    height, width = picture.shape[:2]
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    suffix = Path(path).suffix
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    encoded, data = cv2.imencode(suffix, stored, options)
    if not encoded:
        raise MediaError(path, f"a picture of {width}x{height} cannot be stored as {suffix}", "Give a smaller size.")
    Path(path).write_bytes(data)  # and not cv2.imwrite, which stays silent on a full disk


def turn_upright(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an EXIF orientation.

    Args:
        picture: `[H, W, ...]` as stored.
        orientation: 1 to 8: 1 as it is, 2 flip horizontally, 3 half a turn, 4 flip vertically, 5 transpose, 6 a quarter
            turn clockwise, 7 transpose and half a turn, 8 a quarter turn anticlockwise.

    Returns:
        As shown; heights and widths change places from 5 on.
    """
    transposed, flipped, mirrored = orientation_steps(orientation)
    if transposed:
        picture = picture.swapaxes(0, 1)
    picture = picture[:: -1 if flipped else 1, :: -1 if mirrored else 1]
    return np.ascontiguousarray(picture)


def orientation_steps(orientation: int) -> tuple[bool, bool, bool]:
    """What undoes an EXIF orientation: first transpose, then flip rows, then flip columns."""
    return orientation >= 5, orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)


def resize(picture: np.ndarray, height: int, width: int, *, growing: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Stretch a picture to a size: the mean over areas along a side that shrinks, linear along one that grows.

    `tfav.data.pipeline.decode_frames` does the same as TensorFlow operations, so that training and prediction see the
    same pixels.

    Args:
        picture: `[H, W]` or `[H, W, C]` uint8 or float32.
        height: Wanted, in pixels.
        width: Wanted, in pixels.
        growing: OpenCV's interpolation along a side that grows: `INTER_NEAREST` shows pixels, `INTER_CUBIC` is smooth.

    Returns:
        `[height, width]` or `[height, width, C]`, of the same type.
    """
    small = min(picture.shape[0], height), min(picture.shape[1], width)
    for size, interpolation in ((small, cv2.INTER_AREA), ((height, width), growing)):
        if picture.shape[:2] != size:
            resized = cv2.resize(picture, size[::-1], interpolation=interpolation)
            picture = resized.reshape(*size, *picture.shape[2:])  # OpenCV drops a single channel
    return picture


def shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """Shrink a picture in proportion until its shorter side has at most so many pixels; 0 leaves it as it is."""
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    if not side or scale >= 1:
        return picture
    return resize(picture, round(height * scale), round(width * scale))


def _inspect_jpeg(file, size_bytes: int) -> PictureHeader | None:
    """None where it is cut short. Walks over the markers up to the first scan."""
    place, size, orientation = 2, None, 1
    while True:
        file.seek(place)
        marker, length = struct.unpack(">HH", _take(file, 4))
        if marker >> 8 != 0xFF:
            raise OSError("no marker where one must be")
        if marker == 0xFFFF:  # filling
            place += 1
            continue
        code = marker & 0xFF
        if code in _SIZES:
            size = struct.unpack(">xHH", _take(file, 5))
        elif code == 0xE1 and orientation == 1 and file.read(len(_EXIF)) == _EXIF:
            orientation = _orientation_of(file.read(length - 2 - len(_EXIF)))
        elif code == 0xDA:
            break
        place += 2 + length
    if size is None:
        raise OSError("no size in it")
    file.seek(size_bytes - 2)
    if file.read(2) != b"\xff\xd9":  # cameras write other things behind the mark of the end, so it is looked for
        file.seek(place)
        if b"\xff\xd9" not in file.read():
            return None
    return PictureHeader(size[1], size[0], orientation)


def _inspect_png(file, size_bytes: int) -> PictureHeader | None:
    file.seek(16)
    width, height = struct.unpack(">II", _take(file, 8))
    place, orientation = 8, 1
    while place + 12 <= size_bytes:
        file.seek(place)
        length, name = struct.unpack(">I4s", _take(file, 8))
        if name == b"IEND":
            return PictureHeader(width, height, orientation)
        if name == b"eXIf":
            orientation = _orientation_of(file.read(length))
        place += 12 + length
    return None


def _inspect_other(path: Path, file, head: bytes, size_bytes: int) -> PictureHeader | None:
    with Image.open(path) as image:  # reads the header
        width, height = image.size
        kind = image.format
    orientation = 1
    if kind == "WEBP":
        end = 8 + int.from_bytes(head[4:8], "little")
        if end > size_bytes:
            return None
        place = 12
        while place + 8 <= end:
            file.seek(place)
            name, length = struct.unpack("<4sI", _take(file, 8))
            if name == b"EXIF":
                orientation = _orientation_of(file.read(length).removeprefix(_EXIF))
            place += 8 + length + length % 2
    elif kind == "BMP":
        start, bits, packing = int.from_bytes(head[10:14], "little"), int.from_bytes(head[28:30], "little"), head[30]
        if not packing and start + (width * bits + 31) // 32 * 4 * height > size_bytes:
            return None
    return PictureHeader(width, height, orientation)


def _orientation_of(exif: bytes) -> int:
    """The orientation in a TIFF header and its first directory, 1 where it is not told."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    (place,) = struct.unpack_from(order + "I", exif, 4)
    if place + 2 > len(exif):
        return 1
    (count,) = struct.unpack_from(order + "H", exif, place)
    for number in range(count):
        entry = place + 2 + 12 * number
        if entry + 12 > len(exif):
            break
        tag, kind = struct.unpack_from(order + "HH", exif, entry)
        if tag == _ORIENTATION_TAG:
            (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), exif, entry + 8)
            return value if 1 <= value <= 8 else 1
    return 1


def _take(file, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise OSError("the file ends in its header")
    return data
