"""The report: everything about a run in one HTML file that needs no network."""

import contextlib
import json
from pathlib import Path

import jinja2

from tfav._version import __version__
from tfav.errors import TfavError
from tfav.io.partial import partial_file
from tfav.report import clips, forecast, plots, sentences
from tfav.report.flow import flow_section
from tfav.systems import SYSTEMS
from tfav.training import run as runs
from tfav.training.callbacks import read_jsonl

_NUM_EXAMPLES = 6
_NUM_WORST = 6
_NUM_FLOWS = 3
# Systems that do not sort into classes: from run folder and evaluation to titles and HTML of their own.
_SECTIONS = {"next_frame": forecast.sections, "lipnet": sentences.sections}


def write_report(run_dir: Path | str) -> Path:
    """Writes `report.html` into a run folder.

    The page shows what is there: curves once an epoch has ended, scores, confusion and example clips once the run was
    evaluated.

    Returns:
        The file.

    Raises:
        UsageError: Not a run folder.
    """
    run = runs.load(run_dir)
    history = read_jsonl(run.dir / "metrics.jsonl")
    evaluations = _evaluations(run.dir)
    main = evaluations[0][1] if evaluations else None
    sections = _SECTIONS[run.system](run.dir, main) if main and run.system in _SECTIONS else []
    if sections:
        main = None  # nothing of what follows is about classes
    page = _TEMPLATE.render(
        run=run,
        purpose=SYSTEMS.get(run.system, ""),
        history=history,
        curves=plots.curves(history) if history else "",
        seconds=sum(row["seconds"] for row in history),
        evaluations=evaluations,
        sections=sections,
        main=main,
        confusion=plots.confusion(main["confusion"], main["labels"]) if main else "",
        examples=_examples(main) if main else [],
        worst=_worst(main) if main else [],
        flows=_flows(main, run.config["flow_method"]) if main and "flow_method" in run.config else [],
        config=json.dumps(run.config, indent=2),
        environment=json.dumps(run.environment, indent=2),
        version=__version__,
    )
    path = run.dir / "report.html"
    with partial_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _evaluations(run_dir: Path) -> list[tuple[str, dict]]:
    """All stored evaluations, the plain one first."""
    named = []
    for path in sorted(run_dir.glob("evaluation*.json")):
        name = path.stem.removeprefix("evaluation").strip("_").replace("_", " ") or "as they are"
        named.append((name, json.loads(path.read_text(encoding="utf-8"))))
    return named


def _examples(result: dict) -> list[dict]:
    return [_card(video) for video in _first_of_classes(result)[:_NUM_EXAMPLES]]


def _first_of_classes(result: dict) -> list[dict]:
    """The first video of each class in turn, so that the sample is not the model's choice."""
    first: dict[str, dict] = {}
    for video in result["videos"]:
        first.setdefault(video["label"], video)
    return list(first.values())


def _flows(result: dict, method: str) -> list[str]:
    """What a run that learns from optical flow looks at, for some of the examples."""
    sections = []
    for video in _first_of_classes(result)[:_NUM_FLOWS]:
        with contextlib.suppress(TfavError):  # its card says what is wrong
            sections.append(flow_section(video["path"], method=method))
    return sections


def _worst(result: dict) -> list[dict]:
    """The surest mistakes."""
    wrong = [video for video in result["videos"] if video["ranking"][0]["label"] != video["label"]]
    wrong.sort(key=lambda video: -video["ranking"][0]["probability"])
    return [_card(video) for video in wrong[:_NUM_WORST]]


def _card(video: dict) -> dict:
    try:
        picture = clips.gif_data_url(video["path"])
    except TfavError as error:  # moved or deleted since it was scored: the page is still worth writing
        picture, video = "", {**video, "note": str(error)}
    return {**video, "picture": picture, "right": video["ranking"][0]["label"] == video["label"]}


_TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ run.system }}: {{ run.dir.name }}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
  h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #d5dce3; padding-bottom: .3rem; }
  .scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; }
  table { border-collapse: collapse; } th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid
  #e4e9ee; } th:first-child, td:first-child { text-align: left; }
  .cards { display: flex; flex-wrap: wrap; gap: 1rem; }
  .card { width: 180px; border: 1px solid #d5dce3; border-radius: 6px; padding: 9px; font-size: .85rem; }
  .card img { width: 100%; } .right { border-left: 5px solid #2a8f5b; } .wrong { border-left: 5px solid #c8374a; }
  pre { background: #f4f6f8; padding: .8rem; overflow-x: auto; font-size: .8rem; }
  .big { font-size: 1.6rem; font-weight: 600; } .muted { color: #5b6875; }
</style>
</head>
<body>
<h1>{{ run.system }}</h1>
<p class="muted">{{ purpose }} · run {{ run.dir.name }} · preset {{ run.config.preset_name }}</p>

{% for title, content in sections %}
<h2>{{ title }}</h2>
{{ content | safe }}
{% endfor %}
{% if not sections %}
<h2>Scores</h2>
{% endif %}
{% if main %}
<p><span class="big">{{ "%.1f" | format(100 * main.top1) }} %</span> top-1
(95 % interval {{ "%.1f" | format(100 * main.top1_interval[0]) }} to
{{ "%.1f" | format(100 * main.top1_interval[1]) }} %),
top-5 {{ "%.1f" | format(100 * main.top5) }} %, on {{ main.count }} videos\
{% if main.part and main.part != "all" %} of the {{ main.part }} part{% endif %}.</p>
{% if main.streams %}
<table><tr><th>stream</th><th>top-1</th><th>top-5</th></tr>
{% for name, scores in main.streams.items() %}
<tr><td>{{ name }}</td><td>{{ "%.1f" | format(100 * scores.top1) }} %</td>
<td>{{ "%.1f" | format(100 * scores.top5) }} %</td></tr>
{% endfor %}
</table>
{% endif %}
{% if evaluations | length > 1 %}
<table><tr><th>frames</th><th>top-1</th><th>videos</th></tr>
{% for name, result in evaluations %}
<tr><td>{{ name }}</td><td>{{ "%.1f" | format(100 * result.top1) }} %</td><td>{{ result.count }}</td></tr>
{% endfor %}
</table>
{% endif %}
{% if main.failed %}
<p><b>{{ main.failed | length }} files could not be read</b> and are not in these figures:</p>
<ul>{% for row in main.failed %}<li>{{ row.reason }}</li>{% endfor %}</ul>
{% endif %}
{% elif not sections %}
<p>Not evaluated yet: <code>tfav evaluate {{ run.system }} --run-dir {{ run.dir }} --data-dir ...</code></p>
{% endif %}

<h2>Training</h2>
{% if history %}
<div class="scroll">{{ curves | safe }}</div>
<p>{{ history | length }} epochs in {{ "%.0f" | format(seconds) }} s.</p>
{% else %}
<p>No epoch has ended yet.</p>
{% endif %}

{% if main %}
<h2>Confusion</h2>
<div class="scroll">{{ confusion | safe }}</div>
<h2>Classes</h2>
<div class="scroll"><table><tr><th>class</th><th>precision</th><th>recall</th><th>F1</th><th>videos</th></tr>
{% for row in main.per_class %}
<tr><td>{{ row.label }}</td><td>{{ "%.2f" | format(row.precision) }}</td><td>{{ "%.2f" | format(row.recall) }}</td>
<td>{{ "%.2f" | format(row.f1) }}</td><td>{{ row.count }}</td></tr>
{% endfor %}
</table></div>

{% for title, cards in (("Examples, the first of each class", examples), ("Worst mistakes", worst)) %}
{% if cards %}
<h2>{{ title }}</h2>
<div class="cards">
{% for card in cards %}
<div class="card {{ 'right' if card.right else 'wrong' }}">
{% if card.picture %}<img src="{{ card.picture }}" alt="clip of {{ card.label }}">
{% else %}<p>{{ card.note }}</p>{% endif %}
<b>{{ card.label }}</b><br>
{% for rank in card.ranking[:3] %}{{ rank.label }} {{ "%.0f" | format(100 * rank.probability) }} %<br>{% endfor %}
</div>
{% endfor %}
</div>
{% endif %}
{% endfor %}
{% endif %}

{% if flows %}
<h2>Optical flow</h2>
{% for flow in flows %}
{{ flow | safe }}
{% endfor %}
{% endif %}

<h2>Settings</h2>
<p>Repeat it: <code>{{ run.command }}</code></p>
<pre>{{ config }}</pre>
<h2>Versions</h2>
<pre>{{ environment }}</pre>
<p class="muted">Written by tfav {{ version }}.</p>
</body>
</html>
""")
