"""Made uploads, good and bad."""

import numpy as np
import pytest

from tfav.io.encoding import write_gif, write_video


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A video of 2 s, 64 x 48."""
    frames = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3)).astype(np.uint8)
    return write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", frames, 10)


@pytest.fixture(scope="session")
def bad_files(tmp_path_factory, clip):
    """Files that a person may drop on the page, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("bad")
    still = np.zeros((1, 32, 32, 3), np.uint8)
    files = {
        "empty": folder / "empty.mp4",
        "text": folder / "notes.mp4",
        "playlist": folder / "list.mp4",
        "picture": folder / "picture.mp4",
        "header": folder / "header.mp4",
        "noise": folder / "noise.avi",
        "one frame": write_video(folder / "one.mp4", still, 10),
        "still": write_gif(folder / "still.gif", still, 10),
        # One frame every 25 s: an hour of black in a few kB.
        "hour": write_video(folder / "hour.mp4", [still[0]] * 144, 0.04),
        "two gigabytes": folder / "two_gigabytes.mp4",
    }
    with files["two gigabytes"].open("wb") as file:
        file.truncate(2 << 30)  # a hole: it takes no space
    files["empty"].touch()
    files["text"].write_text("these are notes\n", encoding="utf-8")
    files["playlist"].write_text("#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", encoding="utf-8")
    files["picture"].write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    files["header"].write_bytes(clip.read_bytes()[:60])
    files["noise"].write_bytes(b"RIFF\x00\x10\x00\x00AVI " + np.random.default_rng(1).bytes(4000))
    return files
