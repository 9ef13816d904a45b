"""A made corpus with known answers: drawn mouths that spell GRID sentences, straight into shards.

Each letter has a shape of its own (width, opening, a glimpse of teeth), so what is said can be read off the picture;
words come with their times. No face is drawn: this is what `tfav prepare lipnet` would have made of one.
"""

from pathlib import Path

import numpy as np

from tfav.data.example_files import Record
from tfav.data.shards import Index, write_shards
from tfav.data.synthetic_speech import draw_mouth, letter_shape
from tfav.errors import UsageError
from tfav.io.atomic_write import partial_file
from tfav.systems.lipnet import corpus

HEIGHT, WIDTH = 28, 56
_FRAMES_PER_LETTER = 2
_PAUSE = 3  # frames before the first word and, at least, after the last


def make_shards(
    folder: Path | str, *, num_clips: int = 60, num_slots: int = 3, num_frames: int = 40, seed: int = 0
) -> Index:
    """Writes made clips as shards that `data.build_datasets` takes.

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
    longest = sum(max(map(len, slot.values())) + 1 for slot in corpus.SLOTS[:num_slots]) - 1
    needed = longest * _FRAMES_PER_LETTER + 2 * _PAUSE
    if num_frames < needed or not 1 <= num_slots <= len(corpus.SLOTS):
        raise UsageError(f"{num_slots} words need {needed} frames. Received: num_frames={num_frames}")

    def make(name: str) -> Record:
        rng = np.random.default_rng([seed, int(name.split("/")[1])])
        sentence = [str(rng.choice(list(slot.values()))) for slot in corpus.SLOTS[:num_slots]]
        return _draw_clip(name, sentence, num_frames, rng)

    settings = {"system": "lipnet", "format": 2, "box": "follow"}
    return write_shards(folder, [f"made/{number:03}" for number in range(num_clips)], make, settings=settings)


def write_grammar(path: Path | str, *, num_slots: int = 3) -> Path:
    """Writes the grammar of the made sentences: a line for each slot."""
    with partial_file(path) as partial:
        partial.write_text("\n".join(" ".join(slot.values()) for slot in corpus.SLOTS[:num_slots]), encoding="utf-8")
    return Path(path)


def _draw_clip(name: str, sentence: list[str], num_frames: int, rng: np.random.Generator) -> Record:
    text = " ".join(sentence)
    spoken = np.repeat([letter_shape(letter) for letter in text], _FRAMES_PER_LETTER, axis=0)
    start = int(rng.integers(_PAUSE, num_frames - len(spoken) - _PAUSE + 1))
    shapes = np.tile(np.array(letter_shape(" ")), (num_frames, 1))
    shapes[start : start + len(spoken)] = spoken
    center = np.array([WIDTH / 2, HEIGHT / 2]) + rng.uniform(-1.5, 1.5, 2)
    skin, lips = rng.uniform(120, 190), rng.uniform(60, 100)
    frames = np.stack([draw_mouth(shape, center, skin, lips, (HEIGHT, WIDTH)) for shape in shapes])
    frames = np.clip(frames + rng.normal(0, 4, frames.shape), 0, 255).round().astype(np.uint8)
    times, place = [], start
    for word in sentence:
        times.append((place, place + len(word) * _FRAMES_PER_LETTER))
        place += (len(word) + 1) * _FRAMES_PER_LETTER
    return Record(name, frames[..., None], corpus.FPS, text, tuple(sentence), np.array(times, np.float32) / corpus.FPS)
