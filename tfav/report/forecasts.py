"""Predicted frames on the page: examples beside the truth, moving and as strips, and the error at each step."""

import html
import tempfile
from pathlib import Path

import cv2
import numpy as np

from tfav.io.encoding import write_gif
from tfav.io.images import resize
from tfav.io.npz import read_npz
from tfav.report import markup, plots
from tfav.report.pictures import data_url, png

_TILE = 96  # pixels, in a strip
_GIF_TILE = 160
_FPS = 5
_GAP = 4  # pixels between tiles
_SCORES = (
    ("rmse", "RMSE", "{:.4g}"),
    ("mse", "MSE", "{:.2f}"),
    ("mae", "MAE", "{:.2f}"),
    ("ssim", "SSIM", "{:.4f}"),
    ("psnr", "PSNR", "{:.2f} dB"),
)


def sections(run_dir: Path, result: dict) -> list[tuple[str, str]]:
    """The pieces of a page about forecasts.

    Args:
        run_dir: The run folder; its `evaluation_examples.npz` holds `input`, `truth` and `prediction`
            `[N, T, H, W, C]` uint8, and likewise `worst_input` and so on, with `worst_mse` `[N]`.
        result: The evaluation: `scores`, `copy_last` and `yardsticks` with `per_step`, `skill`, `events`, `published`
            rows, `data`, `count`, `failed`.

    Returns:
        Title and HTML of each.
    """
    scores = _scores_table(result) + markup.failures(result.get("failed", ()), "videos")
    found = [("Scores", scores), ("Error against horizon", _horizon(result))]
    if result.get("skill"):
        found.append(("Skill by lead time", _skill(result)))
    examples = Path(run_dir) / "evaluation_examples.npz"
    if examples.exists():
        stored = read_npz(examples)
        found.append(("Examples, the first of those scored", "".join(_cards(stored, ""))))
        if "worst_mse" in stored:
            errors = [f"<p>MSE {error:.1f}</p>" for error in stored["worst_mse"]]
            cards = [a + b for a, b in zip(errors, _cards(stored, "worst_"), strict=True)]
            found.append(("Worst cases", "".join(cards)))
    return found


def _cards(stored, prefix: str) -> list[str]:
    parts = [stored[prefix + name] for name in ("input", "truth", "prediction")]
    return [example_html(*example, number) for number, example in enumerate(zip(*parts, strict=True), 1)]


def strip(seen: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """One example as a picture: the frames seen in the first row, then truth, prediction and error, step by step.

    Args:
        seen: `[T, H, W, C]` uint8.
        truth: `[N, H, W, C]` uint8.
        prediction: Like `truth`.

    Returns:
        `[4 rows, columns, 3]` uint8 RGB. Error: white where they agree, red where too bright, blue where too dark.
    """
    columns = max(len(seen), len(truth))
    rows = [list(seen), list(truth), list(prediction), list(error_picture(truth, prediction))]
    return np.concatenate([_row([_tile(frame, _TILE) for frame in row], columns, _TILE) for row in rows], axis=0)[
        :-_GAP
    ]


def moving(seen: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """One example as an animation: the frames seen; then truth, prediction and error side by side at each step.

    Args:
        seen: As for `strip`, and so are the others.

    Returns:
        `[T + N, H, W, 3]` uint8 RGB: four tiles, of which the first is the last frame seen and, while the model still
        looks, the second and third are what it sees as well.
    """
    blank = np.full_like(error_picture(seen[:1], seen[:1])[0], 255)
    pictures = [[frame, frame, np.zeros_like(frame), blank] for frame in seen]
    errors = error_picture(truth, prediction)
    pictures += [[seen[-1], *step] for step in zip(truth, prediction, errors, strict=True)]
    return np.stack([_row([_tile(tile, _GIF_TILE) for tile in tiles], 4, _GIF_TILE)[:-_GAP] for tiles in pictures])


def error_picture(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """`[..., H, W, C]` uint8 of both to `[..., H, W, 3]` uint8: white none, red too bright, blue too dark."""
    error = (prediction.astype(np.float32) - truth.astype(np.float32)).mean(-1, keepdims=True) / 255
    red_off, blue_off = np.clip(-error, 0, 1), np.clip(error, 0, 1)
    picture = np.concatenate([1 - red_off, 1 - red_off - blue_off, 1 - blue_off], axis=-1)
    return np.rint(picture * 255).astype(np.uint8)


def example_html(seen: np.ndarray, truth: np.ndarray, prediction: np.ndarray, number: int) -> str:
    """The animation and the strip of one example."""
    with tempfile.TemporaryDirectory() as folder:
        clip = write_gif(Path(folder) / "example.gif", moving(seen, truth, prediction), _FPS).read_bytes()
    return (
        f'<figure><img src="{data_url(clip, "gif")}" alt="example {number}, moving" style="max-width:100%">'
        f"<figcaption>{number}: last frame seen, truth, prediction, error (red too bright, blue too dark)</figcaption>"
        f'<img src="{data_url(png(strip(seen, truth, prediction)), "png")}" alt="example {number}, frame by frame" '
        'style="max-width:100%"><figcaption>from above: the frames seen, the true ones after them, the predicted ones, '
        "their error</figcaption></figure>"
    )


def _scores_table(result: dict) -> str:
    rows = [("this run", result["scores"]), ("copying the last frame", result["copy_last"])]
    rows += list(result.get("yardsticks", {}).items()) + [(row["name"], row) for row in result["published"]]
    shown = [score for score in _SCORES if score[0] in result["scores"]]
    one_step = ""
    if "one_step_bce" in result:
        one_step = f" One step ahead, with true frames as input: binary cross-entropy {result['one_step_bce']:.4f}."
    units = "MSE and MAE are summed over a frame's pixels in 0-1; lower is better."
    if "units" in result:
        units = f"RMSE and MAE: units {result['units']}; lower is better. Cells that are missing count nowhere."
    published = "Published rows: two digits, 10 frames after 10, on the 10,000 sequences of mnist_test_seq.npy."
    published = published if result["published"] else ""
    cells = [(name, *(_cell(row, key, form) for key, _, form in shown)) for name, row in rows]
    return (
        markup.table(("", *(f"{title}" for _, title, _ in shown)), cells)
        + f"<p>{result['count']} sequences ({html.escape(result['data'])}), {result['input_frames']} frames seen, "
        f"{result['output_frames']} predicted. {units} SSIM, PSNR: higher is better. In brackets the 95 % interval, of "
        f"resampled sequences. {published}{one_step}</p>{_channels_table(result)}{_events_table(result)}"
    )


def _channels_table(result: dict) -> str:
    """RMSE of each channel in its own units."""
    channels = result.get("channels", {})
    if not channels:
        return ""
    names = list(channels["this run"])
    rows = [(side, *(f"{of[name]['rmse']:.4g}" for name in names)) for side, of in channels.items()]
    return markup.table(("RMSE of each channel, in its units", *names), rows)


def _events_table(result: dict) -> str:
    """CSI and false alarms at each threshold."""
    rows = []
    for row in result.get("events", ()):
        of = row["scores"].items()
        told = ("-" if part["csi"] is None else f"{part['csi']:.3f} / {part['far'] or 0:.3f}" for _, part in of)
        rows.append((f"{row['channel']} at {row['threshold']:g} or more", *told))
    return markup.table(("CSI / false-alarm ratio", *result["events"][0]["scores"]), rows) if rows else ""


def _cell(row: dict, key: str, form: str) -> str:
    if key not in row:
        return "-"
    interval = row.get("intervals", {}).get(key)
    form = "{:.4g}" if key == "mae" and "rmse" in row else form  # of an array, in its units
    text = form.format(row[key])
    return text if interval is None else f"{text} ({form.format(interval[0])} to {form.format(interval[1])})"


def _horizon(result: dict) -> str:
    sides = {"this run": result["scores"]["per_step"], "copying the last frame": result["copy_last"]["per_step"]}
    sides |= {name: row["per_step"] for name, row in result.get("yardsticks", {}).items()}
    shown = [(key, title) for key, title, _ in _SCORES if key in result["scores"]]
    return f'<div class="scroll">{plots.by_step(sides, shown)}</div>'


def _skill(result: dict) -> str:
    """1 - MSE / MSE of each yardstick, and CSI at each threshold, by step."""
    values = {f"against {name}": {"skill": values} for name, values in result["skill"].items()}
    plot = plots.by_step(values, [("skill", "skill: 1 - MSE / MSE of the yardstick")])
    for row in result.get("events", ()):
        sides = {name: {"csi": [np.nan if v is None else v for v in of["csi"]]} for name, of in row["per_step"].items()}
        plot += plots.by_step(sides, [("csi", f"CSI, {row['channel']} at {row['threshold']:g}")])
    return f'<div class="scroll">{plot}</div><p>Skill 1 is perfect; 0 is no better than the yardstick.</p>'


def _tile(frame: np.ndarray, size: int) -> np.ndarray:
    frame = np.repeat(frame, 3, axis=-1) if frame.shape[-1] == 1 else frame
    height = max(1, round(frame.shape[0] * size / frame.shape[1]))
    return resize(frame, height, size, growing=cv2.INTER_NEAREST)


def _row(tiles: list[np.ndarray], columns: int, size: int) -> np.ndarray:
    height = tiles[0].shape[0]
    picture = np.full((height + _GAP, columns * (size + _GAP) - _GAP, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        left = number * (size + _GAP)
        picture[:height, left : left + size] = tile
    return picture
