"""Predictions as text on a terminal or in a notebook."""

import sys
from collections.abc import Mapping

from tfav.metrics.timeline import clock


def print_predictions(result: Mapping) -> None:
    """Prints what `predict_files` of a system gives: text, ranked classes, files; warnings and errors to stderr.

    Args:
        result: `{"files": [row]}`; a row has `path`, or also `error`. Where it has `labels`, these are printed and not
            the whole `ranking`.
    """
    for row in result["files"]:
        if "error" in row:
            print(f"error: {row['error']}", file=sys.stderr)
            continue
        for warning in row.get("warnings", ()):
            print(f"warning: {warning}", file=sys.stderr)
        print(row["path"])
        if "text" in row:
            print(f"  {row['text']}")
        if row.get("labels") == []:
            print("  none of the classes")
        for rank in row.get("labels", row.get("ranking", ())):
            print(f"  {rank['probability']:6.1%}  {rank['label']}")
        for segment in row.get("segments", ()):
            times = f"{clock(segment['start_sec'])} - {clock(segment['end_sec'])}"
            print(f"  {times}  {segment['confidence']:6.1%}  {segment['label']}")
        for written in row.get("wrote", ()):
            print(f"  wrote {written}")
        if "demo" in row:
            print(f"  wrote {row['demo']}")
