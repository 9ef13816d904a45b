"""Whether a recording of somebody who says a sentence can be learnt from, and what to do where it cannot.

Thresholds were set on clips of GRID's speakers s1, s4 and s26, as they are and spoilt: blurred, shrunk, darkened,
squeezed as a face that turns away, standing still. Loads no TensorFlow.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from tfav.errors import DataError
from tfav.io.faces import DETECT_EVERY, Face, Scene, Track, track_faces
from tfav.io.mouth import WIDE, MouthPath, choose_face, crop_mouths, follow, mouth_box
from tfav.io.progress import Progress, no_progress, with_progress
from tfav.io.video import iter_frames_every, probe
from tfav.speech.activity import active_frames
from tfav.speech.corpus import MAX_SECONDS
from tfav.speech.grid import FPS
from tfav.speech.mouth_crops import SAMPLES_PER_FRAME, Cut, read_sound
from tfav.speech.text_normalization import normalize_text

MIN_SHARE = 0.9  # of the take in which the mouth must be seen whole
_MIN_SEC, _MIN_SEC_PER_LETTER = 0.5, 0.035  # quick speakers need 0.06 a letter, and pauses come on top
_CAMERA_FPS = 15.0  # below, what lips do between two frames is lost
_SEVERAL = 0.2  # share of the looks with more than one face; fewer are slips of the detector
_MOUTH_PER_EYES = 0.8  # width of a closed mouth in distances between the eyes
_SMALL_PX, _LOW_PX = 16, 32  # GRID's mouths are 35 to 44 pixels wide
_TURNED = 1.4  # eyes to mouth in distances between the eyes: 0.95 to 1.2 from the front, 1.3 at 45 degrees
_DARK, _DIM, _GLARING = 25, 50, 215  # mean grey level around the mouth
_BLURRED, _SOFT = 0.14, 0.24  # of `_sharpness`; GRID 0.35 to 0.49, blurred by 3 pixels 0.2 to 0.3, by 6 0.09 to 0.17
_MOVES, _RESTS = 0.15, 0.08  # of `_movement`; lips that speak 0.22 to 0.53, a face at rest below 0.1
_FAINT_DB, _LEAST_RISE_DB = -50.0, 12.0  # level of speech, and how far above the pauses it is


class TakeCheck(NamedTuple):
    """What was seen and heard in a take.

    Attributes:
        faults: Why it cannot be used, a line each with the remedy; empty: it can.
        advice: What would make it better, likewise.
        measured: What there is of `duration_sec`, `fps`, `faces`, `mouth_share` (0-1), `mouth_px`, `turn`, `light`
            (0-255), `sharpness`, `movement`, `speech_sec` and `said_by` (`sound`, `lips` or "").
    """

    faults: tuple[str, ...]
    advice: tuple[str, ...]
    measured: dict


def check_take(
    path: Path | str, text: str, detector: Callable[[np.ndarray], list[Face]], *, progress: Progress = no_progress
) -> TakeCheck:
    """Looks at a take: one face, its mouth seen nearly all the time, size, light, blur, length, and that it speaks.

    Args:
        path: The recording, any video; sound is used where there is some.
        text: What is to be said in it.
        detector: Finds faces, `tfav.io.faces.FaceDetector`.
        progress: Told frame by frame; see `tfav.io.progress`.

    Returns:
        The findings; a recording that no faults are found in can be prepared and trained on.

    Raises:
        MediaError: It cannot be read.

    Example:
        >>> check_take("ana/0001_take1.mp4", "buenos días", FaceDetector()).faults
        ('2 faces are seen. Be alone in the picture.',)
    """
    found = _Findings()
    info = probe(path, exact=False)
    found.measured |= {"duration_sec": round(info.duration_sec, 2), "fps": round(info.fps, 1)}
    letters = len(normalize_text(text).text.replace(" ", ""))
    least_sec = max(_MIN_SEC, _MIN_SEC_PER_LETTER * letters)
    if info.duration_sec > MAX_SECONDS:
        found.faults.append(
            f"It lasts {info.duration_sec:.1f} seconds, more than {MAX_SECONDS:g}. Stop when the sentence is said."
        )
        return found.done()  # nor is so much decoded
    if info.duration_sec < least_sec:
        found.faults.append(
            f"It lasts {info.duration_sec:.1f} seconds, too short for this sentence. Say all of it before you stop."
        )
    if info.fps < _CAMERA_FPS:
        found.advice.append(
            f"The camera gave {info.fps:.0f} pictures a second. Turn on more light, or close other programs."
        )
    count = round(info.duration_sec * FPS)
    frames = with_progress(iter_frames_every(path, 1 / FPS), count, progress, "Looking for the face", stop=0.7)
    scene = track_faces(frames, detector)
    track = _look_at_faces(scene, found)
    if track and (mouth_path := _mouth_path(track, scene, found)):
        frames = with_progress(iter_frames_every(path, 1 / FPS), count, progress, "Looking at the mouth", start=0.7)
        crops = np.stack(list(crop_mouths(frames, mouth_path)))
        sound, _ = read_sound(path, len(crops), Cut(WIDE, ""))
        _look_at_mouth(crops, found)
        _listen(crops, sound, least_sec, found)
    return found.done()


class _Findings:
    def __init__(self):
        self.faults: list[str] = []
        self.advice: list[str] = []
        self.measured: dict = {}

    def done(self) -> TakeCheck:
        return TakeCheck(tuple(self.faults), tuple(self.advice), self.measured)


def _look_at_faces(scene: Scene, found: _Findings) -> Track | None:
    """The face to read; None where there is none to go on with."""
    looks = len(range(0, scene.num_frames, scene.every))
    counts = Counter(frame for track in scene.tracks for frame in track.frames)
    several = sorted(count for count in counts.values() if count > 1)
    found.measured["faces"] = several[len(several) // 2] if len(several) > _SEVERAL * looks else min(1, len(counts))
    if not scene.tracks:
        found.faults.append("No face is seen. Look straight into the camera, with light on your face.")
        return None
    if found.measured["faces"] > 1:
        found.faults.append(f"{found.measured['faces']} faces are seen. Be alone in the picture.")
    track = choose_face(scene)
    whole = sum(_is_whole(face, scene) for face in track.faces)
    found.measured["mouth_share"] = round(whole / looks, 3)
    if whole < MIN_SHARE * looks:
        found.faults.append(
            f"The mouth is seen for {whole / looks:.0%} of the time. Sit in the middle, and look into the camera."
        )
    eye_px = float(np.median([face.eye_px for face in track.faces]))
    turn = float(np.median([np.hypot(*(face.mouth - face.eyes)) / face.eye_px for face in track.faces]))
    mouth_px = _MOUTH_PER_EYES * eye_px
    found.measured |= {"mouth_px": round(mouth_px), "turn": round(turn, 2)}
    if mouth_px < _LOW_PX:
        line = f"The mouth is {mouth_px:.0f} pixels wide, and {_LOW_PX} or more are wanted. Come closer to the camera."
        (found.faults if mouth_px < _SMALL_PX else found.advice).append(line)
    if turn > _TURNED:
        found.faults.append("The face is turned away. Look straight into the camera.")
    return track


def _is_whole(face: Face, scene: Scene) -> bool:
    """Whether the box around a mouth lies inside the picture without being moved or shrunk."""
    x, y, width, _ = mouth_box(face.mouth, face.eye_px, scene.height, scene.width, WIDE)
    return np.allclose((x, y, width), (*face.mouth, WIDE.eyes * face.eye_px), atol=0.5)


def _mouth_path(track: Track, scene: Scene, found: _Findings) -> MouthPath | None:
    """Where the mouth is from the first frame to the last, as preparing takes asks for; None: it is lost in between."""
    if found.measured["mouth_share"] < MIN_SHARE:
        return None  # as is told already
    try:
        path = follow(track, scene)
        lost = "" if (path.start, path.stop) == (0, scene.num_frames) else path.warnings[-1]
    except DataError as error:
        lost = str(error).split(", longer")[0]
    if lost:
        found.faults.append(f"{lost[0].upper()}{lost[1:]}. Keep it in the picture from beginning to end.")
    return None if lost else path


def _look_at_mouth(crops: np.ndarray, found: _Findings) -> None:
    light = float(crops.mean())
    sharpness = float(np.median([_sharpness(crop) for crop in crops[::DETECT_EVERY]]))
    found.measured |= {"light": round(light), "sharpness": round(sharpness, 3), "movement": round(_movement(crops), 3)}
    if light < _DIM:
        line = "The face is too dark. Turn to a window or a lamp, and have none behind you."
        (found.faults if light < _DARK else found.advice).append(line)
    if light > _GLARING:
        found.advice.append("The face is too bright. Turn away from the lamp a little.")
    if sharpness < _SOFT and light >= _DARK:
        line = "The picture is blurred. Clean the lens, hold still, and turn on more light."
        (found.faults if sharpness < _BLURRED else found.advice).append(line)


def _listen(crops: np.ndarray, sound: np.ndarray, least_sec: float, found: _Findings) -> None:
    """Whether the sentence was said, by the sound, or by the lips alone where it is silent."""
    heard, movement = _is_heard(sound), found.measured["movement"]
    moves = movement > (_RESTS if heard else _MOVES)
    active = np.flatnonzero(active_frames(crops[..., None], sound if heard else None))
    speech_sec = (active[-1] + 1 - active[0]) / FPS
    found.measured |= {
        "speech_sec": round(float(speech_sec), 2),
        "said_by": ("sound" if heard else "lips") if moves else "",
    }
    if not moves:
        seen = "A voice is heard, but the lips do not move" if heard else "Nothing is said: the lips do not move"
        found.faults.append(f"{seen}. Say the sentence to the camera when the countdown has ended.")
    elif speech_sec < least_sec <= len(crops) / FPS:  # a shorter take is told already
        found.faults.append(f"Only {speech_sec:.1f} seconds are spoken. Say the whole sentence.")
    elif len(sound) and not heard:
        found.advice.append("No voice is heard. If you did speak, turn on the microphone.")


def _is_heard(sound: np.ndarray) -> bool:
    if len(sound) < SAMPLES_PER_FRAME:
        return False
    frames = sound[: len(sound) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].reshape(-1, SAMPLES_PER_FRAME)
    level_db = 20 * np.log10(np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1)) + 1e-6)
    quiet_db, loud_db = np.percentile(gaussian_filter1d(level_db, 1.0), (5, 95))
    return bool(loud_db > _FAINT_DB and loud_db - quiet_db > _LEAST_RISE_DB)


def _sharpness(crop: np.ndarray) -> float:
    """How much the steepest edges of a picture `[H, W]` lose by a blur, 0-1: those that are blurred lose little.

    Noise is smoothed first. Neither contrast nor light count.

    Reference:
        Crete et al., 2007, "The blur effect: perception and estimation with a new no-reference perceptual blur metric".
    """
    smooth = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), 1.5)
    before, after = (
        float(np.percentile(np.hypot(*np.gradient(picture)), 99))
        for picture in (smooth, cv2.GaussianBlur(smooth, (0, 0), 3.0))
    )
    return 1 - after / max(before, 1e-3)


def _movement(crops: np.ndarray) -> float:
    """How much the middle of pictures `[T, H, W]` changes within 120 ms when it changes most, by their contrast."""
    smooth = np.stack([cv2.GaussianBlur(crop.astype(np.float32), (0, 0), 2.5) for crop in crops])
    smooth -= smooth.mean(axis=(1, 2), keepdims=True)  # light that flickers is no movement
    contrast = max(2.0, float(smooth.std(axis=(1, 2)).mean()))
    middle = smooth[:, crops.shape[1] // 4 : -(crops.shape[1] // 4), crops.shape[2] // 4 : -(crops.shape[2] // 4)]
    change = np.abs(middle[3:] - middle[:-3]).mean(axis=(1, 2))
    return float(np.percentile(change, 90) / contrast) if len(change) else 0.0
