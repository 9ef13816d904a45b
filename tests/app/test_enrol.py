"""Recording oneself on the page, without a browser: what is filed, what is told, and what is left of it."""

import errno
import shutil

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'tfav[app]'")

from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from tests.app.fakes import FakeChecker
from tfav import app, cli
from tfav.app.enrol_routes import EnrolRoutes
from tfav.app.enrol_station import EnrolStation, TakeChecker, open_station
from tfav.app.job_queue import JobQueue
from tfav.app.uploads import Limits
from tfav.speech.enrolment import Enrolment, Slot

PROMPTS = ["Good morning.", "Two faces here.", "crash now", "refused outright", "Good night."]


@pytest.fixture(scope="module")
def jobs():
    jobs = JobQueue(make_models=FakeChecker)
    yield jobs
    jobs.close()


@pytest.fixture
def enrolment(tmp_path):
    (tmp_path / "prompts.txt").write_text("\n".join([*PROMPTS, "♥"]), encoding="utf-8")
    return Enrolment(tmp_path / "out", "ana", tmp_path / "prompts.txt")


@pytest.fixture
def client(enrolment, jobs, tmp_path):
    station = EnrolStation(enrolment, Limits(1, 10), tmp_path / "takes", jobs)
    return TestClient(EnrolRoutes(PlainTextResponse("the rest"), station))


@pytest.fixture
def send(client, clip):
    def send(number=1, content=None, **headers):
        content = clip.read_bytes() if content is None else content
        return client.post(
            f"/enrol/takes/{number}/1", content=content, headers={"content-type": "video/webm"} | headers
        )

    return send


def test_a_good_take_is_filed_and_the_next_prompt_follows(client, send, enrolment, clip, tmp_path):
    state = client.get("/enrol/state").json()
    assert state["next"] == {"number": 1, "take": 1, "text": "Good morning."} and state["speaker"] == "ana"
    assert (state["done"], state["total"], state["checking"], state["max_sec"]) == (0, 5, 0, 10)
    assert state["refused"][0].endswith("'♥' has no letter that could be said. Write it in words.")
    answer = send()
    assert answer.status_code == 200
    answer = answer.json()
    assert answer["is_good"] and answer["lines"] == ["Come closer."]
    assert answer["state"]["next"]["number"] == 2 and answer["state"]["done"] == 1
    assert enrolment.filed()[Slot(1, 1)].read_bytes() == clip.read_bytes()
    assert enrolment.filed()[Slot(1, 1)].name == "0001_take1.mp4"  # by its content, whatever was said of it
    assert client.get("/enrol/state?after=2-1").json()["next"]["number"] == 3
    assert client.get("/enrol/state?after=x").json()["next"]["number"] == 2
    assert answer["state"]["then"] == f"tfav prepare lipnet --source {tmp_path / 'out'} --out mouths"
    assert list((tmp_path / "takes").iterdir()) == []


def test_a_take_that_cannot_be_used_is_told_and_not_kept(send, enrolment, bad_files, tmp_path):
    for number, content, words in (
        (2, None, "2 faces are seen. Be alone in the picture."),
        (3, None, "The work broke off (its process ended, code 3)"),
        (4, None, "no face was found. Show one face."),
        (1, b"", "empty (0 bytes). Choose the video again"),
        (1, bad_files["text"].read_bytes(), "not a video: its content is text."),
        (1, bad_files["header"].read_bytes(), "0001_take1.mp4: "),
        (1, bytes(1_000_001), "the take: larger than 1 MB. Stop sooner."),
        (9, None, "there is no take 1 of prompt 9, of 5."),
    ):
        answer = send(number, content).json()
        assert words in answer["lines"][0] and not answer["is_good"]
        assert all("\n" not in line and str(tmp_path) not in line for line in answer["lines"])
    assert enrolment.filed() == {} and list((tmp_path / "takes").iterdir()) == []
    assert send(5).json()["is_good"]  # after all that it works on


def test_the_disk_full_at_a_take_leaves_the_earlier_ones(send, enrolment, monkeypatch):
    send(1)

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        answer = send(5)
    assert answer.status_code == 507
    assert answer.json()["lines"] == ["The disk is full: this take is not kept, the 1 others are. Free some space."]
    assert list(enrolment.filed()) == [Slot(1, 1)] and send(5).json()["is_good"]


def test_another_page_can_send_nothing(send, enrolment):
    answer = send(origin="http://elsewhere.example")
    assert answer.status_code == 403 and answer.json()["lines"] == ["Sent by another page than this one."]
    assert enrolment.filed() == {} and send(origin="http://testserver").json()["is_good"]


def test_the_page_and_its_parts(client):
    assert client.get("/enrol", follow_redirects=False).headers["location"] == "/enrol/"
    page = client.get("/enrol/")
    assert "Record yourself" in page.text and page.headers["content-type"].startswith("text/html")
    for name in ("enrol.js", "enrol.css"):
        assert name in page.text and client.get(f"/enrol/{name}").status_code == 200
    assert client.get("/").text == client.get("/enrolled").text == "the rest"
    assert client.get("/enrol/page.css").status_code == 404 and client.get("/enrol/takes/1/1").status_code == 405


def test_takes_are_looked_at_in_a_process_of_its_own_without_tensorflow(tmp_path, clip, monkeypatch):
    checker = TakeChecker()
    checker.prepare()
    monkeypatch.setattr("tfav.app.enrol_station.FaceDetector", lambda: lambda frame: [])
    found = checker("enrol", {})(str(clip), text="Good morning.")
    assert found["faults"][0].startswith("No face is seen.") and found["measured"]["faces"] == 0
    (tmp_path / "scratch").mkdir()
    enrolment = Enrolment(tmp_path / "out")
    with open_station(enrolment, Limits(), tmp_path / "takes", tmp_path / "scratch", {}, FakeChecker) as station:
        assert station.state()["total"] == 50


def test_the_command_opens_the_enrolment(tmp_path, monkeypatch, capsys):
    given = {}
    monkeypatch.setattr(app, "serve", lambda runs, **options: given.update(options), raising=False)
    (tmp_path / "p.txt").write_text("Buenos días.\n♥\n", encoding="utf-8")
    flags = ["--enrol", tmp_path / "out", "--speaker", "ana", "--prompts", tmp_path / "p.txt", "--takes", "3"]
    assert cli.main(["serve", *map(str, flags)]) == 0
    opened = given["enrolment"]
    assert opened.folder == tmp_path / "out/ana" and opened.takes == 3 and opened.prompts.texts == ("Buenos días.",)
    assert "line 2: '♥'" in capsys.readouterr().err
    assert cli.main(["serve"]) == 0 and given["enrolment"] is None
    assert cli.main(["serve", "--prompts", "grid"]) == 2
