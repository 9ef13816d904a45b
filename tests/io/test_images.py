"""Pictures with known corners in every orientation and format, whole and cut; one way to resize."""

import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tfav.errors import MediaError
from tfav.io import images

FORMATS = ("jpg", "png", "webp")


def made_picture(height=32, width=48):
    """`[height, width, 3]` uint8: another colour in each corner, so that no two orientations look alike."""
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 200, 60)
    picture[height // 2 :, : width // 2] = (40, 60, 230)
    return picture


def save(path, picture, orientation=None, **options):
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
        options["exif"] = exif
    if path.suffix != ".png" and path.suffix != ".bmp":
        options["quality"] = 95
    if path.suffix == ".jpg":
        options["subsampling"] = 0
    Image.fromarray(picture).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_upright(tmp_path, suffix, orientation):
    path = save(tmp_path / f"é a.{suffix}", made_picture(), orientation)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB")).astype(int)
    assert images.inspect_picture(path).orientation == orientation
    assert images.inspect_picture(path).upright_size == shown.shape[:2]
    assert np.abs(images.read_picture(path) - shown).max() < 24 and shown.std() > 60


def test_the_eight_orientations_are_exifs():
    picture = np.arange(6).reshape(2, 3)
    expected = {
        1: [[0, 1, 2], [3, 4, 5]],
        2: [[2, 1, 0], [5, 4, 3]],
        3: [[5, 4, 3], [2, 1, 0]],
        4: [[3, 4, 5], [0, 1, 2]],
        5: [[0, 3], [1, 4], [2, 5]],
        6: [[3, 0], [4, 1], [5, 2]],
        7: [[5, 2], [4, 1], [3, 0]],
        8: [[2, 5], [1, 4], [0, 3]],
    }
    assert {number: images.turn_upright(picture, number).tolist() for number in expected} == expected


@pytest.mark.parametrize("suffix", (*FORMATS, "bmp"))
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_cut_picture_is_an_error_that_names_it(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = save(tmp_path / f"cut.{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    for look in (images.inspect_picture, images.read_picture):
        with pytest.raises(MediaError, match=rf"cut\.{suffix}: (an image that is cut short|not a readable image)"):
            look(path)


def test_the_lost_end_of_a_jpeg_filled_with_zeros_is_noticed(tmp_path):
    path = save(tmp_path / "a.jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8), 6)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    with pytest.raises(MediaError, match="cut short"):
        images.read_picture(path)


@pytest.mark.parametrize("behind", [b"\0" * 100, b"SEFT maker's own", b"\xff\xd8\xff\xe1 a second picture"])
def test_what_cameras_write_behind_the_end_is_no_damage(tmp_path, behind):
    path = save(tmp_path / "a.jpg", made_picture(), 3)
    whole = images.read_picture(path)
    path.write_bytes(path.read_bytes() + behind)
    assert np.array_equal(images.read_picture(path), whole)


def test_a_spoilt_exif_is_upright(tmp_path):
    path = save(tmp_path / "a.jpg", made_picture(), 6)
    data = path.read_bytes()
    for spoilt in (data.replace(b"MM\0*", b"XX\0*"), data.replace(b"MM\0*\0\0\0\x08", b"MM\0*\xff\0\0\x08")):
        assert spoilt != data
        path.write_bytes(spoilt)
        assert images.inspect_picture(path).orientation == 1


def test_resizing_is_the_mean_over_areas_where_it_shrinks_and_linear_where_it_grows():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (40, 60, 3), np.uint8)
    halves = picture.reshape(20, 2, 30, 2, 3).mean((1, 3))
    assert np.abs(images.resize(picture, 20, 30) - halves).max() <= 0.5
    grown = cv2.resize(picture, (120, 80), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(images.resize(picture, 80, 120), grown)
    mixed = images.resize(picture, 80, 30)  # shrinks one way, grows the other
    across = picture.reshape(40, 30, 2, 3).mean(2)
    assert np.abs(mixed[20:60:2] - (0.25 * across[9:29] + 0.75 * across[10:30])).max() <= 1.5
    assert images.resize(picture[..., :1], 20, 30).shape == (20, 30, 1)
    assert images.resize(picture[..., 0], 20, 30).shape == (20, 30)


def test_shrinking_goes_by_the_shorter_side_and_never_enlarges():
    picture = np.zeros((300, 400, 3), np.uint8)
    assert images.shrink(picture, 150).shape == (150, 200, 3)
    assert images.shrink(picture, 300) is images.shrink(picture, 0) is picture
    assert images.shrink(np.zeros((2, 2000), np.uint8), 1).shape == (1, 1000)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["short", "long"])
def test_the_orientation_may_be_any_entry_in_either_byte_order(tmp_path, order, kind):
    """A directory by hand, behind a gap, the orientation between two other tags."""
    entries = [(0x010F, 3, 7), (0x0112, 3 if kind == "short" else 4, 6), (0x0128, 3, 2)]
    body = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 12) + bytes(4)
    body += struct.pack(order + "H", len(entries))
    for tag, code, value in entries:
        packed = struct.pack(order + "H", value) + bytes(2) if code == 3 else struct.pack(order + "I", value)
        body += struct.pack(order + "HHI", tag, code, 1) + packed
    exif = b"Exif\0\0" + body + bytes(4)
    data = save(tmp_path / "plain.jpg", made_picture()).read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    assert images.inspect_picture(tmp_path / "a.jpg").orientation == 6
    # The last entry is cut off, the one before it is not; or that one, whole, is the end of all.
    for cut in (4, 12):
        short = b"Exif\0\0" + body[:-cut]
        (tmp_path / "b.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(short) + 2) + short + data[2:])
        assert images.inspect_picture(tmp_path / "b.jpg").orientation == 6


def test_markers_of_a_jpeg_are_walked_over(tmp_path):
    """Comments and filling bytes in front; the size stands where it always does."""
    data = save(tmp_path / "plain.jpg", made_picture(20, 30), 3).read_bytes()
    comment = b"\xff\xfe" + struct.pack(">H", 7) + b"hello"
    for front in (comment, comment * 3, b"\xff" + comment, b"\xff\xff" + comment):
        (tmp_path / "a.jpg").write_bytes(data[:2] + front + data[2:])
        assert images.inspect_picture(tmp_path / "a.jpg") == images.PictureHeader(30, 20, 3)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1", "LA"])
def test_every_kind_of_pixel_reads_as_opencv_reads_it(tmp_path, mode):
    rows, columns = np.mgrid[:40, :60]
    if mode == "I;16":
        picture, path = Image.fromarray((1000 * rows + 13 * columns).astype(np.uint16)), tmp_path / "a.png"
    else:
        picture = Image.fromarray(made_picture(40, 60)).convert(mode)
        path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    picture.save(path)
    expected = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(int)
    assert np.abs(images.read_picture(path) - expected).max() <= 1
