"""The system on made data, from nothing to a demo video, in about a minute."""

from pathlib import Path

from tqdm import tqdm

from tfav.data import synthetic
from tfav.io.atomic_write import write_json
from tfav.io.console import say
from tfav.systems.two_stream.config import Config
from tfav.systems.two_stream.evaluate import evaluate, evaluate_fusion
from tfav.systems.two_stream.predict import predict_streams
from tfav.systems.two_stream.train import train


def demo(out_dir: Path | str) -> dict:
    """Makes videos, trains both streams, scores unseen ones with each and with both, and writes one's `demo.mp4`.

    Args:
        out_dir: Gets `videos/`, `unseen/`, the run folders `spatial/` and `run/` (motion), and `demo.mp4`.

    Returns:
        Top-1 of `spatial`, `motion` and `fused` on groups that were not in training.
    """
    out_dir = Path(out_dir)
    for name, num_groups, seed in (("videos", 40, 1), ("unseen", 12, 2)):
        bar = {"desc": f"making {name}", "unit": "video"}
        synthetic.moving_shapes(
            out_dir / name,
            num_groups=num_groups,
            clips_per_group=1,
            seed=seed,
            progress=lambda jobs, total, bar=bar: tqdm(jobs, total=total, **bar),
        )
    shared = {"data_dir": str(out_dir / "videos"), "cache_dir": str(out_dir / "cache")}
    run_dirs = {"spatial": out_dir / "spatial", "motion": out_dir / "run"}
    for stream, run_dir in run_dirs.items():
        say(f"-- the {stream} stream")
        train(Config.preset("demo", stream=stream, **shared), run_dir, verbose=2)
    write_json(run_dirs["motion"] / "evaluation.json", evaluate(run_dirs["motion"], out_dir / "unseen"))
    config = Config.preset("demo", data_dir=str(out_dir / "unseen"), cache_dir=shared["cache_dir"])
    scores = evaluate_fusion(run_dirs["spatial"], run_dirs["motion"], config)
    top1 = {name: row["top1"] for name, row in scores.items() if name != "failed"}
    video = sorted((out_dir / "unseen").rglob("*.mp4"))[0]
    row = predict_streams(run_dirs["spatial"], run_dirs["motion"], [video], demo=out_dir / "demo.mp4")["files"][0]
    say(f"prediction for {video}: {row['ranking'][0]['label']} ({row['ranking'][0]['probability']:.0%})")
    say(f"annotated video: {out_dir / 'demo.mp4'}")
    say(
        f"unseen groups: spatial {top1['spatial']:.1%}, motion {top1['motion']:.1%}, both {top1['fused']:.1%} right; "
        "the classes of each pair consist of the same kind of frames, so frames alone cannot tell them apart"
    )
    return top1
