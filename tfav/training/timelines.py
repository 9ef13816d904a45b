"""What happens when in long videos, the same for every system that classifies: lengths of windows, rows, files.

A system gives the probabilities of windows of a video; the rest is here and, as arithmetic, in `metrics.timeline`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfav.data.folders import Example
from tfav.data.label_tables import video_length_sec
from tfav.errors import UsageError
from tfav.io.atomic_write import write_json
from tfav.io.isolate_errors import row_of
from tfav.io.output_names import as_paths, name_results
from tfav.metrics import timeline

_LENGTHS_FILE = "clips.json"  # in a run folder: how long its training clips were
_CLIPS_MEASURED = 50


class Windows(NamedTuple):
    """What a system says of a video: `probabilities` `[N, K]` of windows, its length, and what is wrong with it."""

    probabilities: np.ndarray
    duration_sec: float
    warnings: Sequence[str] = ()


class Cue(NamedTuple):
    """A caption, from a second of the video to another one."""

    text: str
    start_sec: float
    end_sec: float


def keep_clip_length(run_dir: Path | str, examples: Sequence[Example]) -> None:
    """Writes the median length of some training clips to the run folder; frame folders have no times, and none."""
    path = Path(run_dir) / _LENGTHS_FILE
    if path.exists() or examples[0].path.is_dir():
        return
    chosen = examples[:: -(-len(examples) // _CLIPS_MEASURED)]
    spans = [example.span or (0.0, video_length_sec(example.path)) for example in chosen]
    write_json(path, {"median_sec": round(float(np.median([end - start for start, end in spans])), 3)})


def read_clip_length(run_dir: Path | str) -> float:
    """The usual length in seconds of a run's training clips, which a window has where no other is asked for.

    Raises:
        UsageError: It is not known, as for runs on folders of frames.
    """
    path = Path(run_dir) / _LENGTHS_FILE
    if not path.exists():
        raise UsageError(f"{run_dir}: does not tell how long its clips were. Give --window-sec.")
    return json.loads(path.read_bytes())["median_sec"]


def find_timelines(
    files: Sequence[Path | str] | Path | str,
    look: Callable[[Path], Windows],
    labels: Sequence[str],
    folder: Path | str,
    *,
    every_sec: float,
    window_sec: float,
    smooth_sec: float | None = None,
    thresholds: Mapping[str, float] | None = None,
    several: bool = False,
    burn: Callable[[Path, Path, Sequence[Cue]], Path] | None = None,
) -> list[dict]:
    """Segments of videos, and files of them.

    Args:
        files: Videos, or one; one that cannot be used gives its error and stops no other.
        look: Gives the windows of a video, each `window_sec` long, one every `every_sec`.
        labels: Name of each class.
        folder: Where files go; made if need be.
        every_sec: Time from one window's beginning to the next one's.
        window_sec: Length of a window.
        smooth_sec: Deviation of a Gaussian that smooths probabilities over time; None: `every_sec`; 0: none.
        thresholds: As in `timeline.find_segments`.
        several: Likewise.
        burn: Writes a video again with captions, from its path, the new one and the cues; None: no such video.

    Returns:
        A row for each file: `path`, and `error` or `segments`, `window_sec`, `every_sec`, `duration_sec`, `warnings`
        and the paths of what it `wrote`.
    """
    smooth_sec = every_sec if smooth_sec is None else smooth_sec

    def row(path: Path, *, name: str) -> dict:
        windows = look(path)
        lengths = {"every_sec": every_sec, "duration_sec": windows.duration_sec}
        cells = timeline.cells_of(windows.probabilities, window_sec=window_sec, smooth_sec=smooth_sec, **lengths)
        segments = timeline.find_segments(cells, labels, **lengths, thresholds=thresholds, several=several)
        found = {"path": str(path), "segments": segments, "window_sec": window_sec, **lengths}
        found["warnings"] = list(windows.warnings)
        stored = found | {"labels": list(labels), "probabilities": cells.round(4).tolist()}
        found["wrote"] = timeline.write_timeline(folder, name, stored)
        if burn is not None:
            cues = [Cue(segment["label"], segment["start_sec"], segment["end_sec"]) for segment in segments]
            found["wrote"].append(str(burn(path, folder / f"{name}.mp4", cues)))
        return found

    files, folder = as_paths(files), Path(folder)
    named = zip(files, name_results(files, folder, [*timeline.ENDINGS, ".mp4"]), strict=True)
    return [row_of(path, row, name=name) for path, name in named]
