"""Faces in video frames: found by YuNet every few frames, and linked over time into one track per person.

YuNet (Wu et al., 2023, "YuNet: a tiny millisecond-level face detector") gives a box and five points for each face. Its
model file is never silently missing: it is given by path or by `$TFAV_FACE_DETECTOR`, or fetched once and verified.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from tfav.errors import UsageError
from tfav.io.cache import cache_folder
from tfav.io.env_vars import variable
from tfav.io.fetch import DATASETS, fetch
from tfav.io.images import resize

DETECT_EVERY = 4  # frames: a head moves little in 160 ms, and detection costs ten times what decoding does
_MIN_SCORE = 0.6
_SIDES_PX = (320, 640)  # pictures are brought into this range for detection; GRID's 360x288 stay as they are
_DARK = 60  # mean grey level below which a picture is brightened for detection
_MAX_STEP = 1.5  # eye distances a face may move from one look to the next and still be the same face
_LOOK_AGAIN = 2  # frames after a detection at which the mouth is compared with itself: 80 ms
_PATCH = (16, 32)  # height, width of the pictures that are compared
_PATCH_EYES = 1.4  # their width in eye distances


class Face(NamedTuple):
    """One face in one frame, in pixels of that frame.

    `mouth` `[2]` float: x, y between the corners of the mouth; `eyes` `[2]`: between the eyes; `eye_px`: distance of
    the eyes; `box`: x, y, width, height; `score`: about 0-1.
    """

    mouth: np.ndarray
    eyes: np.ndarray
    eye_px: float
    box: tuple[float, float, float, float]
    score: float


@dataclasses.dataclass
class Track:
    """One person over time.

    Attributes:
        frames: Numbers of the frames in which the face was found, increasing.
        faces: The face in each of them.
        motion: How much the mouth moves more than the eyes do, mean over time; 0 for a picture that stands still.
    """

    frames: list[int]
    faces: list[Face]
    motion: float = 0.0


class Scene(NamedTuple):
    """All faces of a video: `tracks` by first appearance, then from the left; and what was looked at."""

    tracks: list[Track]
    num_frames: int
    height: int
    width: int
    every: int


def detector_file(path: Path | str | None = None) -> Path:
    """Where the detector's model lies: the given path, else `$TFAV_FACE_DETECTOR`, else fetched into the cache.

    Raises:
        UsageError: The given file is not there.
        FetchError: It cannot be fetched, or is not the registered file; the message says where to put it by hand.
    """
    for given, what in (
        (path, "given as the face detector's model"),
        (variable("TFAV_FACE_DETECTOR"), "named by $TFAV_FACE_DETECTOR"),
    ):
        if given:
            path = Path(given).expanduser()
            if not path.is_file():
                hint = "Correct the path, or leave it out to fetch the model."
                raise UsageError(f"{given}: no such file, {what}. {hint}")
            return path
    return fetch("face-detector", cache_folder(), quiet=True) / DATASETS["face-detector"].files[0].name


@contextlib.contextmanager
def _errors_only() -> Iterator[None]:
    """OpenCV 5 warns of a setting that nobody made; OpenCV 4 does not, and has no such module."""
    logging = getattr(cv2.utils, "logging", None)
    if logging is None:
        yield
        return
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        logging.setLogLevel(level)


class FaceDetector:
    """Finds the faces in one frame.

    Args:
        path: As in `detector_file`.

    Raises:
        UsageError: The file is no such model.
        FetchError: See `detector_file`.
    """

    def __init__(self, path: Path | str | None = None):
        path = detector_file(path)
        try:
            with _errors_only():
                self._detector = cv2.FaceDetectorYN.create(str(path), "", _SIDES_PX, _MIN_SCORE, 0.3, 100)
        except cv2.error as error:
            raise UsageError(f"{path}: not a face detector that OpenCV can read. Fetch it anew.") from error

    def __call__(self, frame: np.ndarray) -> list[Face]:
        """Return the faces in a frame `[H, W, 3]` uint8 RGB, from the left."""
        height, width = frame.shape[:2]
        longer = max(height, width)
        scale = np.clip(longer, *_SIDES_PX) / longer
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = resize(frame, *size[::-1])
        if picture.mean() < _DARK:
            picture = _brighten(picture)
        self._detector.setInputSize(size)
        _, found = self._detector.detect(np.ascontiguousarray(picture[..., ::-1]))
        rows = (np.zeros((0, 15)) if found is None else found).astype(np.float64)
        rows[:, :14:2] *= width / size[0]
        rows[:, 1:14:2] *= height / size[1]
        faces = [
            Face(
                mouth=(row[10:12] + row[12:14]) / 2,
                eyes=(row[4:6] + row[6:8]) / 2,
                eye_px=max(1.0, float(np.hypot(*(row[4:6] - row[6:8])))),
                box=tuple(row[:4].tolist()),
                score=float(row[14]),
            )
            for row in rows
        ]
        return sorted(faces, key=lambda face: face.mouth[0])


def _brighten(picture: np.ndarray) -> np.ndarray:
    top = max(1.0, float(np.percentile(picture, 99)))
    levels = np.clip(np.arange(256) / top, 0, 1) ** 0.6 * 255
    return levels.astype(np.uint8)[picture]


def track_faces(frames: Iterable[np.ndarray], detector: FaceDetector, *, every: int = DETECT_EVERY) -> Scene:
    """Follow all faces through a video, holding one frame at a time.

    Args:
        frames: `[H, W, 3]` uint8 RGB each, of one size.
        detector: Finds faces.
        every: Look for faces in one frame of so many.

    Returns:
        A `Scene`; its tracks may be none.

    Raises:
        UsageError: No frames, or `every` below 1.
    """
    if every < 1:
        raise UsageError(f"every must be 1 or more. Received: every={every}")
    tracks: list[Track] = []
    pending: list[tuple[Track, Face, np.ndarray]] = []
    motions: dict[int, list[float]] = {}
    shape, index = None, -1
    for index, frame in enumerate(frames):
        shape = frame.shape if shape is None else shape
        if pending and index % every == min(_LOOK_AGAIN, every - 1):
            for track, face, before in pending:
                motions.setdefault(id(track), []).append(_mouth_motion(before, _patches(frame, face)))
            pending = []
        if index % every == 0:
            found = detector(frame)
            pending = [
                (track, face, _patches(frame, face))
                for track, face in zip(_link(tracks, found, index, every), found, strict=True)
            ]
    if shape is None:
        raise UsageError("there are no frames to look for faces in.")
    for track in tracks:
        track.motion = float(np.mean(motions.get(id(track), [0.0])))
    return Scene(tracks, index + 1, shape[0], shape[1], every)


def _link(tracks: list[Track], found: Sequence[Face], index: int, every: int) -> list[Track]:
    """Put each face into the nearest track that it fits, or into a new one; return the track of each face."""
    distances = []
    for t, track in enumerate(tracks):
        last = track.faces[-1]
        missed = min(4.0, (index - track.frames[-1]) / every)
        for f, face in enumerate(found):
            eye_px = max(last.eye_px, face.eye_px)
            steps = float(np.hypot(*(face.mouth - last.mouth))) / eye_px
            if steps < _MAX_STEP * missed**0.5 and 0.5 < face.eye_px / last.eye_px < 2:
                distances.append((steps, t, f))
    track_of, taken = {}, set()
    for _, t, f in sorted(distances):
        if f not in track_of and t not in taken:
            track_of[f] = tracks[t]
            taken.add(t)
    for f, face in enumerate(found):
        if f not in track_of:
            track_of[f] = Track([], [])
            tracks.append(track_of[f])
        track_of[f].frames.append(index)
        track_of[f].faces.append(face)
    return [track_of[f] for f in range(len(found))]


def _patches(frame: np.ndarray, face: Face) -> np.ndarray:
    """Small grey pictures of the mouth and of the eyes, `[2, 16, 32]` float32."""
    width = max(4, round(_PATCH_EYES * face.eye_px))
    size = width, max(2, round(width * _PATCH[0] / _PATCH[1]))
    patches = []
    for center in (face.mouth, face.eyes):
        patch = cv2.getRectSubPix(frame, size, (float(center[0]), float(center[1])))
        patches.append(resize(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), *_PATCH))
    return np.stack(patches).astype(np.float32)


def _mouth_motion(before: np.ndarray, after: np.ndarray) -> float:
    # A head that moves as a whole changes eyes and mouth alike; speech changes the mouth only. The contrast of the
    # patch stands below the line, or a face in bright light would seem to speak more.
    change = np.abs(after - before).mean(axis=(1, 2)) / (before.std(axis=(1, 2)) + 4)
    return float(max(0.0, change[0] - change[1]))
