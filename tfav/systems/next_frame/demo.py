"""The system on made data, from nothing to a scored run in under a minute."""

from pathlib import Path

import numpy as np

from tfav.data.mnist import small_digits
from tfav.io.atomic_write import write_json
from tfav.io.console import say
from tfav.io.encoding import write_video
from tfav.systems.next_frame import dataset, predict
from tfav.systems.next_frame.config import Config
from tfav.systems.next_frame.evaluate import describe_evaluation, evaluate
from tfav.systems.next_frame.train import train


def demo(out_dir: Path | str) -> dict:
    """Makes sequences of scikit-learn's small digits, trains, scores, and predicts how a video goes on.

    Args:
        out_dir: Gets the run folder `run/` and a video `digits.mp4`.

    Returns:
        `mse` of the run and `mse_copy_last`.
    """
    out_dir = Path(out_dir)
    config = Config.preset("demo", mnist="small")
    run_dir = out_dir / "run"
    train(config, run_dir)
    result = evaluate(run_dir)
    write_json(run_dir / "evaluation.json", result)
    say(describe_evaluation(result))
    sequence = next(dataset.made_test_set(config, small_digits()).as_numpy_iterator())[0]
    frames = np.repeat(np.rint(sequence[: config.input_frames] * 255).astype(np.uint8), 3, axis=-1)
    film = write_video(out_dir / "digits.mp4", frames, 10)
    row = predict.predict_files(run_dir, [film], frames=config.output_frames)["files"][0]
    say(f"how {film} goes on: {', '.join(row['wrote'])}")
    return {"mse": result["scores"]["mse"], "mse_copy_last": result["copy_last"]["mse"]}
