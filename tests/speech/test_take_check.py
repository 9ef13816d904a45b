"""Takes of a drawn speaker, good and spoilt in known ways, and what a person is told of each."""

import itertools

import cv2
import numpy as np
import pytest

from tests.conftest import shared_root
from tfav.errors import MediaError
from tfav.io.encoding import write_video
from tfav.io.faces import Face, FaceDetector
from tfav.io.video import read_video
from tfav.speech.synthetic_speaker import SAMPLE_RATE, sing, speak
from tfav.speech.take_check import check_take

TEXT = "bin blue at f two now"
MOUTH, EYES = np.array([180.0, 187.0]), np.array([180.0, 127.0])  # of the drawn face
SILENCE = np.zeros(2 * SAMPLE_RATE, np.float32)


def face(eye_px=52.0, shift=0.0):
    right = np.array([shift, 0.0])
    return Face(MOUTH + right, EYES + right, eye_px, (0, 0, 1, 1), 0.9)


class Sees:
    """A detector that gives out prepared faces, look after look; the last list for ever."""

    def __init__(self, *looks):
        self._looks = itertools.chain(looks, itertools.repeat(looks[-1]))

    def __call__(self, frame):
        return next(self._looks)


@pytest.fixture(scope="module")
def frames():
    """Two seconds of somebody who speaks."""
    return np.stack(list(itertools.islice(speak(TEXT), 50)))


@pytest.fixture(scope="module")
def voice():
    """Tones for a second, with silence around."""
    return np.concatenate(
        [SILENCE[: SAMPLE_RATE // 2], sing("a", SAMPLE_RATE, SAMPLE_RATE), SILENCE[: SAMPLE_RATE // 2]]
    )


@pytest.fixture
def check(tmp_path):
    def check(frames, sees=None, *, sound=None, fps=25, text=TEXT):
        path = write_video(tmp_path / "take.mp4", frames, fps, preset="ultrafast", sound=sound)
        return check_take(path, text, sees or Sees([face()]))

    return check


def blurred(frames, px):
    return [cv2.GaussianBlur(frame, (0, 0), px) for frame in frames]


def test_a_good_take_is_said_by_voice_or_by_lips_alone(check, frames, voice):
    heard, silent, muted = (check(frames, sound=sound) for sound in (voice, None, SILENCE))
    assert heard.faults == silent.faults == muted.faults == heard.advice == silent.advice == ()
    assert muted.advice == ("No voice is heard. If you did speak, turn on the microphone.",)
    assert [one.measured["said_by"] for one in (heard, silent, muted)] == ["sound", "lips", "lips"]
    assert 0.9 < heard.measured["speech_sec"] < 1.4 < silent.measured["speech_sec"]
    expected = {"duration_sec": 2.0, "fps": 25.0, "faces": 1, "mouth_share": 1.0, "mouth_px": 42, "turn": 1.15}
    assert heard.measured.items() >= expected.items()


FAULTS = {
    "no face": (Sees([]), "No face is seen. Look straight into the camera, with light on your face."),
    "two faces": (Sees([face(), face(shift=-100)]), "2 faces are seen. Be alone in the picture."),
    "gone for a third": (Sees(*[[face()]] * 5, *[[]] * 4, [face()]), "The mouth is seen for 69% of the time."),
    "beyond the border": (Sees([face(shift=140)]), "The mouth is seen for 0% of the time. Sit in the middle"),
    "turned away": (Sees([face(eye_px=36)]), "The face is turned away. Look straight into the camera."),
    "too far away": (Sees([face(eye_px=16)]), "The mouth is 13 pixels wide, and 32 or more are wanted. Come closer"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_face_that_cannot_be_read_is_a_line_with_a_remedy(what, check, frames):
    sees, line = FAULTS[what]
    faults = check(frames, sees).faults
    assert any(fault.startswith(line) for fault in faults), faults
    assert all(fault.endswith(".") and "\n" not in fault for fault in faults)
    # A face that is as far away as it is turned would be both.
    assert len(faults) == 1 or what == "too far away"


def test_a_slip_of_the_detector_is_no_second_person(check, frames):
    found = check(frames, Sees([face()], [face(), face(shift=-100)], [face()]))
    assert found.faults == () and found.measured["faces"] == 1


def test_a_face_lost_at_the_end_of_a_long_take_is_told(check, frames):
    long = np.concatenate([frames] * 6)[:290]  # the last 28 frames are a tenth, and more than a second
    found = check(long, Sees(*[[face()]] * 66, []))
    assert found.measured["mouth_share"] > 0.9
    assert [fault.split(". ")[0] for fault in found.faults] == ["The face is seen from 0.0 to 10.4 s of 11.6 s only"]


SPOILT = {
    "dark": (lambda frames: (frames * 0.1).astype(np.uint8), 1, "The face is too dark. Turn to a window"),
    "dim": (lambda frames: (frames * 0.22).astype(np.uint8), 0, "The face is too dark. Turn to a window"),
    "glaring": (lambda frames: np.clip(frames * 1.5, 0, 255).astype(np.uint8), 0, "The face is too bright."),
    "blurred": (lambda frames: blurred(frames, 7), 1, "The picture is blurred. Clean the lens"),
    "soft": (lambda frames: blurred(frames, 3.5), 0, "The picture is blurred. Clean the lens"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_light_and_blur(what, check, frames):
    spoil, repeat, line = SPOILT[what]
    found = check(spoil(frames))
    lines, others = (found.faults, found.advice) if repeat else (found.advice, found.faults)
    assert [one[: len(line)] for one in lines] == [line] and others == (), found


def test_a_take_of_silence_and_a_voice_that_is_not_that_of_the_face(check, frames, voice):
    still = [frames[0]] * 50
    for sound in (None, SILENCE):
        (fault,) = check(still, sound=sound).faults
        assert fault.startswith("Nothing is said: the lips do not move. Say the sentence")
    (fault,) = check(still, sound=voice).faults
    assert fault.startswith("A voice is heard, but the lips do not move.")


def test_length(check, frames, voice):
    (fault,) = check(frames[:13]).faults
    assert fault == "It lasts 0.5 seconds, too short for this sentence. Say all of it before you stop."
    assert check(frames[:13], fps=1).faults == ("It lasts 13.0 seconds, more than 12. Stop when the sentence is said.",)
    (fault,) = check(frames, sound=voice, text=TEXT + " and a lot more than that was to be said").faults
    assert fault.startswith("Only 1.") and fault.endswith("seconds are spoken. Say the whole sentence.")
    (line,) = check(frames[::3], fps=8).advice
    assert line == "The camera gave 8 pictures a second. Turn on more light, or close other programs."


def test_a_small_mouth_is_only_advised_against(check, frames):
    found = check(frames, Sees([Face(MOUTH, MOUTH - np.array([0, 32]), 30.0, (0, 0, 1, 1), 0.9)]))
    assert found.faults == () and found.advice[0].startswith("The mouth is 24 pixels wide")


def test_what_cannot_be_read_names_the_file(tmp_path):
    (tmp_path / "cut.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    with pytest.raises(MediaError, match=r"cut\.mp4"):
        check_take(tmp_path / "cut.mp4", TEXT, Sees([]))


def test_real_speakers_pass_and_two_at_once_do_not(tmp_path, shared_data):
    detector = FaceDetector(shared_data("weights/face_detection_yunet_2023mar.onnx"))
    paths = [shared_data(f"grid/{name}") for name in ("s1/bbaf2n.mp4", "others/s4/swbi2s.mp4")]
    for path in paths:
        found = check_take(path, TEXT, detector)
        assert found.faults == found.advice == ()
    both = np.concatenate([read_video(paths[0]).frames[:40]] * 2, axis=2)
    found = check_take(write_video(tmp_path / "two.mp4", both, 25), TEXT, detector)
    assert found.faults[0] == "2 faces are seen. Be alone in the picture."


def test_the_drawn_face_passes_the_real_detector(tmp_path, frames):
    path = shared_root() / "weights/face_detection_yunet_2023mar.onnx"
    if not path.exists():
        pytest.skip("no face detector here")
    assert check_take(write_video(tmp_path / "take.mp4", frames, 25), TEXT, FaceDetector(path)).faults == ()
