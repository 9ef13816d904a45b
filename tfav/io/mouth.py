"""A steady picture of a speaker's mouth: who speaks, where the mouth is in each frame, and the crop around it.

The box has one size relative to the face, follows the mouth smoothly, and stays inside the frame.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from tfav.errors import DataError, UsageError
from tfav.io.faces import FaceDetector, Scene, Track, track_faces
from tfav.io.images import resize

MAX_LOST_SEC = 1.0  # a face may be out of sight for so long; in between, its place is guessed
_SMOOTH_FRAMES = 4.0  # standard deviation: the jitter of detections goes, nodding stays
_SCALE_SEC = 5.0  # the size of the box is a median over this long, one value for a GRID clip
_EPSILON = 1e-3  # of motion, so that of faces that all stand still the one longest on screen is taken


class Box(NamedTuple):
    """What a crop shows of a face, and its size.

    Attributes:
        eyes: Width of the box in distances between the eyes.
        width: Of the crop in pixels.
        height: Likewise.
        below: How far the middle of the box lies below the corners of the mouth, in distances between the eyes.
    """

    eyes: float
    width: int
    height: int
    below: float = 0.0


WIDE = Box(1.75, 104, 56)  # from the nostrils to the lower lip, with some cheek
CLOSE = Box(1.15, 96, 64, below=0.06)  # the lips fill it, the mouth is 1.4 times as large as in the wide one


class MouthPath(NamedTuple):
    """Where the mouth is in each frame from `start` up to `stop`.

    Attributes:
        centers: `[stop - start, 2]` float64, x and y in pixels.
        eye_px: `[stop - start]` float64, the distance of the eyes in pixels, constant for short clips.
        start: First frame in which the face is near enough to a detection.
        stop: The frame after the last such.
        warnings: What a person should know, one line each.
    """

    centers: np.ndarray
    eye_px: np.ndarray
    start: int
    stop: int
    warnings: list[str]


def choose_face(scene: Scene, number: int | None = None, *, fps: float = 25.0) -> Track:
    """The face whose mouth to read.

    Args:
        scene: All faces.
        number: Which one, counted from 1 by first appearance and then from the left; None: the one that speaks, by
            motion of the mouth times time on screen.
        fps: Frames per second, for messages.

    Raises:
        DataError: There is no face.
        UsageError: There is no face of that number; the message lists those that there are.
    """
    if not scene.tracks:
        raise DataError(
            f"no face was found in {scene.num_frames} frames of {scene.width}x{scene.height}. It must be seen from the "
            "front and be larger than 20 pixels"
        )
    if number is None:
        return max(scene.tracks, key=lambda track: (track.motion + _EPSILON) * len(track.frames))
    if not 1 <= number <= len(scene.tracks):
        raise UsageError(f"there is no face {number}. Faces seen: {describe_faces(scene, fps)}.")
    return scene.tracks[number - 1]


def describe_faces(scene: Scene, fps: float = 25.0) -> str:
    """The faces of a scene in words: number, place, times, motion of the mouth."""
    lines = []
    for number, track in enumerate(scene.tracks, 1):
        x, y = np.median([face.mouth for face in track.faces], axis=0)
        lines.append(
            f"{number} at ({x:.0f}, {y:.0f}) from {track.frames[0] / fps:.1f} to {track.frames[-1] / fps:.1f} s, "
            f"mouth motion {track.motion:.2f}"
        )
    return "; ".join(lines)


def follow(track: Track, scene: Scene, *, fps: float = 25.0) -> MouthPath:
    """The mouth's place in every frame, smoothed over time.

    A face lost for a moment is bridged by a straight line, with a warning. One that comes late or leaves early has a
    path that begins late or ends early, with a warning.

    Args:
        track: The chosen face.
        scene: What it comes from.
        fps: Frames per second.

    Raises:
        DataError: It is lost for longer; the message says from when to when.
    """
    every, max_gap = scene.every, max(scene.every, round(MAX_LOST_SEC * fps))
    found = np.array(track.frames)
    gaps, warnings = np.diff(found), []
    for before, gap in zip(found, gaps, strict=False):
        span = f"from {before / fps:.1f} to {(before + gap) / fps:.1f} s"
        if gap > max_gap + every:
            raise DataError(
                f"the face is lost {span}, longer than {MAX_LOST_SEC:g} s. Cut the video there, or choose another face"
            )
        if gap > every:
            warnings.append(f"the face is lost {span}; the mouth's place is guessed there")
    start = 0 if found[0] <= max_gap else int(found[0])
    stop = scene.num_frames if scene.num_frames - 1 - found[-1] <= max_gap else int(found[-1]) + 1
    if (start, stop) != (0, scene.num_frames):
        warnings.append(
            f"the face is seen from {start / fps:.1f} to {stop / fps:.1f} s of {scene.num_frames / fps:.1f} s only"
        )
    frames = np.arange(start, stop)
    mouths = np.stack([face.mouth for face in track.faces])
    centers = np.stack([np.interp(frames, found, mouths[:, axis]) for axis in range(2)], axis=1)
    eye_px = np.array([face.eye_px for face in track.faces])
    return MouthPath(_smooth(centers), _slow_median(found, eye_px, frames, _SCALE_SEC * fps), start, stop, warnings)


def _smooth(values: np.ndarray) -> np.ndarray:
    return gaussian_filter1d(values, _SMOOTH_FRAMES, axis=0, mode="nearest", truncate=3.0)


def _slow_median(found: np.ndarray, values: np.ndarray, frames: np.ndarray, span: float) -> np.ndarray:
    if len(frames) <= span:
        return np.full(len(frames), np.median(values))
    medians = [np.median(values[np.abs(found - frame) <= span / 2]) for frame in found]
    return _smooth(np.interp(frames, found, medians))


def mouth_box(
    center: np.ndarray, eye_px: float, height: int, width: int, box: Box = WIDE
) -> tuple[float, float, float, float]:
    """The box around a mouth, moved and if need be shrunk until it lies inside the frame.

    Args:
        center: x and y of the mouth in pixels.
        eye_px: Distance of the eyes in pixels.
        height: Of the frame.
        width: Of the frame.
        box: What it shows.

    Returns:
        x and y of the box's centre, its width and its height, in pixels; 0 <= x - w/2 and x + w/2 <= width, likewise
        for y.
    """
    aspect = box.width / box.height
    box_width = min(box.eyes * eye_px, float(width), height * aspect)
    box_height = box_width / aspect
    x = float(np.clip(center[0], box_width / 2, width - box_width / 2))
    y = float(np.clip(center[1] + box.below * eye_px, box_height / 2, height - box_height / 2))
    return x, y, box_width, box_height


def crop_mouths(frames: Iterable[np.ndarray], path: MouthPath, box: Box = WIDE) -> Iterator[np.ndarray]:
    """Cut the mouth out of each frame along a path.

    Args:
        frames: `[H, W, 3]` uint8 RGB each, all frames of the video from its first one; those outside of the path are
            left out.
        path: From `follow`.
        box: What the crops show.

    Yields:
        `[height, width]` of the box, uint8 grey.
    """
    for index, frame in enumerate(frames):
        if not path.start <= index < path.stop:
            continue
        at = index - path.start
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        x, y, box_width, box_height = mouth_box(path.centers[at], path.eye_px[at], *grey.shape, box)
        # Cut at a fraction of a pixel: whole pixels would make the mouth jump by 2 % of the crop.
        size = max(1, round(box_width)), max(1, round(box_height))
        patch = cv2.getRectSubPix(grey, size, (x - 0.5, y - 0.5))
        yield resize(patch, box.height, box.width)


def crop_speaker(
    frames: np.ndarray, detector: str, *, fps: float = 25.0, box: Box = WIDE
) -> tuple[np.ndarray, list[str]]:
    """The mouth of the one who speaks in a short clip, which must be seen from the first frame to the last.

    Args:
        frames: `[T, H, W, 3]` uint8 RGB, all frames of the clip.
        detector: Path of the face detector's model; read once per process.
        fps: Frames per second.
        box: What the crops show.

    Returns:
        `[T, height, width]` of the box, uint8 grey, and warnings, one line each.

    Raises:
        DataError: No face, or not all the time.
    """
    scene = track_faces(frames, _detector(detector))
    path = follow(choose_face(scene, fps=fps), scene, fps=fps)
    if (path.start, path.stop) != (0, len(frames)):
        raise DataError(path.warnings[-1])
    warnings = list(path.warnings)
    if len(scene.tracks) > 1:
        warnings.append(f"{len(scene.tracks)} faces; the one that moves its mouth most was taken")
    return np.stack(list(crop_mouths(frames, path, box))), warnings


@functools.lru_cache(maxsize=1)
def _detector(path: str) -> FaceDetector:
    return FaceDetector(path)
