"""The system on made data, from nothing to a scored run in well under a minute.

Drawn mouths say words, and tones sing them (`tfav.speech.synthetic_speaker`), in sentences of three, as `tfav prepare
av_words --from grid` would have made them of videos. Two of the words cannot be told apart by their pictures and two
not by their sound, so that both together know more than either.
"""

from pathlib import Path

import numpy as np

from tfav.data.example_files import Record
from tfav.data.shards import Index, write_shards
from tfav.io.atomic_write import write_json
from tfav.io.audio import to_int16
from tfav.io.console import say
from tfav.speech import grid
from tfav.speech.mouth_crops import SAMPLE_RATE, SAMPLES_PER_FRAME
from tfav.speech.synthetic_speaker import FRAMES_PER_LETTER, WORDS, draw_mouths, sing
from tfav.systems.av_words.config import SYSTEM, Config
from tfav.systems.av_words.dataset import RECORD_FORMAT
from tfav.systems.av_words.evaluate import describe_evaluation, evaluate
from tfav.systems.av_words.train import train

HEIGHT, WIDTH = 24, 40
SEEN_ALIKE, HEARD_ALIKE = ("bin", "place"), ("now", "soon")
_WORDS_PER_SENTENCE = 3
_PAUSE = 4  # frames before, between and after words, at least


def demo(out_dir: Path | str) -> dict:
    """Makes drawn mouths that sing words, trains both streams and the fusion, and scores words not trained on.

    Two of the words look alike and two sound alike, so that neither stream can have all of them right.

    Args:
        out_dir: Gets the shards `shards/` and the run folder `run/`.

    Returns:
        `both`, `audio` and `video`: shares of the words that are right, of the part kept for validation; `count`.
    """
    out_dir = Path(out_dir)
    make_shards(out_dir / "shards", num_sentences=64)
    run_dir = out_dir / "run"
    train(Config.preset("demo", data_dir=str(out_dir / "shards")), run_dir)
    result = evaluate(run_dir, part="val", snr="clean,0,-10", noise="white")
    write_json(run_dir / "evaluation.json", result)
    say(describe_evaluation(result))
    return {name: scores["top1"] for name, scores in result["streams"].items()} | {"count": result["count"]}


def make_shards(folder: Path | str, *, num_sentences: int = 40, seed: int = 0) -> Index:
    """Writes made sentences as shards that `build_datasets` takes.

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
        "format": RECORD_FORMAT,
        "layout": "grid",
        "mouth_crop": "tracked",
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
    frames = draw_mouths(seen, (HEIGHT, WIDTH), rng)
    sound = rng.uniform(0.3, 1.0) * sing(heard, SAMPLES_PER_FRAME, SAMPLE_RATE)
    sound += rng.normal(0, 0.003, sound.shape)
    return Record(
        name,
        frames,
        grid.FPS,
        " ".join(sentence),
        tuple(sentence),
        np.array(times, np.float32) / grid.FPS,
        to_int16(sound),
        SAMPLE_RATE,
    )
