"""A study: the same made recordings with their text as `.txt`, `.srt`, `.TextGrid` and a table give the same model.

`python -m tests.bench transcript_kinds --folder DIR` takes the recordings of `made_spanish` in DIR, prepares some of
them with each kind of transcript in turn, trains deterministically, and compares every weight. A few minutes.
"""

import argparse
import csv
import shutil
from pathlib import Path

import numpy as np

from tests.bench.made_spanish import write_corpus


def write_transcripts(recordings: list[Path], folder: Path, kind: str) -> Path | None:
    """The recordings again with transcripts of a kind beside them, or the table that tells all."""
    from tfav.io.video import probe
    from tfav.speech.subtitles import write_times
    from tfav.speech.transcripts import TimedWord

    shutil.rmtree(folder, ignore_errors=True)
    (folder / "ana").mkdir(parents=True)
    rows = []
    for path in recordings:
        copy, text = folder / "ana" / path.name, path.with_suffix(".txt").read_text(encoding="utf-8").strip()
        copy.symlink_to(path.absolute())
        info = probe(copy, exact=False)
        seconds = info.num_frames / info.fps
        if kind == "csv":
            rows.append((f"ana/{path.name}", text))
        elif kind == "txt":
            copy.with_suffix(".txt").write_text(text, encoding="utf-8")
        elif kind == "srt":  # one cue, whose markup is taken off
            write_times(copy.with_suffix(".srt"), [TimedWord(f"<i>{text}</i>", 0.2, seconds - 0.2)], seconds)
        else:  # words with times, however wrong
            words = text.split()
            times = np.linspace(0.1, seconds - 0.1, len(words) + 1)
            spans = zip(words, times[:-1].tolist(), times[1:].tolist(), strict=True)
            write_times(copy.with_suffix(f".{kind}"), [TimedWord(*span) for span in spans], seconds)
    if kind != "csv":
        return None
    table = folder / "said.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("video", "text"), *rows])
    return table


def main() -> None:
    """Prints how far the weights of each kind's model are from those of the first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()

    from tfav import training
    from tfav.data.shards import read_index
    from tfav.systems import lipnet
    from tfav.training import checkpoints

    training.be_deterministic()
    if not (options.folder / "ana").exists():
        write_corpus(options.folder, options.count, held_out=0)
    recordings, first = sorted((options.folder / "ana").glob("*.mp4"))[: options.count], None
    for kind in ("txt", "srt", "TextGrid", "csv"):
        source, work = options.folder / f"as_{kind}", options.folder / f"of_{kind}"
        table = write_transcripts(recordings, source, kind)
        shutil.rmtree(work, ignore_errors=True)
        lipnet.prepare(source, work / "mouths", transcripts=table)
        longest = max(entry.num_frames for entry in read_index(work / "mouths").entries)
        config = lipnet.Config.preset(
            "cpu", data_dir=str(work / "mouths"), num_frames=longest, times="self", epochs=options.epochs
        )
        lipnet.train(config, work / "run", verbose=0)
        weights = checkpoints.read_model(work / "run" / "best.keras").get_weights()
        first = first or weights
        apart = max(float(np.abs(one - other).max()) for one, other in zip(weights, first, strict=True))
        print(f"{kind}: {len(weights)} weights, at most {apart:g} from those of .txt", flush=True)


if __name__ == "__main__":
    main()
