"""One HTML page of what was heard and seen in a clip: the clip to play, the words beside it. Needs no network."""

import base64
import html
from pathlib import Path

from tfav.io.atomic_write import partial_file
from tfav.io.text_files import write_text

_TITLES = {"both": "sound and lips together", "audio": "sound alone", "video": "lips alone"}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
.row { display: flex; flex-wrap: wrap; gap: 2rem; align-items: flex-start; }
video, audio { width: 24rem; max-width: 100%; background: #000; }
h2 { font-size: 1rem; margin: 1rem 0 .3rem; } .word { font-size: 2.2rem; font-weight: 600; }
.bar { display: grid; grid-template-columns: 6rem 1fr 4rem; gap: .6rem; align-items: center; }
.bar i { display: block; height: .8rem; background: #1f6fb2; border-radius: 2px; }
.bar span { text-align: right; } .used i { background: #2a8f5b; } .muted { color: #5b6875; }
"""


def write_page(path: Path | str, row: dict, clip: bytes, kind: str) -> Path:
    """Writes the page of one prediction.

    Args:
        path: The file, ending in .html.
        row: `path`, `text`, `used`, `streams` from name to ranking, `window_sec`, `warnings`.
        clip: What to play, a whole media file.
        kind: Its MIME type, such as `video/mp4`.

    Returns:
        The path.
    """
    tag = "video" if kind.startswith("video") else "audio"
    source = f"data:{kind};base64,{base64.b64encode(clip).decode()}"
    start, stop = row["window_sec"]
    columns = "".join(_ranking(name, ranking, name == row["used"]) for name, ranking in row["streams"].items())
    warnings = "".join(f"<li>{html.escape(line)}</li>" for line in row["warnings"])
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(row["text"])}: {html.escape(Path(row["path"]).name)}</title><style>{_STYLE}</style></head>
<body><h1>{html.escape(Path(row["path"]).name)}</h1>
<div class="row"><div><{tag} controls loop autoplay muted playsinline src="{source}"></{tag}>
<p class="muted">{start:.2f} to {stop:.2f} s, all that the model was given; its sound is off until you switch it on</p>
</div>
<div><div class="word">{html.escape(row["text"])}</div>
<p class="muted">by {_TITLES[row["used"]]}</p>{columns}</div></div>
{f"<h2>To know</h2><ul>{warnings}</ul>" if warnings else ""}
</body></html>
"""
    path = Path(path)
    with partial_file(path) as partial:
        write_text(partial, page)
    return path


def _ranking(name: str, ranking: list[dict], used: bool) -> str:
    bars = "".join(
        f'<b>{html.escape(rank["label"])}</b><i style="width:{100 * rank["probability"]:.1f}%"></i>'
        f"<span>{100 * rank['probability']:.1f} %</span>"
        for rank in ranking
    )
    return f'<h2>{_TITLES[name]}</h2><div class="bar{" used" if used else ""}">{bars}</div>'
