"""The system on made data, from nothing to a scored run in about a minute."""

from pathlib import Path

from tqdm import tqdm

from tfav.data import synthetic
from tfav.io.atomic_write import write_json
from tfav.io.console import say
from tfav.systems.cnn_lstm.config import Config
from tfav.systems.cnn_lstm.evaluate import describe_evaluation, evaluate
from tfav.systems.cnn_lstm.train import train


def demo(out_dir: Path | str) -> dict:
    """Makes videos, trains, scores unseen ones as they are and with their frames shuffled, and predicts one.

    Args:
        out_dir: Gets `videos/`, `unseen/` and the run folder `run/`.

    Returns:
        `top1` and `top1_shuffled` on groups that were not in training.
    """
    out_dir = Path(out_dir)
    for name, num_groups, seed in (("videos", 100, 1), ("unseen", 20, 2)):
        bar = {"desc": f"making {name}", "unit": "video", "disable": None}
        synthetic.moving_shapes(
            out_dir / name,
            num_groups=num_groups,
            clips_per_group=1,
            seed=seed,
            progress=lambda jobs, total, bar=bar: tqdm(jobs, total=total, **bar),
        )
    config = Config.preset("demo", data_dir=str(out_dir / "videos"), cache_dir=str(out_dir / "cache"))
    run_dir = out_dir / "run"
    train(config, run_dir)
    results = {}
    for name, shuffle in (("evaluation", False), ("evaluation_frames_shuffled", True)):
        results[name] = evaluate(run_dir, out_dir / "unseen", shuffle_frames=shuffle)
        write_json(run_dir / f"{name}.json", results[name])
    say(describe_evaluation(results["evaluation"]))
    video = results["evaluation"]["videos"][0]
    best = video["ranking"][0]
    say(f"prediction for {video['path']}: {best['label']} ({best['probability']:.0%})")
    scores = {"top1": results["evaluation"]["top1"], "top1_shuffled": results["evaluation_frames_shuffled"]["top1"]}
    say(
        f"unseen groups: {scores['top1']:.1%} right; with their frames shuffled {scores['top1_shuffled']:.1%}, "
        "since the classes of each pair differ only in the order of time (a coin would give 50%)"
    )
    return scores
