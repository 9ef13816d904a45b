"""Faces followed, the speaking one chosen, the mouth cut out: made detections with known answers, and real faces."""

import numpy as np
import pytest

from tests.conftest import shared_root
from tfav.errors import DataError, UsageError
from tfav.io import faces, fetch, mouth
from tfav.io.faces import Face, FaceDetector, Scene, Track, detector_file, track_faces
from tfav.io.mouth import choose_face, crop_mouths, follow, mouth_box
from tfav.io.video import read_video

MODEL = "weights/face_detection_yunet_2023mar.onnx"


def face_at(x, y, eye_px=40.0):
    return Face(np.array([x, y], float), np.array([x, y - 1.1 * eye_px]), eye_px, (0, 0, 1, 1), 0.9)


class ScriptedDetector:
    """Gives out prepared faces, one list for each look."""

    def __init__(self, looks):
        self.looks = iter(looks)

    def __call__(self, frame):
        return next(self.looks)


def scene_of(looks, *, every=4, frames=None):
    frames = [np.zeros((240, 320, 3), np.uint8)] * (every * len(looks)) if frames is None else frames
    return track_faces(frames, ScriptedDetector(looks), every=every)


def test_two_faces_keep_their_tracks_when_they_come_in_any_order_and_one_is_missed():
    left = [face_at(80 + i, 100) for i in range(6)]
    right = [face_at(240 - i, 120) for i in range(6)]
    looks = [[a, b] if i % 2 else [b, a] for i, (a, b) in enumerate(zip(left, right, strict=True))]
    looks[3] = [right[3]]
    scene = scene_of(looks)
    assert [track.frames for track in scene.tracks] == [[0, 4, 8, 12, 16, 20], [0, 4, 8, 16, 20]]
    assert [face.mouth[0] for face in scene.tracks[1].faces] == [80, 81, 82, 84, 85]


def test_a_face_that_jumps_or_changes_its_size_is_another_one():
    assert len(scene_of([[face_at(80, 100)], [face_at(200, 100)]]).tracks) == 2
    assert len(scene_of([[face_at(80, 100)], [face_at(80, 100, eye_px=90)]]).tracks) == 2
    assert len(scene_of([[face_at(80, 100)], [face_at(110, 110)]]).tracks) == 1


def test_the_speaking_face_is_chosen_over_one_that_stands_still_or_moves_as_a_whole():
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (240, 320, 3), np.uint8)
    looks = [[face_at(80, 140), face_at(240, 140)]] * 5
    frames = []
    for index in range(20):
        frame = texture.copy()
        frame[:, :160] = np.roll(frame[:, :160], index, axis=1)  # the left head moves as a whole
        if index % 4 >= 2:
            frame[130:150, 225:255] = 255 - frame[130:150, 225:255]  # the right mouth opens
        frames.append(frame)
    scene = scene_of(looks, frames=frames)
    assert scene.tracks[1].motion > 2 * scene.tracks[0].motion
    assert choose_face(scene) is scene.tracks[1]
    assert choose_face(scene, 1) is scene.tracks[0]
    assert scene_of(looks, frames=[texture] * 20).tracks[0].motion == 0
    with pytest.raises(UsageError, match=r"no face 3\. Faces seen: 1 at \(80, 140\) from 0\.0 to 0\.6 s.*2 at \(240"):
        choose_face(scene, 3)


def test_of_faces_that_all_stand_still_the_one_longest_on_screen_is_chosen():
    scene = scene_of([[face_at(80, 100)], [face_at(80, 100), face_at(240, 100)], [face_at(240, 100)]] + [[]] * 2)
    scene.tracks[0].frames.append(16)
    assert choose_face(scene) is scene.tracks[0]


def test_no_face_says_what_was_looked_at():
    with pytest.raises(DataError, match="no face was found in 8 frames of 320x240"):
        choose_face(scene_of([[], []]))


def lost(frames, num_frames=75):
    track = Track(frames, [face_at(100 + frame, 100) for frame in frames])
    return follow(track, Scene([track], num_frames, 240, 320, 4), fps=25.0)


def test_a_face_lost_for_a_moment_is_bridged_by_a_line_with_a_warning():
    path = lost([*range(0, 21, 4), *range(40, 75, 4)])
    assert path.warnings == ["the face is lost from 0.8 to 1.6 s; the mouth's place is guessed there"]
    assert path.start == 0
    assert path.stop == 75
    np.testing.assert_allclose(path.centers[15:55, 0], 100 + np.arange(15, 55), atol=1e-9)


def test_a_face_lost_for_too_long_is_an_error_that_says_when():
    with pytest.raises(DataError, match=r"lost from 0\.8 to 2\.2 s, longer than 1 s"):
        lost([*range(0, 21, 4), *range(56, 75, 4)])


def test_a_face_that_comes_late_and_leaves_early_has_a_shorter_path():
    path = lost(list(range(40, 101, 4)), num_frames=200)
    assert (path.start, path.stop) == (40, 101)
    assert len(path.centers) == len(path.eye_px) == 61
    assert path.warnings == ["the face is seen from 1.6 to 4.0 s of 8.0 s only"]
    assert not lost(list(range(0, 75, 4))).warnings


def test_smoothing_takes_off_jitter_and_the_box_keeps_its_size():
    rng = np.random.default_rng(0)
    frames = list(range(0, 75, 4))
    track = Track(frames, [face_at(100 + rng.normal(0, 2), 100, 40 + rng.normal(0, 1)) for _ in frames])
    path = follow(track, Scene([track], 75, 240, 320, 4))
    assert np.abs(np.diff(path.centers[:, 0])).max() < 0.5
    assert np.ptp(path.eye_px) == 0
    assert path.eye_px[0] == pytest.approx(np.median([face.eye_px for face in track.faces]))


@pytest.mark.parametrize("center", [(0, 0), (319, 239), (160, 120), (500, -80)])
@pytest.mark.parametrize("eye_px", [10.0, 60.0, 400.0])
@pytest.mark.parametrize("box", [mouth.WIDE, mouth.CLOSE])
def test_the_box_stays_inside_the_frame(center, eye_px, box):
    x, y, width, height = mouth_box(np.array(center, float), eye_px, 240, 320, box)
    assert x - width / 2 >= -1e-9
    assert y - height / 2 >= -1e-9
    assert x + width / 2 <= 320 + 1e-9
    assert y + height / 2 <= 240 + 1e-9
    assert width / height == pytest.approx(box.width / box.height)
    if eye_px < 100:
        assert width == pytest.approx(box.eyes * eye_px)
        if center == (160, 120):
            assert y == pytest.approx(120 + box.below * eye_px)


def test_the_crop_follows_a_moving_mouth_to_a_fraction_of_a_pixel():
    columns = np.arange(320)
    frames, centers = [], []
    for index in range(30):
        x = 100 + 1.3 * index
        stripe = 255 * np.exp(-0.5 * ((columns - x) / 6) ** 2)
        frames.append(np.repeat(np.tile(stripe, (240, 1))[..., None], 3, axis=2).astype(np.uint8))
        centers.append((x + 0.5, 120))  # the pixel of column x spans x to x + 1
    path = mouth.MouthPath(np.array(centers), np.full(30, 104 / 1.75), 0, 30, [])
    crops = np.stack(list(crop_mouths(frames, path)))
    assert crops.shape == (30, 56, 104)
    assert crops.dtype == np.uint8
    weights = crops[:, 28].astype(float)
    found = (weights * np.arange(104)).sum(1) / weights.sum(1)
    np.testing.assert_allclose(found, 51.5, atol=0.15)


# The model file -----------------------------------------------------------------------------------------------------


def test_the_mouth_of_a_short_clip_is_cut_from_its_first_frame_to_its_last(monkeypatch):
    looks = [[face_at(100, 120)], [face_at(100, 120), face_at(240, 120)]] * 5
    monkeypatch.setattr(mouth, "_detector", lambda path: ScriptedDetector(looks))
    frames = np.zeros((40, 240, 320, 3), np.uint8)
    frames[4:, 118:123, 98:103] = 255  # teeth, in the middle of what is cut out
    crops, warnings = mouth.crop_speaker(frames, "some.onnx", box=mouth.WIDE)
    assert crops.shape == (40, 56, 104) and crops.dtype == np.uint8
    assert (crops[:4] == 0).all() and (crops[4:, 28, 52] == 255).all() and (crops[4:, :20] == 0).all()
    assert warnings == ["2 faces; the one that moves its mouth most was taken"]
    looks[:9] = [[]] * 9  # longer than the second that may be guessed
    with pytest.raises(DataError, match=r"the face is seen from 1\.4 to 1\.6 s of 1\.6 s only"):
        mouth.crop_speaker(frames, "some.onnx", box=mouth.WIDE)


def test_the_model_is_never_silently_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("TFAV_CACHE", str(tmp_path))
    monkeypatch.delenv("TFAV_FACE_DETECTOR", raising=False)
    with pytest.raises(UsageError, match=r"absent\.onnx: no such file"):
        detector_file(tmp_path / "absent.onnx")
    monkeypatch.setenv("TFAV_FACE_DETECTOR", str(tmp_path / "gone.onnx"))
    with pytest.raises(UsageError, match=r"gone\.onnx: no such file"):
        detector_file()
    monkeypatch.delenv("TFAV_FACE_DETECTOR")
    by_hand = tmp_path / "downloads" / "face_detection_yunet_2023mar.onnx"
    by_hand.parent.mkdir()
    by_hand.write_bytes(b"not the model")
    with pytest.raises(fetch.FetchError, match="its bytes is 13"):
        detector_file()


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="not a face detector"):
        FaceDetector(tmp_path / "model.onnx")


def test_the_registered_checksum_is_that_of_the_real_file(shared_data, monkeypatch, tmp_path):
    monkeypatch.setenv("TFAV_CACHE", str(tmp_path))
    monkeypatch.delenv("TFAV_FACE_DETECTOR", raising=False)
    by_hand = tmp_path / "downloads" / "face_detection_yunet_2023mar.onnx"
    by_hand.parent.mkdir()
    by_hand.write_bytes(shared_data(MODEL).read_bytes())
    path = detector_file()
    assert path == tmp_path / "face-detector" / "face_detection_yunet_2023mar.onnx"
    assert path.read_bytes() == by_hand.read_bytes()


# Real faces ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector():
    path = shared_root() / MODEL
    if not path.exists():
        pytest.skip(f"real data {MODEL} not found (set TFAV_DATA to its folder)")
    return FaceDetector(path)


@pytest.fixture(scope="module")
def speaker():
    path = shared_root() / "grid/s1/bbaf2n.mp4"
    if not path.exists():
        pytest.skip("real data grid not found (set TFAV_DATA to its folder)")
    return read_video(path).frames


def test_the_mouth_of_a_real_speaker_is_found_where_it_is(detector, speaker):
    scene = track_faces(speaker, detector)
    path = follow(choose_face(scene), scene)
    assert len(scene.tracks) == 1
    assert len(scene.tracks[0].frames) == 19
    # Seen on the picture: the mouth's middle at about (162, 212) of 360x288, eyes 51 pixels apart.
    np.testing.assert_allclose(path.centers.mean(0), (162, 209), atol=6)
    assert path.eye_px[0] == pytest.approx(51, abs=2)
    crops = np.stack(list(crop_mouths(speaker, path)))
    assert crops.shape == (75, 56, 104)
    # Lips and the gap between them are darker than the skin above the corners of the mouth.
    assert crops[:, 24:36, 35:70].mean() < crops[:, 4:14, 10:30].mean() - 10


@pytest.mark.parametrize("change", ["dark", "grey", "portrait", "large"])
def test_other_looking_videos_are_read_too(detector, speaker, change):
    frames, factor, offset = speaker[:24], 1.0, np.zeros(2)
    if change == "dark":
        frames = (frames * 0.08).astype(np.uint8)
    elif change == "grey":
        frames = np.repeat(frames[..., 1:2], 3, axis=3)
    elif change == "portrait":
        frames, offset = np.pad(frames[:, :, 60:270], ((0, 0), (150, 60), (0, 0), (0, 0))), np.array([-60, 150])
    else:
        frames, factor = frames.repeat(3, axis=1).repeat(3, axis=2), 3.0
    scene = track_faces(frames, detector)
    path = follow(choose_face(scene), scene)
    np.testing.assert_allclose((path.centers.mean(0) - offset) / factor, (162, 212), atol=6)


def test_of_two_people_the_one_that_speaks_is_read(detector, speaker):
    rng = np.random.default_rng(0)
    still = np.clip(speaker[:1] + rng.normal(0, 4, (48, *speaker.shape[1:])), 0, 255).astype(np.uint8)
    for order, side in (((still, speaker[20:68]), 1), ((speaker[20:68], still), 0)):
        scene = track_faces(np.concatenate(order, axis=2), detector)
        chosen = choose_face(scene)
        assert len(scene.tracks) == 2
        assert (chosen.faces[0].mouth[0] > 360) == bool(side)


def test_a_frame_is_looked_at_once_in_four(detector, speaker, monkeypatch):
    looked = []
    monkeypatch.setattr(faces.FaceDetector, "__call__", lambda self, frame: looked.append(1) or [])
    track_faces(speaker, detector)
    assert len(looked) == 19
