"""Many small pictures on one, each with its name under it: whether they show what they should is seen at a glance."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tfav.errors import UsageError
from tfav.io.atomic_write import partial_file
from tfav.io.images import resize, write_picture
from tfav.io.text_files import shown

_CAPTION_PX = 12
_GAP_PX = 2
_MAX_COLUMNS = 12


def write_contact_sheet(path: Path | str, pictures: Sequence[np.ndarray], captions: Sequence[str]) -> Path:
    """Write a PNG.

    Args:
        path: Where.
        pictures: `[H, W]` uint8 grey or `[H, W, 3]` uint8 RGB each; brought to the first one's size.
        captions: One each.

    Returns:
        The path.

    Raises:
        UsageError: No pictures, or another number of captions.
        MediaError: The picture cannot be written.
    """
    if not len(pictures) or len(pictures) != len(captions):
        raise UsageError(f"need as many captions as pictures. Received: {len(captions)} and {len(pictures)}")
    height, width = pictures[0].shape[:2]
    cell_height, cell_width = height + _CAPTION_PX + _GAP_PX, width + _GAP_PX
    columns = min(_MAX_COLUMNS, len(pictures))
    sheet = np.full((-(-len(pictures) // columns) * cell_height, columns * cell_width, 3), 255, np.uint8)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        top, left = number // columns * cell_height, number % columns * cell_width
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        if picture.shape[:2] != (height, width):
            picture = resize(picture, height, width)
        cell = sheet[top : top + cell_height, left : left + cell_width]
        cell[:height, :width] = picture
        band = np.ascontiguousarray(cell[height:])
        cv2.putText(band, shown(caption), (1, 9), cv2.FONT_HERSHEY_PLAIN, 0.7, (0, 0, 0), 1, cv2.LINE_AA)
        cell[height:] = band
    with partial_file(path) as partial:
        write_picture(partial, sheet)
    return Path(path)
