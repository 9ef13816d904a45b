"""Takes filed, gone on with and lost in no way; recordings that exist, checked and filed one by one."""

import errno
import functools
import json
import shutil

import pytest

from tfav import cli
from tfav.errors import DataError, MediaError, UsageError
from tfav.io.atomic_write import DiskFullError
from tfav.speech import enrolment as enrolments
from tfav.speech.corpus import find_spoken
from tfav.speech.enrolment import Enrolment, Slot, enrol_recordings, far_below
from tfav.speech.grid import WORDS
from tfav.speech.prompts import SHIPPED, read_prompts
from tfav.speech.take_check import TakeCheck

GOOD = TakeCheck((), ("Come closer.",), {"mouth_px": 30})


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("¡Buenos días, señor!\nMañana será otro día.\nUna cosa más.\n", encoding="utf-8")
    return path


@pytest.fixture
def recording(tmp_path):
    """A function that makes a recording, of whose content nobody takes notice."""

    def make(name="a.webm", content=b"first"):
        path = tmp_path / "recordings" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    return make


@pytest.fixture
def begin(tmp_path, prompts):
    return functools.partial(Enrolment, tmp_path / "out", "ana", prompts)


def names(enrolment):
    return sorted(path.name for path in enrolment.folder.iterdir())


# Prompts ------------------------------------------------------------------------------------------------------------


def test_the_lists_that_ship_can_be_read_aloud():
    for name in SHIPPED:
        read = read_prompts(name)
        assert len(set(read.texts)) == len(read.texts) == 50 and read.refused == ()
    assert {word for line in read_prompts("grid").texts for word in line.split()} == set(WORDS)


def test_lines_that_nobody_can_say_are_counted_and_told(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("\ufeffRuf 110 an\n\n♥ ☺\n  Grüß Gott! \n'\n", encoding="utf-8")
    read = read_prompts(path)
    assert read.texts == ("Grüß Gott!",)
    first, second, third = read.refused
    assert first == f"{path}, line 1: 'Ruf 110 an' has digits. Spell them out as they are to be said."
    assert second.startswith(f"{path}, line 3: '♥ ☺' has no letter") and "line 5" in third
    path.write_text("♥\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"p\.txt: no prompts in it\. Write a sentence a line\..*line 1"):
        read_prompts(path)
    with pytest.raises(UsageError, match=r"everyday, grid, or a file .* Received: evryday"):
        read_prompts("evryday")


# Filing -------------------------------------------------------------------------------------------------------------


def test_takes_lie_as_prepare_reads_them(begin, recording, tmp_path):
    enrolment = begin(takes=2)
    assert enrolment.next_slot() == Slot(1, 1)
    wrote = enrolment.file(Slot(1, 1), recording(), GOOD)
    enrolment.file(Slot(3, 2), recording("b.MP4", b"second"), GOOD)
    assert wrote.read_bytes() == b"first" and wrote.name == "0001_take1.webm"
    takes = ["0001_take1.txt", "0001_take1.webm", "0003_take2.mp4", "0003_take2.txt"]
    assert names(enrolment) == [*takes, "enrolment.json"]
    corpus = find_spoken(tmp_path / "out")
    assert [(one.id, one.speaker, one.text) for one in corpus.spoken] == [
        ("ana/0001_take1", "ana", "buenos días señor"),
        ("ana/0003_take2", "ana", "una cosa más"),
    ]
    assert not corpus.failures and not corpus.warnings


def test_what_comes_next(begin, recording):
    enrolment, order = begin(takes=2), []
    while slot := enrolment.next_slot():
        order.append(slot)
        enrolment.file(slot, recording(), GOOD)
    assert order == [Slot(number, take) for take in (1, 2) for number in (1, 2, 3)]
    enrolment.drop(Slot(2, 1))
    assert enrolment.next_slot() == enrolment.next_slot(after=Slot(3, 2)) == Slot(2, 1)
    assert begin(takes=3).next_slot() == Slot(2, 1) and begin(takes=3).next_slot(after=Slot(2, 1)) == Slot(1, 3)
    assert "5 takes of 3 prompts, 1 to record" in enrolment.describe()


def test_stopping_and_going_on_loses_nothing(begin, recording, tmp_path):
    begin().file(Slot(1, 1), recording(), GOOD)
    again = Enrolment(tmp_path / "out", "ana")  # prompts are those that were begun with
    assert again.next_slot() == Slot(2, 1) and again.text(Slot(2, 1)) == "Mañana será otro día."
    assert again.record(Slot(1, 1)) == {"mouth_px": 30, "advice": ["Come closer."]}
    assert Enrolment(tmp_path / "out", "bob").text(Slot(1, 1)) == read_prompts("everyday").texts[0]


def test_a_take_that_was_cut_off_by_a_kill_is_recorded_again(begin, recording):
    enrolment = begin()
    (enrolment.folder / "0001_take1.txt").write_text("¡Buenos días, señor!", encoding="utf-8")  # and no recording
    (enrolment.folder / ".partial-1234-0001_take1.webm").write_bytes(b"half")
    enrolment.file(Slot(2, 1), recording(), GOOD)
    (enrolment.folder / "enrolment.json").unlink()  # and what it told of the second one
    again = begin()
    assert again.next_slot() == Slot(1, 1) and list(again.filed()) == [Slot(2, 1)]
    assert not [name for name in names(again) if name.startswith(".partial")]


def test_a_repeated_take_takes_the_place_of_the_first_once_it_is_there(begin, recording, monkeypatch):
    enrolment = begin()
    enrolment.file(Slot(1, 1), recording(), GOOD)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(DiskFullError):
            enrolment.file(Slot(1, 1), recording("b.mp4", b"second"), GOOD)
    assert enrolment.filed()[Slot(1, 1)].read_bytes() == b"first"
    enrolment.file(Slot(1, 1), recording("b.mp4", b"second"), GOOD)
    assert names(enrolment) == ["0001_take1.mp4", "0001_take1.txt", "enrolment.json"]
    assert enrolment.filed()[Slot(1, 1)].read_bytes() == b"second"


def full(source, target):
    raise OSError(errno.ENOSPC, "No space left on device", str(target))


def test_the_disk_full_at_a_take_leaves_the_earlier_ones(begin, recording, monkeypatch):
    enrolment = begin()
    enrolment.file(Slot(1, 1), recording(), GOOD)
    before = names(enrolment)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(DiskFullError, match=r"0002_take1\.webm: no space left on the disk\. Free some space"):
            enrolment.file(Slot(2, 1), recording(), GOOD)
    assert names(enrolment) == before and begin().next_slot() == Slot(2, 1)


def test_takes_of_other_prompts_are_refused(begin, recording, prompts, tmp_path):
    begin()
    text = prompts.read_text(encoding="utf-8")
    prompts.write_text(text + "Gracias.\n", encoding="utf-8")
    assert len(begin().prompts.texts) == 4
    prompts.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="was begun with 4 prompts, and 3 are given"):
        begin()
    prompts.write_text(text.replace("Mañana", "Hoy"), encoding="utf-8")
    with pytest.raises(DataError, match=r"number 2 was 'Mañana será otro día\.' and is 'Hoy será"):
        begin()
    (tmp_path / "out/ana/enrolment.json").write_text('{"version": 1, "prompts": 3}', encoding="utf-8")
    with pytest.raises(DataError, match=r"enrolment\.json: cannot be read .*Remove it and give --prompts again"):
        begin()


@pytest.mark.parametrize("speaker", ["", "a/b", "..", ".ana"])
def test_a_speaker_is_the_name_of_a_folder(speaker, tmp_path):
    with pytest.raises(UsageError, match="speaker must be the name of a folder"):
        Enrolment(tmp_path, speaker)
    assert list(tmp_path.iterdir()) == []


def test_there_are_no_other_slots(begin, recording):
    for slot in (Slot(0, 1), Slot(4, 1), Slot(1, 0)):
        with pytest.raises(UsageError, match="there is no take"):
            begin().file(slot, recording(), GOOD)
    assert names(begin()) == ["enrolment.json"]


# Recordings that exist ----------------------------------------------------------------------------------------------


def look(path, text, detector=None):
    """As `check_take`, by the content of the file."""
    content = path.read_bytes().decode()
    if content == "broken":
        raise MediaError(path, "damaged", "Replace it.")
    return TakeCheck(("2 faces are seen.",), (), {}) if content == "two" else GOOD


def test_recordings_are_filed_by_the_number_of_their_prompt(begin, recording, tmp_path):
    for name, content in (("2.mp4", b"fine"), ("0001 a.mov", b"two"), ("001 b.mov", b"fine"), ("3.avi", b"broken")):
        recording(name, content)
    recording("notes.txt")
    enrolment = begin()
    result = enrol_recordings(tmp_path / "recordings", enrolment, look)
    rows = {row["path"].rsplit("/")[-1]: row for row in result["files"]}
    assert rows["0001 a.mov"]["faults"] == ["2 faces are seen."] and "wrote" not in rows["0001 a.mov"]
    assert rows["3.avi"]["error"].endswith("3.avi: damaged. Replace it.")
    assert rows["2.mp4"]["prompt"] == "Mañana será otro día." and rows["2.mp4"]["advice"] == ["Come closer."]
    assert list(enrolment.filed()) == [Slot(1, 2), Slot(2, 1)]
    assert result["left"] == ["Una cosa más."] and "1 of another kind" in result["warnings"][0]
    json.dumps(result)


def test_recordings_without_numbers_go_by_their_order(begin, recording, tmp_path):
    for number in (3, 20, 100):
        recording(f"20261101_{number}.mp4", str(number).encode())
    enrolment = begin()
    enrol_recordings(tmp_path / "recordings", enrolment, look)
    assert [path.read_bytes() for path in enrolment.filed().values()] == [b"3", b"20", b"100"]
    recording("20261101_4.mp4")
    with pytest.raises(
        DataError, match=r"which of 3 prompts each of 4 recordings is of\. Begin each name with the number"
    ):
        enrol_recordings(tmp_path / "recordings", enrolment, look)
    with pytest.raises(DataError, match="no videos in it"):
        (tmp_path / "nothing").mkdir()
        enrol_recordings(tmp_path / "nothing", enrolment, look)


def test_what_is_filed_is_not_looked_at_again_until_it_changes(begin, recording, tmp_path):
    recording("1.mp4"), recording("2.mp4")
    seen = []

    def watch(path, text):
        seen.append(path.name)
        return GOOD

    for expected in (["1.mp4", "2.mp4"], []):
        seen.clear()
        rows = enrol_recordings(tmp_path / "recordings", begin(), watch)["files"]
        assert seen == expected and all("wrote" in row and row["advice"] == ["Come closer."] for row in rows)
    recording("2.mp4", b"another")
    enrol_recordings(tmp_path / "recordings", begin(), watch)
    assert seen == ["2.mp4"] and begin().filed()[Slot(2, 1)].read_bytes() == b"another"


def test_a_full_disk_stops_it_and_leaves_the_earlier_ones(begin, recording, tmp_path, monkeypatch):
    for number in (1, 2, 3):
        recording(f"{number}.mp4")
    copy = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", lambda a, b: full(a, b) if a.name == "2.mp4" else copy(a, b))
    with pytest.raises(DiskFullError):
        enrol_recordings(tmp_path / "recordings", begin(), look)
    assert list(begin().filed()) == [Slot(1, 1)]


def test_a_sentence_far_below_the_others_is_another_one(begin, recording, tmp_path):
    for take in range(6):
        recording(f"1_{take}.mp4", str(take).encode())
    scores = dict(zip(range(6), [-0.2, -0.1, -6.0, 0.1, -0.3, None], strict=True))

    def score(path, text):
        assert text == "¡Buenos días, señor!"
        number = scores[int(path.read_bytes())]
        if number is None:
            raise DataError("'ñ' is a symbol that the tokenizer does not have.")
        return number

    enrolment = begin()
    rows = enrol_recordings(tmp_path / "recordings", enrolment, look, score=score)["files"]
    assert rows[2]["faults"] == ["The lips do not say this sentence: -6.0 for a letter, the others -0.2. Say it again."]
    assert sorted(enrolment.filed()) == [Slot(1, take) for take in (1, 2, 4, 5, 6)]
    assert "Not compared with the others: 'ñ'" in rows[5]["advice"][-1] and "wrote" in rows[5]


def test_far_below_is_told_from_a_spread():
    slots = [Slot(number, 1) for number in range(1, 7)]
    assert far_below(dict(zip(slots[:4], [0.1, 0.0, 0.1, -9.0], strict=False))) == []  # too few to tell
    assert far_below(dict(zip(slots, [0.1, 0.0, 0.1, 0.0, 0.1, -0.8], strict=True))) == []  # nearly all alike
    assert far_below(dict(zip(slots, [-5.0, -4.0, -2.9, -2.4, -1.2, -5.7], strict=True))) == []  # knows nobody yet
    assert far_below(dict(zip(slots, [0.1, 0.0, 0.1, 0.0, 0.1, -5.3], strict=True))) == [slots[5]]


# The command --------------------------------------------------------------------------------------------------------


def test_the_command(recording, prompts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tfav.io.faces.FaceDetector", lambda: None)
    monkeypatch.setattr("tfav.speech.take_check.check_take", look)
    recording("1.mp4", b"fine"), recording("2.mp4", b"two"), recording("3.mp4", b"broken")
    prompts.write_text(prompts.read_text(encoding="utf-8") + "♥\n", encoding="utf-8")
    arguments = ["enrol", "--source", tmp_path / "recordings", "--out", tmp_path / "out", "--prompts", prompts]
    assert cli.main([*map(str, arguments), "--speaker", "ana", "--json"]) == 1
    said = capsys.readouterr()
    assert "1.mp4: good: ¡Buenos días, señor!\n  Come closer." in said.out
    assert "2.mp4: repeat: Mañana será otro día.\n  2 faces are seen." in said.out
    assert "3.mp4: damaged" in said.err and "line 4: '♥' has no letter" in said.err
    assert "1 good, 2 to repeat" in said.out and "1 takes of 3 prompts, 2 to record" in said.out
    assert len(json.loads(said.out.splitlines()[-1])["files"]) == 3
    assert (tmp_path / "out/ana/0001_take1.mp4").exists()
    (tmp_path / "recordings/3.mp4").unlink(), (tmp_path / "recordings/2.mp4").unlink()
    assert cli.main([*map(str, arguments), "--speaker", "bob"]) == 0
    assert cli.main([*map(str, arguments), "--speaker", "a/b"]) == 2
    assert cli.main([*map(str, arguments), "--run-dir", str(tmp_path)]) == 2
    assert "not a run folder" in capsys.readouterr().err


def test_the_command_asks_a_run(recording, prompts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tfav.systems.lipnet.predict.open_scorer", lambda run: lambda path, text: -int(path.stem))
    monkeypatch.setattr("tfav.io.faces.FaceDetector", lambda: None)
    monkeypatch.setattr("tfav.speech.take_check.check_take", look)
    monkeypatch.setattr(enrolments, "far_below", lambda scores: [slot for slot in scores if scores[slot] == -3])
    for number in (1, 2, 3):
        recording(f"{number}.mp4", b"fine")
    arguments = ["--source", tmp_path / "recordings", "--out", tmp_path / "out", "--prompts", prompts]
    assert cli.main(["enrol", *map(str, arguments), "--run-dir", "pretrained"]) == 1
    assert "3.mp4: repeat: Una cosa más.\n  The lips do not say this sentence: -3.0" in capsys.readouterr().out
    assert list(Enrolment(tmp_path / "out").filed()) == [Slot(1, 1), Slot(2, 1)]
