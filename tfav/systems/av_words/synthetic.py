"""A made data set with known answers: drawn mouths that say words, and tones that sing them, straight into shards.

Each letter has a mouth and a tone of its own (`tfav.data.synthetic_speech`). Words come with their times, in sentences
of three, as `tfav prepare av_words --from grid` would have made them of videos. Two of the words cannot be told apart
by their pictures and two not by their sound, so that both together know more than either.
"""

from pathlib import Path

import numpy as np

from tfav.data import grid
from tfav.data.example_files import Record
from tfav.data.shards import Index, write_shards
from tfav.data.synthetic_speech import FRAMES_PER_LETTER, WORDS, draw_mouth, letter_shape, sing
from tfav.io.audio import to_int16
from tfav.systems.av_words.config import SYSTEM
from tfav.systems.av_words.crops import SAMPLE_RATE

HEIGHT, WIDTH = 24, 40
SEEN_ALIKE, HEARD_ALIKE = ("bin", "place"), ("now", "soon")
_WORDS_PER_SENTENCE = 3
_PAUSE = 4  # frames before, between and after words, at least


def make_shards(folder: Path | str, *, num_sentences: int = 40, seed: int = 0) -> Index:
    """Writes made sentences as shards that `data.build_datasets` takes.

    Args:
        folder: Where.
        num_sentences: How many, called `made/000` and so on, of three words each.
        seed: Same seed, same sentences.

    Returns:
        The index. Frames are `[T, 24, 40, 1]` uint8, sound `[640 * T]` int16 at 16 kHz.
    """

    def make(name: str) -> Record:
        rng = np.random.default_rng([seed, int(name.split("/")[1])])
        return _make_sentence(name, [str(word) for word in rng.choice(list(WORDS), _WORDS_PER_SENTENCE)], rng)

    settings = {
        "system": SYSTEM,
        "format": 1,
        "layout": "grid",
        "box": "follow",
        "size": [HEIGHT, WIDTH],
        "words": list(WORDS),
    }
    return write_shards(folder, [f"made/{number:03}" for number in range(num_sentences)], make, settings=settings)


def _make_sentence(name: str, sentence: list[str], rng: np.random.Generator) -> Record:
    # One letter for each frame, a blank where nothing is said.
    seen = heard = " " * int(rng.integers(_PAUSE, 2 * _PAUSE))
    times = []
    for word in sentence:
        looks, sounds = ("".join(letter * FRAMES_PER_LETTER for letter in letters) for letters in WORDS[word])
        times.append((len(seen), len(seen) + len(looks)))
        pause = " " * int(rng.integers(_PAUSE, 2 * _PAUSE))
        seen, heard = seen + looks + pause, heard + sounds + pause
    center = np.array([WIDTH / 2, HEIGHT / 2]) + rng.uniform(-1.5, 1.5, 2)
    skin, lips = rng.uniform(120, 190), rng.uniform(60, 100)
    frames = np.stack([draw_mouth(letter_shape(letter), center, skin, lips, (HEIGHT, WIDTH)) for letter in seen])
    frames = np.clip(frames + rng.normal(0, 4, frames.shape), 0, 255).round().astype(np.uint8)
    sound = rng.uniform(0.3, 1.0) * sing(heard, SAMPLE_RATE // grid.FPS, SAMPLE_RATE)
    sound += rng.normal(0, 0.003, sound.shape)
    return Record(
        name,
        frames[..., None],
        grid.FPS,
        " ".join(sentence),
        tuple(sentence),
        np.array(times, np.float32) / grid.FPS,
        to_int16(sound),
        SAMPLE_RATE,
    )
