"""Live sources: paced as filmed, the newest frame wins, and whatever goes wrong with a source is one line."""

import contextlib
import http.server
import threading
import time

import cv2
import numpy as np
import pytest

from tests.io.clips import write_clip
from tfav import cli
from tfav.errors import MediaError
from tfav.live import Live, look, loop, overlay
from tfav.live.sources import Shot, Source


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """One second of twenty frames."""
    path = tmp_path_factory.mktemp("live") / "v.mp4"
    write_clip(path, 20, fps=20)
    return str(path)


def tell_numbers(window, wait_sec=0.0):
    time.sleep(wait_sec)
    return {"numbers": list(window.numbers), "shape": window.frames[0].shape, "times": window.times_sec.tolist()}


def run(source, window_sec=0.25, wait_sec=0.0, keep=lambda frame: frame, **options):
    rows = []
    live = Live(window_sec, lambda window: tell_numbers(window, wait_sec), keep)
    return rows, look(source, live, rows.append, **options)


def test_a_file_comes_at_its_own_speed_in_windows_of_its_newest_frames(clip):
    rows, report = run(clip, keep=lambda frame: frame[::2])
    assert report.frames == 20 and report.seconds > 0.9 and report.error == ""
    assert rows[-1]["time_sec"] == pytest.approx(0.95) and report.windows == len(rows)
    for row in rows:
        assert row["numbers"] == [round(20 * time_sec) for time_sec in row["times"]] and len(row["numbers"]) <= 5
        assert row["end_sec"] - row["start_sec"] <= 0.25 + 1e-6
        assert row["shape"][0] == 24  # what was kept of 48 rows
    whole = [row for row in rows if len(row["numbers"]) == 5]
    assert whole and rows[0]["time_sec"] >= 0.2 - 1e-6  # not before a window is full
    seen = set().union(*(row["numbers"] for row in rows))
    assert report.dropped_share == pytest.approx(1 - len(seen) / 20)
    assert 0 <= report.delay_p50_sec <= report.delay_p95_sec


def test_a_slow_system_sees_fewer_windows_and_none_late(clip):
    rows, report = run(clip, window_sec=0.1, wait_sec=0.3)
    assert report.windows == len(rows) < 6 and report.dropped_share > 0.3
    assert all(row["delay_sec"] < 0.6 for row in rows)  # in a queue they would grow to seconds
    assert rows[-1]["time_sec"] == pytest.approx(0.95)


def test_a_file_shorter_than_a_window_is_looked_at_once(clip):
    rows, report = run(clip, window_sec=9.0)
    assert len(rows) == report.windows == 1 and rows[0]["numbers"][-1] == 19


def test_ctrl_c_and_a_closed_window_end_it_cleanly(clip):
    def stop(row):
        raise KeyboardInterrupt

    report = look(clip, Live(0.1, tell_numbers), stop)
    assert (report.windows, report.error) == (1, "") and report.seconds < 0.9
    shown = []
    _, report = run(clip, show=lambda picture, row: shown.append((picture.shape, row)) or len(shown) < 2)
    assert report.windows == len(shown) == 2 and shown[0][0][-1] == 3 and "numbers" in shown[0][1]
    assert not [thread for thread in threading.enumerate() if thread.name == "live frames"]


# Sources that fail --------------------------------------------------------------------------------------------------


def test_sources_that_are_none(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for source, words in (
        (str(tmp_path / "gone.mp4"), "no such file"),
        (str(tmp_path), "a folder, not a video file"),
        (str(tmp_path / "text.mp4"), "not a readable media file"),
        ("97", "camera 97: cannot be opened: it is not there, or another program has it. Close that program"),
        ("http://user:secret@127.0.0.1:9/live", "http://127.0.0.1:9/live: cannot be opened"),
    ):
        rows, report = run(source)
        assert words in report.error and "\n" not in report.error and not rows
        assert "secret" not in report.error and (report.frames, report.delay_p50_sec) == (0, None)


@contextlib.contextmanager
def served(data: bytes, then):
    """The address of a server that sends this and then does something."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)
                self.wfile.flush()
                then()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/live.ts"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def transport_stream(tmp_path_factory):
    path = tmp_path_factory.mktemp("ts") / "v.ts"
    write_clip(path, 30, fps=30)
    return path.read_bytes()


def test_a_stream_that_stops(transport_stream):
    with served(transport_stream, lambda: None) as address:
        rows, report = run(address, window_sec=0.1)
    assert rows and f"{address}: the stream stopped after {report.frames} frames" in report.error
    assert report.frames >= 29  # the last one may still be in the decoder
    assert report.error.endswith("Start it again, then run the same command.")


def test_a_stream_that_stalls(transport_stream):
    gone = threading.Event()
    with served(transport_stream, lambda: gone.wait(20)) as address:
        _, report = run(address, window_sec=0.1, stall_sec=0.5)
        gone.set()
    assert report.frames > 0 and "\n" not in report.error and report.seconds < 10
    assert "no frame for 0.5 s" in report.error or "the stream stopped after" in report.error


def of_camera(monkeypatch, pictures, wait_sec=0.0):
    class Camera:
        def __init__(self, number):
            self.left = list(pictures)

        def isOpened(self):
            return True

        def read(self):
            time.sleep(0.02 if self.left else wait_sec)
            return (True, self.left.pop(0)) if self.left else (False, None)

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Camera)


def test_a_camera_that_stops_stalls_or_changes_its_size(monkeypatch):
    small, large = np.full((24, 32, 3), (9, 5, 1), np.uint8), np.zeros((48, 64, 3), np.uint8)
    of_camera(monkeypatch, [small] * 5)
    colours = []
    live = Live(0.05, lambda window: colours.append(window.frames[-1][0, 0].tolist()) or {})
    report = look("0", live, lambda row: None)
    assert "camera 0: stopped after 5 frames" in report.error and colours[0] == [1, 5, 9]  # RGB
    of_camera(monkeypatch, [small] * 5 + [large])
    assert "camera 0: its pictures change from 32x24 to 64x48 pixels" in run("0")[1].error
    of_camera(monkeypatch, [small] * 5, wait_sec=1.0)
    report = run("0", stall_sec=0.2)[1]
    assert "0: no frame for 0.2 s" in report.error and report.frames == 5


def test_what_the_system_cannot_answer_ends_it(clip):
    def fail(window):
        raise MediaError("x", "too short", "Take more.")

    with pytest.raises(MediaError, match="too short"):
        look(clip, Live(0.1, fail), print)


def test_a_decoder_that_is_late_passes_frames_over(monkeypatch):
    def shots():
        for number in range(12):
            time.sleep(0.08)
            yield Shot(number * 0.02, lambda: np.zeros((4, 4, 3), np.uint8))

    monkeypatch.setattr(loop, "open_source", lambda *_: contextlib.nullcontext(Source(shots(), True)))
    report = run("made", window_sec=0.02)[1]
    assert report.frames == 12 and report.dropped_share > 0.5


# On the screen ------------------------------------------------------------------------------------------------------


def test_a_window_is_opened_where_there_is_a_display(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(overlay.sys, "platform", "linux")
    said, shown = [], []
    assert overlay.open_overlay(said.append) is None
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(shown) > 1 else -1)
    show, frame = overlay.open_overlay(said.append), np.full((120, 160, 3), (200, 0, 0), np.uint8)
    row = {"ranking": [{"label": "hop", "probability": 0.9}]}
    assert [show(frame, None), show(frame, row)] == [True, False]
    assert shown[0][0, 0].tolist() == [0, 0, 200] and (shown[1] != shown[0]).any()

    def refuse(*_):
        raise cv2.error("no windows")

    monkeypatch.setattr(cv2, "imshow", refuse)
    show = overlay.open_overlay(said.append)
    assert show(frame, row) and show(frame, row) and len(said) == 1


def test_answers_as_lines():
    ranks = [{"label": "hop", "probability": 0.9}, {"label": "skip", "probability": 0.1}]
    assert overlay.answer_lines({"ranking": ranks}) == [" 90.0%  hop", " 10.0%  skip"]
    assert overlay.answer_lines({"ranking": ranks, "labels": []}) == ["none of the classes"]
    assert overlay.answer_lines({"text": "bin blue"}) == ["bin blue"]
    large = overlay.draw_answer(np.zeros((1000, 2000, 3), np.uint8), {"ranking": ranks})
    assert large.shape == (480, 960, 3) and large[:300].max() == 0 < large[400:].max()


# On the command line ------------------------------------------------------------------------------------------------


def test_systems_without_it_and_errors_of_sources(monkeypatch, capsys, clip):
    assert cli.main(["live", "next_frame", "--source", "0"]) == 2
    assert "next_frame has no live yet. Systems that have: cnn_lstm, two_stream." in capsys.readouterr().err
    from tfav.systems import SYSTEMS

    rank = {"ranking": [{"label": "hop", "probability": 0.5}]}
    package = __import__("importlib").import_module(SYSTEMS["cnn_lstm"].package)
    monkeypatch.setattr(package, "open_live", lambda **options: Live(0.2, lambda window: rank), raising=False)
    command = ["live", "cnn_lstm", "--run-dir", "r", "--no-window", "--source"]
    assert cli.main([*command, "gone.mp4"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: gone.mp4: no such file") and "0 windows of 0 frames" in said.out
    assert cli.main([*command, clip]) == 0
    said = capsys.readouterr()
    assert "00:00:00.950  50.0%  hop" in said.out and "of the frames dropped" in said.out and "(median)" in said.out
    opened = []
    monkeypatch.setattr(overlay, "open_overlay", lambda said: opened.append(1) or (lambda *_: False))
    assert cli.main([part for part in [*command, clip] if part != "--no-window"]) == 0 and opened == [1]
    stalls = []
    monkeypatch.setattr(
        loop, "look", lambda *given, stall_sec, show: stalls.append(stall_sec) or loop.Report(0, 0, 0, None, None, 0)
    )
    assert cli.main([*command, clip, "--stall-sec", "3"]) == 0 and stalls == [3.0]
