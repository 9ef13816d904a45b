"""The limits of an upload: in megabytes of a million bytes and in seconds, compared where they are said to be."""

import pytest

from tests.io import clips
from tfav.app import page, uploads
from tfav.app.uploads import Limits, VideoSummary, check_upload
from tfav.errors import MediaError


def test_a_megabyte_is_a_million_bytes():
    assert Limits().max_bytes == 200_000_000 and Limits(max_mb=0.5).max_bytes == 500_000
    assert Limits(1.5, 90).describe() == "up to 1.5 MB and 90 seconds"


@pytest.mark.parametrize(("beyond", "refused"), [(0, False), (1, True)])
def test_the_last_byte_counts(tmp_path, monkeypatch, beyond, refused):
    path = tmp_path / "a.mp4"
    clips.write_clip(path, 5)
    with path.open("r+b") as file:
        file.truncate(2_000_000 + beyond)  # a hole behind the video
    monkeypatch.setattr(uploads, "_inspect", lambda path: VideoSummary(5, 1.0, 64, 48))
    if not refused:
        assert check_upload(path, Limits(max_mb=2)).num_frames == 5
        return
    with pytest.raises(MediaError, match=r"a.mp4: 2 MB, and the limit is 2 MB"):
        check_upload(path, Limits(max_mb=2))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (VideoSummary(2, 60.0, 4096, 2304), None),
        (VideoSummary(1, 1.0, 64, 48), "a single picture"),
        (VideoSummary(100, 60.5, 64, 48), r"60\.5 seconds long, and the limit is 60 seconds"),
        (VideoSummary(100, 89.9, 64, 48), r"89\.9 seconds long"),
        (VideoSummary(100, 150.0, 64, 48), r"2 minutes 30 seconds long"),
        (VideoSummary(100, 120.0, 64, 48), r"2 minutes long"),
        (VideoSummary(100, 1.0, 4097, 2304), "4097 x 2304, too large"),
        (VideoSummary(100, 1.0, 64, 200_000), "too large"),
    ],
)
def test_frames_seconds_and_pixels(tmp_path, monkeypatch, found, words):
    clips.write_clip(tmp_path / "a.mp4", 5)
    monkeypatch.setattr(uploads, "_inspect", lambda path: found)
    if words is None:
        assert check_upload(tmp_path / "a.mp4", Limits()) == found
        return
    with pytest.raises(MediaError, match=words):
        check_upload(tmp_path / "a.mp4", Limits())


def test_browser_and_server_are_given_the_same_limit(monkeypatch, tmp_path):
    """Gradio refuses a body that is larger; the page says so before a byte is sent."""
    pytest.importorskip("gradio")
    from tests.app.fakes import FakeModels
    from tfav.app import server

    told = {}

    class Page:
        def queue(self, **how):
            return self

        def launch(self, **how):
            told.update(how)
            return None, "http://127.0.0.1:1", None

        def close(self, **how):
            pass

    built = page.build_page

    def build(controller, *how, **more):
        scripts = [
            d.js for d in built(controller, *how, **more).fns.values() if isinstance(d.js, str) and "file.size" in d.js
        ]
        told["scripts"] = scripts
        return Page()

    monkeypatch.setattr(page, "build_page", build)
    with server.running({}, limits=Limits(2.5, 60), port=0, make_models=FakeModels):
        pass
    assert told["max_file_size"] == 2_500_000
    assert len(told["scripts"]) == 1 and "file.size <= 2.5 * 1e6" in told["scripts"][0]
