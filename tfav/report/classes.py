"""Videos sorted into classes on the page: scores, who is taken for whom, examples, the surest mistakes, their flow."""

import contextlib
import html
import json
from pathlib import Path

import numpy as np

from tfav.io.isolate_errors import failure_of
from tfav.report import markup, plots, video_clips
from tfav.report.markup import Html, Section
from tfav.report.timelines import flow_section
from tfav.training import run_folder as runs

_NUM_EXAMPLES = 6
_NUM_WORST = 6
_NUM_FLOWS = 3


def sections(run_dir: Path, result: dict) -> list[Section]:
    """The pieces of a page about classes.

    Args:
        run_dir: The run folder; its other evaluations (`evaluation_*.json`) stand beside the plain one.
        result: The evaluation: as from `metrics.classification.evaluate`, with `videos` and `failed`.

    Returns:
        Title and HTML of each.
    """
    if result.get("multi_label"):
        return [*_of_labels(result), ("What happens when", _timelines(run_dir))]
    rows = [
        (row["label"], *(f"{row[name]:.2f}" for name in ("precision", "recall", "f1")), row["count"])
        for row in result["per_class"]
    ]
    return [
        ("Scores", _scores(run_dir, result)),
        ("Examples, the first of each class", _cards(_first_of_classes(result)[:_NUM_EXAMPLES])),
        ("Confusion", markup.scroll(plots.confusion(result["confusion"], result["labels"]))),
        ("Classes", markup.table(("class", "precision", "recall", "F1", "videos"), rows)),
        ("Worst mistakes", _cards(_worst(result))),
        ("Optical flow", "".join(_flows(result, runs.load(run_dir).config.get("flow_method")))),
        ("What happens when", _timelines(run_dir)),
    ]


def _timelines(run_dir: Path) -> str:
    """Classes over time of the videos that were looked at with `tfav predict --every`."""
    found = []
    for path in sorted((Path(run_dir) / "predictions").glob("*.timeline.json"))[:_NUM_EXAMPLES]:
        stored = json.loads(path.read_bytes())
        title = path.name.removesuffix(".timeline.json")
        found.append(
            plots.heat(np.array(stored["probabilities"]), stored["labels"], title=title, step_sec=stored["every_sec"])
        )
    return "".join(map(markup.scroll, found))


def _of_labels(result: dict) -> list[Section]:
    names = ("ap", "precision", "recall", "f1", "threshold")
    rows = [
        (row["label"], *("-" if row[name] is None else f"{row[name]:.2f}" for name in names), row["count"])
        for row in result["per_class"]
    ]
    text = (
        f'<p><span class="big">{100 * result["map"]:.1f} %</span> mean average precision '
        f"({markup.percent(result['map'], result['map_interval'])}), macro-F1 "
        f"{markup.percent(result['macro_f1'], result['macro_f1_interval'])}, on {result['count']} clips.</p>"
    )
    columns = ("class", "AP", "precision", "recall", "F1", "said from", "clips")
    return [
        ("Scores", text + markup.failures(result["failed"], "files")),
        ("Classes", markup.table(columns, rows)),
        ("Examples", _cards(_first_of_classes(result)[:_NUM_EXAMPLES])),
    ]


def _scores(run_dir: Path, result: dict) -> str:
    low, high = result["top1_interval"]
    part = result.get("part", "all")
    text = (
        f'<p><span class="big">{100 * result["top1"]:.1f} %</span> top-1 (95 % interval {100 * low:.1f} to '
        f"{100 * high:.1f} %), top-5 {markup.percent(result['top5'], result.get('top5_interval'))}, "
        f"on {result['count']} videos{'' if part == 'all' else f' of the {html.escape(part)} part'}.</p>"
    )
    if result.get("streams"):
        rows = [
            (name, markup.percent(scores["top1"], scores.get("top1_interval")), markup.percent(scores["top5"]))
            for name, scores in result["streams"].items()
        ]
        text += markup.table(("stream", "top-1 (95 % interval)", "top-5"), rows)
    others = _other_evaluations(run_dir)
    if others:
        rows = [
            (name, markup.percent(scores["top1"], scores["top1_interval"]), scores["count"])
            for name, scores in [("as they are", result), *others]
        ]
        text += markup.table(("frames", "top-1 (95 % interval)", "videos"), rows)
    return text + markup.failures(result["failed"], "files")


def _other_evaluations(run_dir: Path) -> list[tuple[str, dict]]:
    found = []
    for path in sorted(Path(run_dir).glob("evaluation_*.json")):
        name = path.stem.removeprefix("evaluation_").replace("_", " ")
        found.append((name, json.loads(path.read_bytes())))
    return found


def _first_of_classes(result: dict) -> list[dict]:
    """The first video of each class in turn, so that the sample is not the model's choice."""
    first: dict[str, dict] = {}
    for video in result["videos"]:
        first.setdefault(video["label"], video)
    return list(first.values())


def _worst(result: dict) -> list[dict]:
    """The surest mistakes."""
    wrong = [video for video in result["videos"] if video["ranking"][0]["label"] != video["label"]]
    return sorted(wrong, key=lambda video: -video["ranking"][0]["probability"])[:_NUM_WORST]


def _flows(result: dict, method: str | None) -> list[str]:
    """What a run that learns from optical flow looks at, for some of the examples."""
    found = []
    for video in _first_of_classes(result)[:_NUM_FLOWS] if method else ():
        with contextlib.suppress(Exception):  # its card says what is wrong
            found.append(flow_section(video["path"], method=method))
    return found


def _cards(videos: list[dict]) -> str:
    return Html(f'<div class="cards">{"".join(map(_card, videos))}</div>') if videos else ""


def _card(video: dict) -> str:
    label = html.escape(video["label"])
    try:
        picture = f'<img src="{video_clips.gif_data_url(video["path"])}" alt="clip of {label}">'
    except Exception as error:  # moved, deleted, damaged since it was scored: the page is still worth writing
        picture = f"<p>{html.escape(str(failure_of(video['path'], error)))}</p>"
    side = "right" if video["ranking"][0]["label"] in video["label"].split("; ") else "wrong"
    ranks = "".join(
        f"{html.escape(rank['label'])} {100 * rank['probability']:.0f} %<br>" for rank in video["ranking"][:3]
    )
    return f'<div class="card {side}">{picture}<b>{label}</b><br>{ranks}</div>'
