"""The system on made data, from nothing to a scored run in a minute and a half."""

from pathlib import Path

from tfav.io.atomic_write import write_json
from tfav.io.console import say
from tfav.systems.lipnet import synthetic
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.evaluate import describe_evaluation, evaluate
from tfav.systems.lipnet.train import train


def demo(out_dir: Path | str) -> dict:
    """Makes drawn mouths that spell GRID's first three words, trains, and reads clips that were not trained on.

    Args:
        out_dir: Gets the shards `shards/` and the run folder `run/`.

    Returns:
        `wer_greedy`, `wer_grammar` and `clips` of the part kept for validation.
    """
    out_dir = Path(out_dir)
    synthetic.make_shards(out_dir / "shards", num_clips=300)
    grammar = synthetic.write_grammar(out_dir / "made.grammar")
    run_dir = out_dir / "run"
    train(Config.preset("demo", data_dir=str(out_dir / "shards"), grammar=str(grammar)), run_dir)
    result = evaluate(run_dir, part="val")
    write_json(run_dir / "evaluation.json", result)
    say(describe_evaluation(result))
    return {name: result[name] for name in ("wer_greedy", "wer_grammar", "clips")}
