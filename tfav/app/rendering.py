"""What the systems' rows look like on the page: HTML in which everything is escaped and every picture has words."""

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Link = Callable[[str], str]  # from a result's path to its address


def status(kind: str, text: str, share: float | None = None) -> str:
    """The line that tells how things stand.

    Args:
        kind: `idle`, `busy`, `done` or `wrong`.
        text: For the person.
        share: How much is done, 0-1, for a bar.
    """
    bar = "" if share is None else f'<progress max="100" value="{100 * share:.0f}" aria-label="Progress"></progress>'
    return f'<div class="status {kind}"{_ALERT[kind == "wrong"]}><p>{html.escape(text)}</p>{bar}</div>'


_ALERT = {True: ' role="alert"', False: ""}


def brief(row: Mapping) -> str:
    """A result in a few words, for the status line that is read out; empty where pictures say it."""
    ranking = row.get("ranking") or [{"label": ""}]
    return row.get("text") or ranking[0]["label"].replace("_", " ")


def classes(row: Mapping, link: Link) -> str:
    """Ranked classes."""
    best = row["ranking"][0]
    return (
        f'<p class="said">{_words(best["label"])}</p>'
        f'<p class="sure">{_sure(best["probability"])}</p>{_ranking(row["ranking"], "What it may be")}'
    )


def actions(row: Mapping, link: Link) -> str:
    """Both streams' classes, how they change from frame to frame, and the annotated video."""
    best = row["ranking"][0]
    parts = [
        f'<p class="said">{_words(best["label"])}</p>',
        f'<p class="sure">{_sure(best["probability"])}, from pictures and motion together</p>',
        _warnings(row),
        _video(link(row["demo"]), "The video with its motion and what each stream sees, frame by frame")
        if "demo" in row
        else "",
        _chart(row["frames"], best["label"]),
        _ranking(row["ranking"], "Pictures and motion together"),
        '<div class="side-by-side">',
        _ranking(row["spatial"], "From pictures alone"),
        _ranking(row["motion"], "From motion alone"),
        "</div>",
        _downloads([(row["demo"], "annotated video (.mp4)")] if "demo" in row else [], link),
    ]
    return "".join(parts)


def lips(row: Mapping, link: Link) -> str:
    """The text, how far to trust it, word times, captions, the tracked mouth, subtitles."""
    wrote = {Path(path).suffix: path for path in row["wrote"]}
    text = row["text"] or "(nothing was read)"
    parts = [f'<p class="said">{html.escape(text)}</p>']
    if row["in_domain"]:
        parts.append(f'<p class="sure">{_sure(row["posterior"])}</p>')
    else:  # a model is often sure of what it has never seen
        parts.append(
            '<p class="warning" role="alert"><strong>Do not rely on this text.</strong> The video is not of the kind '
            "the model was trained on: six-word sentences such as “bin blue at f two now”, spoken to the camera.</p>"
        )
    parts.append(_warnings(row, skip="out of the model's domain"))
    if ".mp4" in wrote:
        parts.append(_video(link(wrote[".mp4"]), f"The video with captions: {text}"))
    if ".gif" in wrote:
        parts.append(_picture(link(wrote[".gif"]), f"The mouth that was followed. It says: {text}"))
    if row["words"]:
        cells = [(word["text"], f"{word['start_sec']:.2f}", f"{word['end_sec']:.2f}") for word in row["words"]]
        parts.append(_table("When each word is said", ("word", "from (s)", "to (s)"), cells))
    names = {".srt": "subtitles (.srt)", ".vtt": "subtitles (.vtt)", ".mp4": "video with captions (.mp4)"}
    parts.append(_downloads([(wrote[suffix], name) for suffix, name in names.items() if suffix in wrote], link))
    return "".join(parts)


def frames(row: Mapping, link: Link) -> str:
    """The frames seen and those predicted, as a moving picture."""
    wrote = {Path(path).suffix: path for path in row["wrote"]}
    count = row["frames"]
    what = f"The last frames of the video, then {count} predicted ones, which have an orange bar under them"
    names = ((".gif", "moving picture (.gif)"), (".mp4", "video (.mp4)"))
    return (
        f'<p class="said">{count} frames more</p>'
        + _warnings(row)
        + _picture(link(wrote[".gif"]), what)
        + _downloads([(wrote[suffix], name) for suffix, name in names], link)
    )


def words(row: Mapping, link: Link) -> str:
    """What is recognised by sound, by lips and by both, side by side."""
    titles = {"audio": "By its sound", "video": "By the lips", "both": "By both"}
    best, (start, stop) = row["ranking"][0], row["window_sec"]
    columns = "".join(
        _ranking(row["streams"][name], title)
        if name in row["streams"]
        else f'<section class="ranking"><h3>{title}</h3><p>Not there.</p></section>'
        for name, title in titles.items()
    )
    pages = [(path, "page with the clip and the words (.html)") for path in row["wrote"]]
    return (
        f'<p class="said">{_words(row["text"])}</p>'
        f'<p class="sure">{_sure(best["probability"])}, {titles[row["used"]].lower()}, '
        f"from {start:.2f} to {stop:.2f} s</p>"
        + _warnings(row).replace("--at SEC chooses another", "another can be chosen by its time")
        + f'<div class="side-by-side">{columns}</div>{_downloads(pages, link)}'
    )


def _sure(probability: float) -> str:
    return "more than 99% sure" if probability > 0.99 else f"{probability:.0%} sure"  # nothing is 100% sure


def _words(label: str) -> str:
    return html.escape(label.replace("_", " "))


def _ranking(ranking: Sequence[Mapping], title: str) -> str:
    rows = "".join(
        f'<li><span class="name">{_words(rank["label"])}</span><span class="share">{rank["probability"]:.1%}</span>'
        f'<span class="bar" aria-hidden="true" style="width:{100 * rank["probability"]:.1f}%"></span></li>'
        for rank in ranking
    )
    return f'<section class="ranking"><h3>{html.escape(title)}</h3><ol>{rows}</ol></section>'


def _chart(frames: Sequence[Mapping], label: str) -> str:
    """One bar a frame: how likely the video's class is there."""
    shares = [
        next((rank["probability"] for rank in frame["ranking"] if rank["label"] == label), 0.0)
        for frame in frames
        if "ranking" in frame
    ]
    if not shares:
        return ""
    step = -(-len(shares) // 300)  # so many bars at most; each the mean of its frames
    bars = [sum(shares[n : n + step]) / len(shares[n : n + step]) for n in range(0, len(shares), step)]
    width = 300 / len(bars)
    drawn = "".join(
        f'<rect x="{n * width:.2f}" y="{60 - 60 * bar:.1f}" width="{0.85 * width:.2f}" height="{60 * bar:.1f}"/>'
        for n, bar in enumerate(bars)
    )
    words = f"How likely “{label.replace('_', ' ')}” is in each frame: {min(shares):.0%} to {max(shares):.0%}"
    return (
        f'<figure class="chart"><svg viewBox="0 0 300 60" preserveAspectRatio="none" role="img" '
        f'aria-label="{html.escape(words)}">{drawn}</svg><figcaption>{html.escape(words)}.</figcaption></figure>'
    )


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _picture(address: str, words: str) -> str:
    words, address = html.escape(words), html.escape(address)
    return f'<figure><img src="{address}" alt="{words}"><figcaption>{words}.</figcaption></figure>'


def _video(address: str, words: str) -> str:
    # It plays by itself: a video that stands still has its controls over the captions.
    words, address = html.escape(words), html.escape(address)
    return (
        f'<figure><video controls autoplay muted loop playsinline src="{address}" aria-label="{words}"></video>'
        f"<figcaption>{words}.</figcaption></figure>"
    )


def _downloads(files: Sequence[tuple[str, str]], link: Link) -> str:
    links = "".join(
        f'<li><a href="{html.escape(link(path))}" download="{html.escape(Path(path).name)}">Download {name}</a></li>'
        for path, name in files
    )
    return f'<ul class="downloads">{links}</ul>' if links else ""


def _warnings(row: Mapping, skip: str | None = None) -> str:
    lines = [line.removeprefix(f"{row['path']}: ") for line in row.get("warnings", ())]
    lines = [line[:1].upper() + line[1:] for line in lines if not (skip and line.startswith(skip))]
    return "".join(f'<p class="note">{html.escape(line.rstrip("."))}.</p>' for line in lines)
