"""What happens when in a long video: from probabilities of windows to segments, files of them, and their scores.

Conventions: a window `i` begins at `i * every_sec`; cell `i` of a timeline is the time from there to the next one's
beginning. A segment is `{"start_sec", "end_sec", "label", "confidence"}`, its confidence the mean over its cells.
"""

import csv
import io
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from tfav.io.atomic_write import partial_file, write_json
from tfav.io.text_files import write_text

ENDINGS = (".csv", ".srt", ".vtt", ".timeline.json")


def cells_of(
    windows: np.ndarray, *, every_sec: float, window_sec: float, duration_sec: float, smooth_sec: float = 0.0
) -> np.ndarray:
    """The probabilities of each cell: the mean over the windows that hold it, smoothed over time.

    Args:
        windows: `[N, K]` probabilities.
        every_sec: Time from one window's beginning to the next one's.
        window_sec: Length of a window.
        duration_sec: Of the video; cells behind the last window take its.
        smooth_sec: Deviation of a Gaussian over time; 0: none.

    Returns:
        `[ceil(duration_sec / every_sec), K]` float64.
    """
    count, held = max(1, math.ceil(duration_sec / every_sec - 1e-6)), max(1, round(window_sec / every_sec))
    sums = np.concatenate([np.zeros((1, windows.shape[1])), np.cumsum(windows, axis=0, dtype=np.float64)])
    cells = np.arange(count)
    stop = np.minimum(cells + 1, len(windows))
    start = np.minimum(np.maximum(cells - held + 1, 0), stop - 1)
    means = (sums[stop] - sums[start]) / (stop - start)[:, None]
    return gaussian_filter1d(means, smooth_sec / every_sec, axis=0, mode="nearest") if smooth_sec else means


def find_segments(
    cells: np.ndarray,
    labels: Sequence[str],
    *,
    every_sec: float,
    duration_sec: float,
    thresholds: Mapping[str, float] | None = None,
    several: bool = False,
    none: str = "none",
) -> list[dict]:
    """Neighbouring cells of one class become one segment, in order of time.

    Args:
        cells: `[T, K]` probabilities.
        labels: Name of each class.
        every_sec: Length of a cell.
        duration_sec: Of the video, where the last segment may end.
        thresholds: From which on each class is said; None: the best class always is.
        several: Classes may be there at the same time; needs thresholds.
        none: The class of which there are no segments.

    Example:
        >>> found = find_segments(np.array([[0.9, 0.1], [0.2, 0.8]]), ["a", "b"], every_sec=2, duration_sec=3)
        >>> [(segment["label"], segment["start_sec"], segment["end_sec"]) for segment in found]
        [('a', 0, 2), ('b', 2, 3)]
    """
    least = np.array([thresholds[label] if thresholds else 0.0 for label in labels])
    said = cells >= least
    if not several:
        said &= np.arange(len(labels)) == cells.argmax(1)[:, None]
    segments = []
    for number, label in enumerate(labels):
        if label == none:
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[0], said[:, number].astype(np.int8), [0]])))
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            segments.append(
                {
                    "start_sec": round(start * every_sec, 3),
                    "end_sec": round(min(stop * every_sec, duration_sec), 3),
                    "label": label,
                    "confidence": round(float(cells[start:stop, number].mean()), 4),
                }
            )
    return sorted(segments, key=lambda segment: (segment["start_sec"], segment["label"]))


def write_timeline(folder: Path, name: str, timeline: Mapping) -> list[str]:
    """Writes a timeline as `NAME.csv`, `.srt`, `.vtt` and, with the probabilities of its cells, `.timeline.json`.

    Args:
        folder: Where to.
        name: What the files are called.
        timeline: `segments`, and what else the JSON is to hold.

    Returns:
        The paths.
    """
    segments = timeline["segments"]
    table = io.StringIO()
    writer = csv.DictWriter(table, ("start_sec", "end_sec", "label", "confidence"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(segments)
    cues = [(segment["label"], segment["start_sec"], segment["end_sec"]) for segment in segments]
    texts = {
        ".csv": table.getvalue(),
        ".srt": srt_of(cues),
        ".vtt": "WEBVTT\n\n" + "".join(f"{clock(start)} --> {clock(end)}\n{text}\n\n" for text, start, end in cues),
    }
    paths = [Path(folder) / f"{name}{ending}" for ending in ENDINGS]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for path, text in zip(paths, texts.values(), strict=False):
        with partial_file(path) as partial:
            write_text(partial, text)
    write_json(paths[-1], dict(timeline))
    return [str(path) for path in paths]


def clock(sec: float, point: str = ".") -> str:
    """A time as subtitles have it: `clock(3.2) == "00:00:03.200"`."""
    whole = round(sec * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{point}{whole % 1000:03}"


def srt_of(cues: Sequence[tuple[str, float, float]]) -> str:
    """SubRip's text of cues: what is shown, from a second to another one."""
    return "".join(
        f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n{text}\n\n"
        for number, (text, start, end) in enumerate(cues, 1)
    )


def score_segments(found: Sequence[Mapping], truth: Sequence[Mapping], min_iou: float = 0.5) -> dict:
    """Scores segments of one video against the true ones: each true one is met once, by the best of its class.

    Returns:
        `f1`, `precision`, `recall` at an intersection over union of `min_iou`, and `border_error_sec`, the median
        distance of the borders of those that met; None where none did.

    Reference:
        C. Lea et al., "Temporal convolutional networks for action segmentation and detection", CVPR 2017 (F1@k).
    """
    pairs = sorted(
        (
            (_iou(one, other), i, j)
            for (i, one), (j, other) in itertools.product(enumerate(found), enumerate(truth))
            if one["label"] == other["label"]
        ),
        reverse=True,
    )
    met: dict[int, int] = {}
    for iou, i, j in pairs:
        if iou >= min_iou and i not in met and j not in met.values():
            met[i] = j
    errors = [abs(found[i][key] - truth[j][key]) for i, j in met.items() for key in ("start_sec", "end_sec")]
    return {
        "f1": 2 * len(met) / max(len(found) + len(truth), 1),
        "precision": len(met) / max(len(found), 1),
        "recall": len(met) / max(len(truth), 1),
        "border_error_sec": float(np.median(errors)) if errors else None,
    }


def _iou(one: Mapping, other: Mapping) -> float:
    shared = min(one["end_sec"], other["end_sec"]) - max(one["start_sec"], other["start_sec"])
    union = max(one["end_sec"], other["end_sec"]) - min(one["start_sec"], other["start_sec"])
    return max(0.0, shared) / max(union, 1e-9)
