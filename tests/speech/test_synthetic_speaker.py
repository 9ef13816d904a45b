"""The drawn face moves its mouth as it should, and the face detector sees it for one."""

import numpy as np
import pytest

from tfav.io.faces import FaceDetector, track_faces
from tfav.speech import synthetic_speaker


def mouth_darkness(frame):
    return 255 - frame[180:200, 165:195].mean()


def test_the_mouth_opens_with_the_letters():
    closed, open_wide = synthetic_speaker.draw_face(0, 0), synthetic_speaker.draw_face(1, 0)
    assert closed.shape == (288, 360, 3) and closed.dtype == np.uint8
    assert (closed[:140] == open_wide[:140]).all() and (closed[170:210] != open_wide[170:210]).any()
    frames = list(synthetic_speaker.speak("ba"))
    assert len(frames) == 2 * 10 + 2 * 2
    assert mouth_darkness(frames[12]) > mouth_darkness(frames[3]) + 5


def test_the_mouths_of_letters_are_drawn_on_it():
    closed, wide, toothy = (frame[:, :, 0].astype(int) for frame in synthetic_speaker.mouth_letters(" lx"))
    assert closed[187, 180] > 100 > 40 > wide[187, 180] and toothy[187, 180] > 100
    assert abs(closed - wide)[:150].max() < 40 < abs(closed - wide)[165:210].max()  # the rest differs by noise alone


def test_a_mouth_alone_shows_its_inside_when_it_is_open():
    def levels(opening, teeth):
        picture = synthetic_speaker.draw_mouth((0.5, opening, teeth), (28, 14), skin=150, lips=80)
        return picture[14, 28], set(np.unique(picture))

    assert levels(0, 1) == (80, {80, 150})  # closed: lips on skin, whatever is behind them
    assert levels(1, 0) == (20, {20, 80, 150}) and levels(1, 1) == (220, {80, 150, 220})


def test_the_mouth_opens_and_shuts_alike_and_never_further_than_wide(monkeypatch):
    seen = []
    monkeypatch.setattr(synthetic_speaker, "draw_face", lambda opening, *_, **__: seen.append(opening) or 0)
    for text, widest in (
        ("aaa", 1),
        ("t", 0.25 * 0.75),
    ):  # two frames a letter: at its height the neighbour counts, too
        seen.clear()
        list(synthetic_speaker.speak(text))
        assert max(seen) == pytest.approx(widest) and seen == pytest.approx(seen[::-1])
        assert seen[8] == 0 < seen[9] < seen[10] and sum(seen) == pytest.approx(
            2 * sum({"a": 1, "t": 0.25}[c] for c in text)
        )


def test_same_seed_same_frames():
    first, again, other = (np.stack(list(synthetic_speaker.speak("a", seed=seed))) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_yunet_sees_a_face_that_speaks(shared_data):
    detector = FaceDetector(shared_data("weights/face_detection_yunet_2023mar.onnx"))
    scene = track_faces(synthetic_speaker.speak("bin blue"), detector)
    (track,) = scene.tracks
    assert len(track.frames) == -(-scene.num_frames // scene.every) and track.motion > 0.05
    assert np.allclose([face.mouth for face in track.faces], (180, 185), atol=12)
