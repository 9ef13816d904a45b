"""The frame of every page: head, style, sections one below the other; and pieces of HTML that several pages use."""

import html
import json
from collections.abc import Iterable, Sequence

import jinja2

from tfav._version import __version__

Section = tuple[str, str]  # title and HTML


class Html(str):
    """Text that is HTML already."""


def page(title: str, subtitle: str, sections: Iterable[Section]) -> str:
    """A page that needs no network: sections in order, an address for each, those without content left out."""
    shown = [(f"part-{number}", *section) for number, section in enumerate(sections) if section[1]]
    return _TEMPLATE.render(title=title, subtitle=subtitle, sections=shown, version=__version__)


def table(head: Sequence, rows: Iterable[Sequence]) -> Html:
    """A table; all cells but `Html` are escaped."""
    lines = ["".join(f"<th>{escaped(name)}</th>" for name in head)] if any(head) else []
    lines += ["".join(f"<td>{escaped(value)}</td>" for value in row) for row in rows]
    return scroll("<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>")


def scroll(content: str) -> Html:
    """Wide content that moves by itself on a narrow screen."""
    return Html(f'<div class="scroll">{content}</div>')


def paragraph(text: str) -> Html:
    """Text that is `Html` as it stands, other text escaped."""
    return Html(f"<p>{escaped(text)}</p>")


def json_block(content) -> Html:
    """Settings and versions as they are stored."""
    return Html(f"<pre>{html.escape(json.dumps(content, indent=2, ensure_ascii=False))}</pre>")


def percent(value: float, interval: Sequence[float] | None = None) -> str:
    """A share in per cent, with its 95 % interval where there is one."""
    text = f"{100 * value:.1f} %"
    return text if interval is None else f"{text} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def failures(rows: Sequence[dict], what: str) -> str:
    """What could not be read, with the reason of each; nothing where all could be."""
    if not rows:
        return ""
    reasons = "".join(f"<li>{html.escape(row['reason'])}</li>" for row in rows)
    return f"<p><b>{len(rows)} {what} could not be read</b> and are not in these figures:</p><ul>{reasons}</ul>"


def escaped(value) -> str:
    """Text as HTML; `Html` as it stands."""
    return value if isinstance(value, Html) else html.escape(str(value))


_TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
  h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #d5dce3; padding-bottom: .3rem; }
  nav a { margin-right: 1rem; white-space: nowrap; } a { color: #1f6fb2; }
  .scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; } figure { margin: 0 0 1.5rem; }
  table { border-collapse: collapse; } th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid
  #e4e9ee; } th:first-child, td:first-child { text-align: left; } td, th { vertical-align: top; }
  .cards { display: flex; flex-wrap: wrap; gap: 1rem; }
  .card { width: 180px; border: 1px solid #d5dce3; border-radius: 6px; padding: 9px; font-size: .85rem; }
  .card img { width: 100%; } .right { border-left: 5px solid #2a8f5b; } .wrong { border-left: 5px solid #c8374a; }
  pre { background: #f4f6f8; padding: .8rem; overflow-x: auto; font-size: .8rem; }
  code { background: #f4f6f8; padding: .1rem .3rem; overflow-wrap: anywhere; }
  .big { font-size: 1.6rem; font-weight: 600; } .muted, figcaption { color: #5b6875; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="muted">{{ subtitle }}</p>
<nav>{% for anchor, name, _ in sections %}<a href="#{{ anchor }}">{{ name }}</a> {% endfor %}</nav>
{% for anchor, name, content in sections %}
<h2 id="{{ anchor }}">{{ name }}</h2>
{{ content | safe }}
{% endfor %}
<p class="muted">Written by tfav {{ version }}.</p>
</body>
</html>
""")
