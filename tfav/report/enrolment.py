"""When is it enough? What share of a speaker's words is read after so many takes, measured by cross-validation."""

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfav.data import shards
from tfav.errors import DataError
from tfav.io.atomic_write import write_json
from tfav.io.console import say
from tfav.io.listing import natural_key
from tfav.io.text_files import same_form, write_text
from tfav.metrics import word_error_rate
from tfav.speech import grid
from tfav.speech.enrolment import Slot, slot_of
from tfav.training.system import System

REPORT_NAME = "report.json"
_LITTLE = 0.02  # share of the words; a step that brings less is no gain
_NEARLY_ALL = 0.97


def measure_growth(
    system: System,
    recordings: Path | str,
    run_dir: Path | str,
    *,
    speaker: str = "me",
    preset: str = "adapt",
    step: int = 10,
    folds: int = 2,
    grammar: str | None = None,
) -> dict:
    """Trains on parts of the first 10, 20, 30, ... takes and reads the others, each take once.

    A sentence that is learnt is never read, unless the sentences are a closed list: then each of its takes is read by a
    training on the other ones.

    Args:
        system: A reader of sentences.
        recordings: Takes as `tfav.speech.enrolment` files them.
        run_dir: Gets the prepared takes, a run for each training and `report.json`; what is there is not done again.
        speaker: Whose takes.
        preset: Of the system's `Config`.
        step: Takes from one measurement to the next; the last one has all.
        folds: Parts of the takes.
        grammar: A grammar file, or `none`; None: GRID's where all takes are of its form, else `none`.

    Returns:
        JSON-ready: `points`, one for each size with `takes`, `words`, `share` of them read rightly, its 95 %
        `interval`, `decoder`, and whether the sentences are a `closed` list; `is_enough`, and `advice` in words;
        `failed`, takes that could not be prepared, with the reason.

    Raises:
        DataError: Too few takes.
        UsageError: No such speaker or preset.
    """
    run_dir, speaker = Path(run_dir), same_form(speaker)
    prepared = system.prepare(recordings, run_dir / "mouths", speakers=(speaker,))
    index = shards.read_index(run_dir / "mouths")
    entries = sorted(index.entries, key=lambda entry: _recorded(entry.id))
    takes = {entry.id: [entry.text, entry.num_frames] for entry in entries}
    if len(takes) < 2 * folds:
        raise DataError(
            f"{recordings}: {len(takes)} takes of {speaker} can be used, and {2 * folds} are needed for {folds} folds. "
            "Record more."
        )
    if grammar is None:
        grammar = "" if all(_is_grid(text) for text, _ in takes.values()) else "none"
    config, points = {"data_dir": str(run_dir / "mouths"), "grammar": grammar}, []
    is_closed = _parts(takes, folds)[1]
    for size in [*range(max(step, 2 * folds), len(takes), step), len(takes)]:
        some = dict(list(takes.items())[:size])
        parts, closed = _parts(some, folds)
        if closed != is_closed:
            continue  # not yet is each sentence there so often
        rows = []
        for number, part in enumerate(filter(None, parts), 1):
            learnt = {name: take for name, take in some.items() if name not in part}
            rows += _train_and_read(system, preset, config, learnt, part, run_dir / f"{size:04d}_fold{number}")
        points.append(_point(size, closed, rows))
        say(_describe_point(points[-1]))
    result = {"points": points, **_advise(points), "failed": dict(prepared.failed)}
    write_json(run_dir / REPORT_NAME, result)
    return result


def describe_growth(result: Mapping) -> str:
    """What `measure_growth` gave, for a person."""
    lines = [_describe_point(point) for point in result["points"]]
    lines += [f"left out: {reason}" for reason in result["failed"].values()]
    return "\n".join([*lines, result["advice"]])


def _train_and_read(
    system: System, preset: str, config: Mapping, learnt: Mapping[str, list], read: Mapping[str, list], folder: Path
) -> list[dict]:
    """Rows of what is read of some takes by a training on others, which goes on, or is done, for the same takes."""
    takes, about = {"learnt": learnt, "read": read}, folder.with_suffix(".takes.json")
    if not about.exists() or json.loads(about.read_text(encoding="utf-8")) != takes:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(about, takes)
    done = folder / "evaluation.json"
    if not done.exists():
        lists = {"train_list": folder.with_suffix(".learnt.txt"), "val_list": folder.with_suffix(".read.txt")}
        for path, names in zip(lists.values(), (learnt, read), strict=True):
            write_text(path, "".join(f"{name}\n" for name in names))
        settings = {**config, **{name: str(path) for name, path in lists.items()}}
        system.train(system.Config.preset(preset, **settings), folder)
        write_json(done, system.evaluate(folder, None, part="val", progress=False))
    return json.loads(done.read_text(encoding="utf-8"))["examples"]


def _recorded(name: str) -> tuple:
    """A key that sorts takes as they are recorded: each prompt once, then each a second time."""
    slot = slot_of(name) or Slot(0, 0)
    return slot.take, slot.number, natural_key(name)


def _is_grid(text: str) -> bool:
    words = text.split()
    return len(words) == len(grid.SLOTS) and all(
        word in slot.values() for word, slot in zip(words, grid.SLOTS, strict=True)
    )


def _parts(takes: Mapping[str, list], folds: int) -> tuple[list[dict[str, list]], bool]:
    """The takes in parts, and whether they are of a closed list, each sentence of which is in all parts."""
    texts = [take[0] for take in takes.values()]
    different = list(dict.fromkeys(texts))
    closed = min(Counter(texts).values()) >= folds
    parts: list[dict[str, list]] = [{} for _ in range(folds)]
    said: Counter = Counter()
    for name, take in takes.items():
        place = said[take[0]] + different.index(take[0]) if closed else different.index(take[0])
        said[take[0]] += 1
        parts[place % folds][name] = take
    return parts, closed


def _point(size: int, closed: bool, rows: Sequence[Mapping]) -> dict:
    decoder = next(name for name in ("grammar", "beam") if name in rows[0])
    scores = word_error_rate.evaluate([row["reference"] for row in rows], [row[decoder] for row in rows])
    low, high = (max(0.0, 1 - wrong) for wrong in reversed(scores["wer_interval"]))
    share = max(0.0, 1 - scores["wer"])
    point = {"takes": size, "words": scores["words"]["count"], "share": share, "interval": [low, high]}
    return point | {"decoder": decoder, "closed": closed}


def _describe_point(point: Mapping) -> str:
    low, high = point["interval"]
    new = "new takes of the same sentences" if point["closed"] else "sentences that it has not learnt"
    return f"{point['takes']} takes: reads {point['share']:.0%} of the words of {new} ({low:.0%} to {high:.0%})"


def _advise(points: Sequence[Mapping]) -> dict:
    shares = [point["share"] for point in points]
    gains = [after - before for before, after in itertools.pairwise(shares)]
    if shares[-1] >= _NEARLY_ALL:
        return {"is_enough": True, "advice": "Enough: it reads nearly all words."}
    if len(gains) >= 2 and max(gains[-2:]) < _LITTLE:
        return {"is_enough": True, "advice": "More takes no longer help: the last two steps brought next to nothing."}
    if not gains:
        return {"is_enough": False, "advice": "Record more, then ask again: one measurement shows no growth."}
    more = points[-1]["takes"] - points[-2]["takes"]
    return {
        "is_enough": False,
        "advice": f"More takes help: the last {more} changed the share by {100 * gains[-1]:+.0f} points. Go on.",
    }
