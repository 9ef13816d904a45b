"""What `tfav predict` says of videos: the classes of each frame and of the whole, or of each window.

For the demo video, whose title tells the average over the whole video, small pictures of frames and flow wait in a
temporary file.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.errors import UsageError
from tfav.io.isolate_errors import row_of
from tfav.io.output_names import as_paths, check_target
from tfav.io.progress import Progress, no_progress
from tfav.live import Live, Window
from tfav.metrics.late_fusion import EQUAL, Fusion, read_fusion
from tfav.metrics.ranking import ranking
from tfav.speech.subtitles import burn_captions
from tfav.systems.two_stream.config import STREAMS, SYSTEM, Config
from tfav.systems.two_stream.demo_video import Spool, draw_demo
from tfav.systems.two_stream.stream import Stream, agree_on_labels, load_stream, read_labels
from tfav.systems.two_stream.video_scores import FlowSettings, VideoScores, WindowScorer, score_video
from tfav.training.run_folder import open_run, predictions_folder
from tfav.training.timelines import find_timelines, read_clip_length

_FLOW_NAMES = {"tvl1": "TVL1", "dis": "DIS", "farneback": "Farneback"}


def predict_streams(
    spatial,
    motion,
    files: Sequence[Path | str] | Path | str,
    *,
    labels: Sequence[str] | Path | str | None = None,
    demo: Path | str | None = None,
    top: int = 5,
    flow_method: str | None = None,
    stack_length: int | None = None,
    wrap: bool = False,
    workers: int | None = None,
    fusion: Fusion = EQUAL,
    every: float | None = None,
    window_sec: float | None = None,
    smooth_sec: float | None = None,
    out: Path | str | None = None,
    captions: bool = False,
    run_dir: Path | str | None = None,
) -> dict:
    """Says what both streams see in video files, frame by frame and on the whole; or what happens when in them.

    Args:
        spatial: Run folder or legacy `.h5` file of the spatial stream.
        motion: Of the motion stream.
        files: Video files, or one path; one that cannot be read gives its error and stops no other.
        labels: Class names, or a file of them, one a line; None: those of the runs, or UCF101's where there are 101.
        demo: Also write the annotated video to this .mp4 file; for one video file at a time.
        top: Classes in each ranking.
        flow_method: `tvl1`, `dis` or `farneback`; None: what the motion stream was trained on.
        stack_length: L of the motion stream, where a `.h5` file's is not 10.
        wrap: Let flow beyond 20 pixels wrap, as the notebook's demo did by mistake.
        workers: Processes for the flow; None is one per core.
        fusion: How both streams become one answer.
        every: Look at a window of each video every so many seconds, and say what happens when.
        window_sec: Length of a window; None: that of the clips `run_dir` was trained on.
        smooth_sec: Deviation of a Gaussian that smooths probabilities over time; None: `every`; 0: none.
        out: Folder for the timelines; None: `predictions/` in `run_dir`.
        captions: Write each video again with its classes as captions.
        run_dir: A run folder; None: the motion stream's.

    Returns:
        JSON-ready `{"files": [...], "labels"}`; each file has `path` and either `error`, or `num_frames`, `ranking`
        (both streams' answer), `spatial`, `motion`, `frames` (per frame `index`, `time_sec` and the three
        rankings, of which the last L frames have only `spatial`), `warnings`, and `demo` where one was written. With
        `every` it is a row of `tfav.training.timelines.find_timelines`.

    Raises:
        UsageError: The streams cannot be used or do not go together, the class list does not fit, or several files are
            to share one demo.
        WeightsError: A `.h5` file that is none.
    """
    files = as_paths(files)
    if demo is not None and len(files) != 1:
        raise UsageError(f"demo goes with one video file. Received: {len(files)} files")
    if demo is not None and Path(demo).suffix.lower() not in (".mp4", ".m4v", ".mov"):
        raise UsageError(f"{demo}: the demo video is written as .mp4, .m4v or .mov; choose such a name.")
    check_target(demo, files, "--demo")
    if every is not None and demo is not None:
        raise UsageError("--demo shows one answer for the whole video. For a video of its segments use --captions.")
    opened, names = _open_streams(spatial, motion, labels, flow_method, stack_length, wrap, workers, fusion)
    if every is None:
        return {"files": [row_of(path, opened, demo=demo, top=top) for path in files], "labels": names}
    run_dir = run_dir or motion
    if out is None and not Path(run_dir).is_dir():
        raise UsageError(f"{run_dir}: no run folder that the segments could go to. Give --out.")
    window_sec = window_sec or read_clip_length(run_dir)
    rows = find_timelines(
        files,
        lambda path: opened.score(path).windows(every, window_sec),
        names,
        out or predictions_folder(run_dir),
        every_sec=every,
        window_sec=window_sec,
        smooth_sec=smooth_sec,
        burn=burn_captions if captions else None,
    )
    return {"files": rows, "labels": names}


def open_predictor(run_dir: Path | str | None = None, *, spatial=None, motion=None) -> Callable[..., dict]:
    """Opens two streams once, to ask them about one video after the other.

    Args:
        run_dir: A fusion run; the late fusion that its training chose holds.
        spatial: Without `run_dir`: run folder or legacy `.h5` file of the spatial stream.
        motion: Without `run_dir`: of the motion stream.

    Returns:
        A function `(path, *, demo=None, top=5, progress=...)` from a video to its row as in `predict_streams`. It
        raises `MediaError` for a video that cannot be read, and whatever `progress` raises.

    Raises:
        UsageError: The streams cannot be used or do not go together, or the run is one stream alone.
    """
    if run_dir is not None:
        return _open_streams(**_streams_of(run_dir))[0]
    return _open_streams(spatial, motion)[0]


def predict_files(run_dir: Path | str | None, files: Sequence[Path | str] | Path | str, **options) -> dict:
    """As `predict_streams`, with the two streams of a fusion run, or with `spatial` and `motion` among the options.

    Raises:
        UsageError: The run is one stream alone.
    """
    if run_dir is None:
        if not {"spatial", "motion"} <= set(options):
            raise UsageError("two_stream needs --run-dir of a fusion, or --spatial and --motion.")
        return predict_streams(files=files, **options)
    return predict_streams(**_streams_of(run_dir) | options, files=files, run_dir=run_dir)


def open_live(
    run_dir: Path | str | None = None,
    *,
    spatial=None,
    motion=None,
    flow_method: str | None = None,
    window_sec: float | None = None,
    top: int = 5,
) -> Live:
    """Opens two streams for live sources.

    Args:
        run_dir: A fusion run; or
        spatial: run folder or legacy `.h5` file of the spatial stream, and
        motion: of the motion stream.
        flow_method: `tvl1`, `dis` or `farneback`; None: what the motion stream was trained on.
        window_sec: Length of the windows; None: that of the clips in training.
        top: Classes in a ranking.

    Raises:
        UsageError: The streams cannot be used or do not go together, or the length of windows is not known.
    """
    if run_dir is None and (spatial is None or motion is None):
        raise UsageError("two_stream needs --run-dir of a fusion, or --spatial and --motion.")
    given = _streams_of(run_dir) if run_dir is not None else {"spatial": spatial, "motion": motion}
    opened, labels = _open_streams(**given, flow_method=flow_method)
    scorer = WindowScorer(*opened.streams, opened.flow, opened.fusion)

    def answer(window: Window) -> dict:
        scores = scorer(window)
        rows = {"ranking": scores.whole(), "spatial": scores.spatial.mean(axis=0), "motion": scores.motion.mean(axis=0)}
        return {name: ranking(row, labels, top) for name, row in rows.items()}

    return Live(window_sec or read_clip_length(run_dir or motion), answer, scorer.kept)


def _streams_of(run_dir: Path | str) -> dict:
    run, config = open_run(run_dir, SYSTEM, Config)
    if config.stream != "fusion":
        raise UsageError(
            f"{run_dir}: one stream alone. Give both: tfav predict two_stream --spatial RUN --motion RUN FILE"
        )
    fusion = read_fusion(run.dir, STREAMS, run.metadata["labels"])
    return {"spatial": config.spatial, "motion": config.motion, "fusion": fusion}


def _open_streams(
    spatial, motion, labels=None, flow_method=None, stack_length=None, wrap=False, workers=None, fusion=EQUAL
):
    """What gives the row of one video, and the class names."""
    if isinstance(labels, str | Path):
        labels = read_labels(labels)
    streams = load_stream(spatial, "spatial"), load_stream(motion, "motion", stack_length=stack_length)
    names = agree_on_labels(*streams, labels)
    flow = FlowSettings.of(streams[1], flow_method, wrap)
    return _Opened(streams, names, flow, workers, fusion), names


class _Opened(NamedTuple):
    """Both streams, and how they are asked about a video."""

    streams: tuple[Stream, Stream]
    labels: list[str]
    flow: FlowSettings
    workers: int | None
    fusion: Fusion

    def score(self, path, **options) -> VideoScores:
        options |= {"flow": self.flow, "workers": self.workers, "fusion": self.fusion}
        return score_video(path, *self.streams, **options)

    def __call__(self, path, *, demo=None, top: int = 5, progress: Progress = no_progress) -> dict:
        if demo is None:
            return _row_of(self.score(path, progress=progress), self.labels, top)
        share = 0.8  # drawing is the rest
        with Spool() as spool:
            scores = self.score(path, keep=spool.add, progress=lambda part, what: progress(share * part, what))
            progress(share, "Drawing the video")
            draw_demo(demo, scores, spool, self.labels, flow_name=_FLOW_NAMES[self.flow.method])
        return _row_of(scores, self.labels, top) | {"demo": str(demo)}


def _row_of(scores: VideoScores, labels: list[str], top: int) -> dict:
    fused = scores.fused()
    frames = []
    for index, (time_sec, row) in enumerate(zip(scores.times_sec, scores.spatial, strict=True)):
        frame = {"index": index, "time_sec": round(float(time_sec), 6), "spatial": ranking(row, labels, top)}
        if index < len(fused):
            frame |= {
                "motion": ranking(scores.motion[index], labels, top),
                "ranking": ranking(fused[index], labels, top),
            }
        frames.append(frame)
    return {
        "path": str(scores.path),
        "num_frames": len(frames),
        "ranking": ranking(scores.whole(), labels, top),
        "spatial": ranking(scores.spatial.mean(axis=0), labels, top),
        "motion": ranking(scores.motion.mean(axis=0), labels, top),
        "frames": frames,
        "warnings": scores.warnings,
    }
