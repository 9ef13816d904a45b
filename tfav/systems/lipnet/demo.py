"""The system on made data, from nothing to a scored run in a minute and a half.

Drawn mouths spell GRID sentences, each letter with a shape of its own (width, opening, a glimpse of teeth), so what is
said can be read off the picture; words come with their times. No face is drawn: this is what `tfav prepare lipnet`
would have made of one.
"""

from pathlib import Path

import numpy as np

from tfav.data.example_files import Record
from tfav.data.shards import Index, write_shards
from tfav.errors import UsageError
from tfav.io.atomic_write import partial_file, write_json
from tfav.io.console import say
from tfav.speech import grid
from tfav.speech.synthetic_speaker import draw_mouths
from tfav.systems.lipnet.config import SYSTEM, Config
from tfav.systems.lipnet.dataset import RECORD_FORMAT
from tfav.systems.lipnet.evaluate import describe_evaluation, evaluate
from tfav.systems.lipnet.train import train

HEIGHT, WIDTH = 28, 56
_FRAMES_PER_LETTER = 2
_PAUSE = 3  # frames before the first word and, at least, after the last


def demo(out_dir: Path | str) -> dict:
    """Makes drawn mouths that spell GRID's first three words, trains, and reads clips that were not trained on.

    Args:
        out_dir: Gets the shards `shards/` and the run folder `run/`.

    Returns:
        `wer_greedy`, `wer_grammar` and `clips` of the part kept for validation.
    """
    out_dir = Path(out_dir)
    make_shards(out_dir / "shards", num_clips=300)
    grammar = write_grammar(out_dir / "made.grammar")
    run_dir = out_dir / "run"
    train(Config.preset("demo", data_dir=str(out_dir / "shards"), grammar=str(grammar)), run_dir)
    result = evaluate(run_dir, part="val")
    write_json(run_dir / "evaluation.json", result)
    say(describe_evaluation(result))
    return {name: result[name] for name in ("wer_greedy", "wer_grammar", "clips")}


def make_shards(
    folder: Path | str, *, num_clips: int = 60, num_slots: int = 3, num_frames: int = 40, seed: int = 0
) -> Index:
    """Writes made clips as shards that `build_datasets` takes.

    Args:
        folder: Where.
        num_clips: How many, called `made/000` and so on.
        num_slots: Words in a sentence: that many first slots of GRID's grammar.
        num_frames: Length of a clip, long enough for the longest sentence.
        seed: Same seed, same clips.

    Returns:
        The index. Frames are `[T, 28, 56, 1]` uint8.

    Raises:
        UsageError: A clip too short for its sentence.
    """
    longest = sum(max(map(len, slot.values())) + 1 for slot in grid.SLOTS[:num_slots]) - 1
    needed = longest * _FRAMES_PER_LETTER + 2 * _PAUSE
    if num_frames < needed or not 1 <= num_slots <= len(grid.SLOTS):
        raise UsageError(f"{num_slots} words need {needed} frames. Received: num_frames={num_frames}")

    def make(name: str) -> Record:
        rng = np.random.default_rng([seed, int(name.split("/")[1])])
        sentence = [str(rng.choice(list(slot.values()))) for slot in grid.SLOTS[:num_slots]]
        return _draw_clip(name, sentence, num_frames, rng)

    settings = {"system": SYSTEM, "format": RECORD_FORMAT, "mouth_crop": "tracked"}
    return write_shards(folder, [f"made/{number:03}" for number in range(num_clips)], make, settings=settings)


def write_grammar(path: Path | str, *, num_slots: int = 3) -> Path:
    """Writes the grammar of the made sentences: a line for each slot."""
    with partial_file(path) as partial:
        partial.write_text("\n".join(" ".join(slot.values()) for slot in grid.SLOTS[:num_slots]), encoding="utf-8")
    return Path(path)


def _draw_clip(name: str, sentence: list[str], num_frames: int, rng: np.random.Generator) -> Record:
    text = " ".join(sentence)
    spoken = "".join(letter * _FRAMES_PER_LETTER for letter in text)
    start = int(rng.integers(_PAUSE, num_frames - len(spoken) - _PAUSE + 1))
    letters = (" " * start + spoken).ljust(num_frames)
    times, place = [], start
    for word in sentence:
        times.append((place, place + len(word) * _FRAMES_PER_LETTER))
        place += (len(word) + 1) * _FRAMES_PER_LETTER
    frames = draw_mouths(letters, (HEIGHT, WIDTH), rng)
    return Record(name, frames, grid.FPS, text, tuple(sentence), np.array(times, np.float32) / grid.FPS)
