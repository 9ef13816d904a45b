"""The system on made data, from nothing to a scored run in well under a minute."""

from pathlib import Path

from tfav.io.console import say
from tfav.io.partial import write_json
from tfav.systems.av_words import evaluation, made, task
from tfav.systems.av_words.config import Config


def demo(out_dir: Path | str) -> dict:
    """Makes drawn mouths that sing words, trains both streams and the fusion, and scores words not trained on.

    Two of the words look alike and two sound alike, so that neither stream can have all of them right.

    Args:
        out_dir: Gets the shards `shards/` and the run folder `run/`.

    Returns:
        `both`, `audio` and `video`: shares of the words that are right, of the part kept for validation; `count`.
    """
    out_dir = Path(out_dir)
    made.make_shards(out_dir / "shards", num_sentences=64)
    run_dir = out_dir / "run"
    task.train(Config.preset("demo", data_dir=str(out_dir / "shards")), run_dir)
    result = evaluation.evaluate(run_dir, part="val", snr="clean,0,-10", noise="white")
    write_json(run_dir / "evaluation.json", result)
    say(evaluation.describe_evaluation(result))
    return {name: scores["top1"] for name, scores in result["streams"].items()} | {"count": result["count"]}
