"""Downloads against a server of our own on 127.0.0.1, and archives that mean no good."""

import contextlib
import functools
import http.server
import io
import json
import os
import re
import stat
import tarfile
import threading
import zipfile
from pathlib import Path

import gdown
import pytest
import requests

from tfav.errors import UsageError
from tfav.io import archive as archive_module
from tfav.io import download as download_module
from tfav.io import fetch as fetch_module
from tfav.io.archive import ArchiveError, unpack
from tfav.io.atomic_write import DiskFullError
from tfav.io.download import FetchError, download_https
from tfav.io.fetch import DATASETS, RemoteDataset, RemoteFile, fetch

BODY = bytes(range(256)) * 4096  # 1 MiB


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `/body` with Range and ETag, and misbehaves elsewhere; `log` keeps path and Range of every request."""

    def __init__(self, log, state, *args):
        self.log, self.state = log, state
        super().__init__(*args)

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def do_GET(self):
        asked = self.headers.get("Range")
        self.log.append((self.path, asked))
        etag = self.state.get("etag", '"v1"')
        if self.path in ("/body", "/breaks", "/breaks-for-ever"):
            body = self.state.get("body", BODY)
            start = int(asked[6:-1]) if asked and self.headers.get("If-Range") == etag else 0
            part = body[start:]
            headers = {"ETag": etag, "Accept_Ranges": "bytes"}
            if start:
                headers["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            sent = part
            if self.path == "/breaks" and not start:
                sent = part[:300_000]
            elif self.path == "/breaks-for-ever":
                sent = part[:200_000]
            self.answer(206 if start else 200, sent, length=len(part), **headers)
        elif self.path == "/page":
            self.answer(200, b"\n<!DOCTYPE html><html>Quota exceeded</html>", Content_Type="text/html")
        elif self.path == "/redirect":
            self.answer(302, Location="/body")
        elif self.path == "/to-http":
            self.answer(302, Location="http://example.invalid/body")
        elif self.path == "/circle":
            self.answer(302, Location="/circle")
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 16))
        elif self.path == "/slow":
            self.state["hang"].wait(20)
        else:
            self.answer(404)


@pytest.fixture
def server(monkeypatch):
    """An object with `url`, `log` and `state` of a running server that the downloader may ask over plain http."""
    monkeypatch.setattr(download_module, "PLAIN_HTTP_HOSTS", {"127.0.0.1"})
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    log, state = [], {"hang": threading.Event()}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, log, state)) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        running.url, running.log, running.state = f"http://127.0.0.1:{running.server_port}", log, state
        yield running
        state["hang"].set()
        running.shutdown()


def get(url, path, **options):
    """Download quietly."""
    return download_https(url, path, **({"max_bytes": 10**8, "quiet": True} | options))


def test_download_and_redirect(server, tmp_path):
    for name in ("body", "redirect"):
        assert get(f"{server.url}/{name}", tmp_path / "sub" / name).read_bytes() == BODY
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["body", "redirect"]


def test_a_broken_transfer_is_resumed_at_once(server, tmp_path):
    assert get(f"{server.url}/breaks", tmp_path / "f").read_bytes() == BODY
    assert len(server.log) == 2
    assert re.fullmatch(r"bytes=\d+-", server.log[1][1])


def test_a_short_body_is_an_error_that_keeps_the_part_and_the_next_call_resumes(server, tmp_path):
    with pytest.raises(
        FetchError, match=r"the connection broke off.*run this again, or download it by hand to"
    ) as caught:
        get(f"{server.url}/breaks-for-ever", tmp_path / "f")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "f").exists()
    num_bytes = (tmp_path / "f.part").stat().st_size
    assert 0 < num_bytes < len(BODY)
    assert get(f"{server.url}/body", tmp_path / "f").read_bytes() == BODY
    assert server.log[-1][1] == f"bytes={num_bytes}-"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_another_version_on_the_server_is_fetched_from_the_start(server, tmp_path):
    with pytest.raises(FetchError):
        get(f"{server.url}/breaks-for-ever", tmp_path / "f")
    server.state |= {"etag": '"v2"', "body": b"another" * 1000}
    assert get(f"{server.url}/body", tmp_path / "f").read_bytes() == b"another" * 1000


def test_a_part_without_its_mark_is_not_trusted(server, tmp_path):
    (tmp_path / "f.part").write_bytes(b"x" * 500)
    assert get(f"{server.url}/body", tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/none", "the server says 404"),
        ("/page", "a web page instead of the file"),
        ("/to-http", "http://example.invalid/body, which is not https"),
        ("/circle", "redirects more than"),
    ],
)
def test_what_a_server_may_do_wrong(server, tmp_path, path, words):
    with pytest.raises(FetchError, match=words) as caught:
        get(server.url + path, tmp_path / "f")
    message = str(caught.value)
    assert server.url + path in message and str(tmp_path / "f") in message and "\n" not in message
    assert not [entry for entry in tmp_path.iterdir() if entry.name == "f"]


@pytest.mark.parametrize("path", ["/body", "/endless"])
def test_the_size_limit(server, tmp_path, path):
    with pytest.raises(FetchError, match="expected at most"):
        get(server.url + path, tmp_path / "f", max_bytes=500_000)
    assert not (tmp_path / "f").exists()


def test_a_server_that_does_not_answer(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "READ_TIMEOUT_SEC", 0.3)
    with pytest.raises(FetchError, match="no answer in time"):
        get(f"{server.url}/slow", tmp_path / "f")


def test_nobody_listens(server, tmp_path):
    with pytest.raises(FetchError, match="connection refused"):
        get("http://127.0.0.1:9/f", tmp_path / "f")


def test_no_network(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise requests.ConnectionError(
            "NameResolutionError: Failed to resolve 'www.crcv.ucf.edu' (Name or service not known)"
        )

    monkeypatch.setattr(requests.Session, "get", fail)
    with pytest.raises(FetchError) as caught:
        fetch("ucf101", tmp_path, quiet=True)
    assert str(caught.value) == (
        "https://www.crcv.ucf.edu/data/UCF101/UCF101.rar: cannot be fetched (no such host found: no network?). "
        f"Check the network and run this again, or download it by hand to {tmp_path / 'downloads' / 'UCF101.rar'}."
    )
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("url", ["http://example.invalid/f", "ftp://example.invalid/f", "file:///etc/passwd"])
def test_https_only(tmp_path, url):
    with pytest.raises(FetchError, match="not https"):
        get(url, tmp_path / "f")


def test_full_disk_while_downloading(server, tmp_path, monkeypatch):
    def fail(self, *args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(requests.Response, "iter_content", fail)
    with pytest.raises(DiskFullError):
        get(f"{server.url}/body", tmp_path / "f")
    assert not (tmp_path / "f.part").exists()


# By name ------------------------------------------------------------------------------------------------------------


def zip_bytes(members: dict) -> bytes:
    """Return a zip archive with these names and contents."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members.items():
            content.writestr(name, data)
    return stream.getvalue()


@pytest.fixture
def made_dataset(server, monkeypatch):
    """Register `made`, a zip of two files, and return the function that registers it anew with other facts."""

    def register(**facts):
        file = RemoteFile("made.zip", url=f"{server.url}/body", kind="zip", **facts)
        monkeypatch.setitem(fetch_module.DATASETS, "made", RemoteDataset((file,), licence="none", card="made.md"))

    server.state["body"] = zip_bytes({"made/a.txt": "a", "made/sub/b.txt": "b"})
    register()
    return register


def test_fetch_downloads_verifies_unpacks_and_records(server, made_dataset, tmp_path):
    folder = fetch("made", tmp_path, quiet=True)
    assert folder == tmp_path / "made"
    assert (folder / "made" / "sub" / "b.txt").read_text() == "b"
    lock = json.loads((tmp_path / "downloads" / "made.zip.lock.json").read_text())
    assert lock["bytes"] == len(server.state["body"])
    assert len(lock["sha256"]) == 64
    fetch("made", tmp_path, quiet=True)
    assert len(server.log) == 1  # what is there is not fetched again


def test_a_file_put_there_by_hand_is_taken(server, made_dataset, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "made.zip").write_bytes(zip_bytes({"hand.txt": "made"}))
    assert (fetch("made", tmp_path, quiet=True) / "hand.txt").exists()
    assert server.log == []


def test_a_wrong_checksum_or_size_is_refused_and_put_aside(server, made_dataset, tmp_path):
    for facts, words in (({"sha256": "0" * 64}, "its sha256 is"), ({"num_bytes": 10**6}, "its bytes is")):
        made_dataset(**facts)
        with pytest.raises(FetchError, match=words):
            fetch("made", tmp_path, quiet=True)
        assert not (tmp_path / "made").exists()
        assert (tmp_path / "downloads" / "made.zip.refused").exists()
        assert not (tmp_path / "downloads" / "made.zip").exists()


def test_a_file_that_has_changed_since_the_first_download_is_refused(server, made_dataset, tmp_path):
    fetch("made", tmp_path, quiet=True)
    (tmp_path / "made" / ".fetched.json").unlink()
    (tmp_path / "downloads" / "made.zip").unlink()
    server.state["body"] = zip_bytes({"other.txt": "other"})
    with pytest.raises(FetchError, match=r"is expected.*made.zip.lock.json"):
        fetch("made", tmp_path, quiet=True)
    assert (tmp_path / "made" / "made" / "a.txt").exists()


def test_unknown_name(tmp_path):
    with pytest.raises(UsageError, match="choose one of ucf101, ucf3") as caught:
        fetch("ucf102", tmp_path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.ConnectionError("Failed to resolve: Name or service not known"), "no such host"),
        (gdown.exceptions.FileURLRetrievalError("Too many users have viewed\nthis file"), "Drive does not give it"),
        (gdown.exceptions.DownloadError("ended early"), "Drive does not give it"),
    ],
)
def test_drive_failures_are_one_line(tmp_path, monkeypatch, error, words):
    def fail(**options):
        assert options["timeout"]
        raise error

    monkeypatch.setattr(gdown, "download", fail)
    with pytest.raises(FetchError, match=words) as caught:
        fetch("two-stream-weights", tmp_path, quiet=True)
    message = str(caught.value)
    assert "\n" not in message
    assert "1djGzpxAYFvNX-UaQ7ONqDHGgnzc8clBK" in message and str(tmp_path / "downloads" / "spatial.zip") in message


def test_drive(tmp_path, monkeypatch):
    def give(*, id, output, progress, **options):
        Path(output).write_bytes(zip_bytes({f"{id[:3]}.h5": "weights"}))
        progress(10, 100)

    monkeypatch.setattr(gdown, "download", give)
    folder = fetch("two-stream-weights", tmp_path, quiet=True)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.h5")) == ["motion/1kv.h5", "spatial/1dj.h5"]

    def give_page(*, output, **options):
        Path(output).write_text("<html>quota</html>")

    monkeypatch.setattr(gdown, "download", give_page)
    with pytest.raises(FetchError, match="a web page"):
        fetch("two-stream-weights", tmp_path / "other", quiet=True)

    def give_too_much(*, progress, **options):
        progress(1, 10**12)

    monkeypatch.setattr(gdown, "download", give_too_much)
    with pytest.raises(FetchError, match="expected at most"):
        fetch("two-stream-weights", tmp_path / "third", quiet=True)


def test_every_data_set_has_its_card():
    cards = Path(__file__).resolve().parents[2] / "data"
    for name, dataset in DATASETS.items():
        card = (cards / dataset.card).read_text(encoding="utf-8")
        for file in dataset.files:
            address = file.drive_id or file.url.split("?")[0]
            assert address in card, f"{dataset.card} does not name {address}"
            assert file.url.startswith("https://") or file.drive_id
        assert f"tfav fetch {name}" in card
        for heading in ("Layout", "Source", "Licence", "Known faults"):
            assert heading in card, f"{dataset.card}: {heading}"


# Archives -----------------------------------------------------------------------------------------------------------


def refused(path, tmp_path, kind, words):
    """The archive is refused, and no file of it is left anywhere."""
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(ArchiveError, match=words) as caught:
        unpack(path, tmp_path / "out", kind=kind)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(path for path in tmp_path.rglob("*")) == before


EVIL_NAMES = ["../evil.txt", "a/../../evil.txt", "/tmp/evil.txt", "C:\\evil.txt", "..\\evil.txt", "a/..\\..\\evil.txt"]


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_zip_slip(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zip_bytes({"good.txt": "good", name: "evil"}))
    refused(tmp_path / "a.zip", tmp_path, "zip", "points outside")


def test_zip_link(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    (tmp_path / "a.zip").write_bytes(_zip_with(link, "/etc/passwd"))
    refused(tmp_path / "a.zip", tmp_path, "zip", "a link or a device")


def _zip_with(info, data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as content:
        content.writestr(info, data)
    return stream.getvalue()


def test_zip_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "_RATIO_FLOOR_BYTES", 10**5)
    (tmp_path / "a.zip").write_bytes(zip_bytes({"zeros": bytes(10**8)}))
    refused(tmp_path / "a.zip", tmp_path, "zip", "archive bomb")


def test_zip_with_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 10)
    (tmp_path / "a.zip").write_bytes(zip_bytes({str(number): "" for number in range(11)}))
    refused(tmp_path / "a.zip", tmp_path, "zip", "archive bomb")


def tar_with(path, *members, mode="w:gz"):
    """Write a tar archive of `(TarInfo, data)` pairs."""
    with tarfile.open(path, mode) as content:
        for info, data in members:
            info.size = len(data)
            content.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("name", [name for name in EVIL_NAMES if "C:" not in name])
def test_tar_slip(tmp_path, name):
    tar_with(tmp_path / "a.tar.gz", (tarfile.TarInfo("good.txt"), b"good"), (tarfile.TarInfo(name), b"evil"))
    refused(tmp_path / "a.tar.gz", tmp_path, "tar", "points outside")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_tar_links_and_devices(tmp_path, kind):
    link = tarfile.TarInfo("link")
    link.type, link.linkname = kind, "/etc/passwd"
    tar_with(tmp_path / "a.tar", (tarfile.TarInfo("good.txt"), b"good"), (link, b""), mode="w")
    refused(tmp_path / "a.tar", tmp_path, "tar", "a link or a device")


STANDING_IN_THE_WAY = [(".", "a"), ("a", "a/b"), ("a/b", "a"), ("n" * 300, "a")]


@pytest.mark.parametrize("names", STANDING_IN_THE_WAY)
def test_members_that_cannot_be_written_are_the_archives_fault(tmp_path, names):
    tar_with(tmp_path / "a.tar", *[(tarfile.TarInfo(name), b"text") for name in names], mode="w")
    refused(tmp_path / "a.tar", tmp_path, "tar", "a broken tar archive")
    (tmp_path / "a.zip").write_bytes(zip_bytes(dict.fromkeys(names, "text")))
    refused(tmp_path / "a.zip", tmp_path, "zip", "a broken zip archive")


def test_members_without_a_name(tmp_path):
    content = bytearray(zip_bytes({"x": "text"}))
    table, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    content[end + 12] -= 1  # the table's length
    del content[table + 46]  # its only name
    content[table + 28] = 0
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", tmp_path, "zip", "'' has no name")


def test_tar_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "_RATIO_FLOOR_BYTES", 10**5)
    tar_with(tmp_path / "a.tar.gz", (tarfile.TarInfo("zeros"), bytes(10**8)))
    refused(tmp_path / "a.tar.gz", tmp_path, "tar", "archive bomb")


def test_good_archives(tmp_path):
    (tmp_path / "a.zip").write_bytes(zip_bytes({"größe/a.txt": "a", "empty/": ""}))
    unpack(tmp_path / "a.zip", tmp_path / "zip", kind="zip")
    assert (tmp_path / "zip" / "größe" / "a.txt").read_text() == "a"
    assert (tmp_path / "zip" / "empty").is_dir()
    for mode in ("w", "w:gz", "w:xz"):
        tar_with(tmp_path / "a.tar", (tarfile.TarInfo("m/saved_model.pb"), b"model"), mode=mode)
        unpack(tmp_path / "a.tar", tmp_path / "tar", kind="tar")
        assert (tmp_path / "tar" / "m" / "saved_model.pb").read_bytes() == b"model"


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: b"no archive", lambda data: data[: len(data) // 2]])
def test_broken_archives(tmp_path, kind, spoil):
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        path.write_bytes(zip_bytes({"a": os.urandom(10_000)}))
    else:
        tar_with(path, (tarfile.TarInfo("a"), os.urandom(10_000)))
    path.write_bytes(spoil(path.read_bytes()))
    refused(path, tmp_path, kind, f"a broken {kind} archive.*Remove it and fetch it again")


def test_a_zip_whose_content_does_not_match_its_checksum(tmp_path):
    data = bytearray(_zip_with(zipfile.ZipInfo("a"), b"x" * 1000))
    data[200] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", tmp_path, "zip", "a broken zip archive")


def test_a_zip_whose_table_points_before_its_beginning(tmp_path):
    data = bytearray(zip_bytes({"a": "content"}))
    data[-6:-2] = (10_000).to_bytes(4, "little")  # where the table of contents begins, at the end of every zip
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", tmp_path, "zip", "a broken zip archive")


# A stand-in for the real program, which unpacks a zip: what is tested is what tfav makes of any such program.
UNRAR = """#!{python}
import sys, zipfile, os
command, archive = sys.argv[1], sys.argv[sys.argv.index("--") + 1]
content = zipfile.ZipFile(archive)
if command == "lb":
    print("\\n".join(content.namelist()))
else:
    content.extractall(sys.argv[-1])
    if "LINK" in content.namelist():
        os.symlink("/etc/passwd", os.path.join(sys.argv[-1], "sneaked"))
"""


@pytest.fixture
def unrar(tmp_path_factory, monkeypatch):
    """Put the stand-in program on an otherwise empty path."""
    import sys

    folder = tmp_path_factory.mktemp("bin")
    (folder / "unrar").write_text(UNRAR.format(python=sys.executable))
    (folder / "unrar").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_rar(unrar, tmp_path):
    (tmp_path / "a.rar").write_bytes(zip_bytes({"UCF-101/Archery/v.avi": "video"}))
    unpack(tmp_path / "a.rar", tmp_path / "out", kind="rar")
    assert (tmp_path / "out" / "UCF-101" / "Archery" / "v.avi").exists()


def test_hostile_rar(unrar, tmp_path):
    for members, words in (({"../evil": "evil"}, "points outside"), ({"LINK": ""}, "a link or a device")):
        (tmp_path / "a.rar").write_bytes(zip_bytes(members))
        refused(tmp_path / "a.rar", tmp_path, "rar", words)
    (tmp_path / "a.rar").write_bytes(b"no archive")
    refused(tmp_path / "a.rar", tmp_path, "rar", "unrar cannot unpack it")


def test_rar_without_a_program_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    refused(tmp_path / "a.rar", tmp_path, "rar", "Install one, e.g.")
