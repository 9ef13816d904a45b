"""Which runs the page uses, and what it leaves behind."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request

import numpy as np
import pytest

from tfav import cli
from tfav.app import server
from tfav.app.tabs import TABS
from tfav.app.uploads import Limits, check_upload
from tfav.errors import UsageError
from tfav.io.audio import read_audio
from tfav.speech.synthetic_speaker import SUNG, WORDS, letter_hz
from tfav.systems import SYSTEMS
from tfav.training import run_folder as runs


@pytest.fixture
def run_of(tmp_path):
    """A function that makes a run folder of a system, with no model in it."""

    def make(system, name=None, **config):
        return runs.start(tmp_path / (name or system), system, config, {}).dir

    return make


def test_every_tab_is_a_system_and_says_how_to_make_a_run():
    assert sorted(tab.system for tab in TABS) == sorted(SYSTEMS)
    assert len({tab.system for tab in TABS}) == len(TABS) == len({tab.title for tab in TABS})
    assert all("tfav" in tab.make_run and tab.intro.endswith(".") for tab in TABS)


def test_runs_are_found(run_of):
    assert server.find_runs([])["next_frame"] == {"run_dir": "pretrained"}
    assert "cnn_lstm" not in server.find_runs([])
    mine = run_of("cnn_lstm")
    assert server.find_runs([f"cnn_lstm={mine}"])["cnn_lstm"] == {"run_dir": str(mine)}
    spatial, motion = run_of("two_stream", "a", stream="spatial"), run_of("two_stream", "b", stream="motion")
    found = server.find_runs([f"two_stream={spatial},{motion}"])["two_stream"]
    assert found == {"spatial": str(spatial), "motion": str(motion)}
    fusion = run_of("two_stream", "c", stream="fusion")
    assert server.find_runs([f"two_stream={fusion}"])["two_stream"] == {"run_dir": str(fusion)}


def test_wrong_runs_are_one_line(run_of, tmp_path, capsys):
    for given, words in (
        ("lipnot=x", "Systems: lipnet"),
        ("cnn_lstm", "SYSTEM=RUN"),
        (f"cnn_lstm={tmp_path / 'gone'}", "not a run folder"),
        (f"cnn_lstm={run_of('lipnet')}", "a run of lipnet, not of cnn_lstm"),
        (f"two_stream={run_of('two_stream', stream='motion')}", "SPATIAL,MOTION"),
        (f"two_stream={tmp_path},{tmp_path / 'no.h5'}", "not a run folder"),
    ):
        assert cli.main(["serve", "--run-dir", given]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1
    assert cli.main(["serve", "--max-mb", "0"]) == 2


def test_what_a_killed_server_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead, living = tmp_path / f"tfav-page-{process.pid}-x", tmp_path / f"tfav-page-{os.getpid()}-x"
    for folder in (dead, living, tmp_path / "tfav-page-mine"):
        (folder / "served").mkdir(parents=True)
    server._remove_left_over()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, "tfav-page-mine"])


def test_the_page_process_loads_no_tensorflow():
    code = "import sys, tfav.app.server, tfav.app.controller, tfav.data.synthetic_videos"
    code += ", tfav.speech.synthetic_speaker; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_examples_are_videos_the_page_takes_and_the_singing_face_sings_what_av_words_learns(tmp_path):
    for tab in TABS:
        facts = check_upload(tab.write_example(tmp_path / f"{tab.system}.mp4"), Limits())
        assert facts.num_frames >= 10
    letters = [("zod", "qud"), ("ozk", "kaq"), ("ulh", "pvp")]
    assert [WORDS[word] for word in SUNG] == letters
    sound = read_audio(tmp_path / "av_words.mp4", 16000)
    middle = np.abs(np.fft.rfft(sound[24 * 640 : 28 * 640])).argmax() * 16000 / (4 * 640)  # the first letter of "blue"
    assert middle == pytest.approx(letter_hz("k"), rel=0.02)


def test_the_command_serves_until_it_is_interrupted_and_leaves_nothing(tmp_path):
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'tfav[app]'")
    # A shell that starts tests in the background has children ignore SIGINT; this one must not.
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from tfav.cli import main; "
    command = [sys.executable, "-c", start + "sys.exit(main(['serve', '--port', '0']))"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        said = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        with urllib.request.urlopen(address) as answer:
            page = answer.read().decode()
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        (folder,) = tmp_path.glob("tfav-page-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert "fonts.googleapis" not in page and "cdnjs" not in page
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert not list(tmp_path.glob("tfav-page-*"))


def test_the_server_refuses_what_is_too_large_and_keeps_none_of_it(tmp_path, monkeypatch):
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'tfav[app]'")
    from tests.app.fakes import FakeModels

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    with server.running({}, limits=Limits(1, 60), port=0, make_models=FakeModels) as address:
        host = address.removeprefix("http://").strip("/")
        for megabytes, code in ((3, 413), (0.5, 200)):  # as a program would send it, which skips the page's own look
            connection = http.client.HTTPConnection(host, timeout=60)
            body = head + bytes(int(megabytes * 1e6)) + b"\r\n--x--\r\n"
            connection.request("POST", "/gradio_api/upload", body, kind)
            assert connection.getresponse().status == code
            connection.close()
            kept = [path.stat().st_size for path in tmp_path.glob("*/served/**/*") if path.is_file()]
            assert kept == ([500_000] if code == 200 else [])


def test_a_port_that_is_taken_is_one_line():
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'tfav[app]'")
    from tests.app.fakes import FakeModels

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = pytest.raises(UsageError, match=f"127.0.0.1:{port} cannot be used")
        with refused, server.running({}, port=port, make_models=FakeModels):
            pass


def test_without_gradio_the_remedy_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "tfav.app.page", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    from tests.app.fakes import FakeModels

    with pytest.raises(UsageError, match=r"pip install 'tfav\[app\]'"), server.running({}, make_models=FakeModels):
        pass
    assert list(tmp_path.iterdir()) == []


BEHIND = """
import os, sys, urllib.request
from tests.app.fakes import FakeModels
from tfav.app import server
before = dict(os.environ)
if __name__ == "__main__":
    with server.running({}, port=0, make_models=FakeModels) as address:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        print(opener.open(address, timeout=20).status)
    print([name for name in before if "proxy" in name.lower() and before[name] != os.environ.get(name)])
"""


def test_the_page_comes_up_behind_a_proxy(tmp_path):
    """One that knows nothing of this machine, and a SOCKS one, for which Gradio lacks a package."""
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'tfav[app]'")
    nobody = "127.0.0.1:9"
    proxies = {"http_proxy": f"http://{nobody}", "HTTPS_PROXY": f"http://{nobody}", "all_proxy": f"socks5://{nobody}"}
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")} | proxies
    script = tmp_path / "behind.py"
    script.write_text(BEHIND, encoding="utf-8")
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines()[-2:] == ["200", "[]"], done.stderr[-600:]


def test_the_process_for_the_work_is_given_the_proxies(monkeypatch):
    given = {}

    class Fake:
        def __init__(self, *_, environment, **__):
            given.update(environment)
            raise UsageError("seen")

    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setattr(server, "JobQueue", Fake)
    with pytest.raises(UsageError, match="seen"), server.running({}):
        pass
    assert given["https_proxy"] == "http://proxy:3128"


def test_a_page_that_cannot_reach_itself_is_one_line(monkeypatch, tmp_path):
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'tfav[app]'")
    import gradio

    def refuse(*_, **__):
        raise ValueError("When localhost is not accessible,\na shareable link must be created.")

    monkeypatch.setattr(gradio.Blocks, "launch", refuse)
    with pytest.raises(UsageError, match=r"cannot be reached at 127\.0\.0\.1:7860 from this machine .*proxy"):
        server._launch(None, Limits(), tmp_path, {}, "127.0.0.1", 7860)
