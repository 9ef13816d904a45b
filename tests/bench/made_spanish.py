"""A study: a lip reader in Spanish from videos of a drawn face and their text alone, without word times.

`python -m tests.bench made_spanish --folder DIR` writes 400 utterances to learn from and 100 others, of free word
order over 60 words, prepares them, trains and scores the 100: greedy, by beam, and with a 3-gram of the 400 texts.
About a quarter of an hour on two cores.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from tfav.io.encoding import write_video
from tfav.speech.synthetic_speaker import mouth_letters

WORDS = [
    "mañana",
    "niño",
    "señor",
    "año",
    "español",
    "otoño",
    "pequeño",
    "montaña",
    "baño",
    "sueño",
    "día",
    "aquí",
    "está",
    "también",
    "café",
    "sofá",
    "lápiz",
    "árbol",
    "avión",
    "camión",
    "corazón",
    "canción",
    "jardín",
    "limón",
    "ratón",
    "salón",
    "música",
    "número",
    "teléfono",
    "rápido",
    "médico",
    "página",
    "último",
    "público",
    "perro",
    "gato",
    "casa",
    "mesa",
    "libro",
    "agua",
    "leche",
    "queso",
    "tarde",
    "noche",
    "amigo",
    "amiga",
    "ciudad",
    "calle",
    "puerta",
    "ventana",
    "verde",
    "rojo",
    "blanco",
    "negro",
    "grande",
    "nuevo",
    "viejo",
    "bueno",
    "rosa",
    "luna",
]
FRAMES_PER_LETTER = 2
PAUSE = 6


def write_corpus(folder: Path, count: int = 500, held_out: int = 100, seed: int = 0) -> None:
    """Videos and texts of one speaker, and `learn.txt` and `unseen.txt` that name them."""
    rng = np.random.default_rng(seed)
    (folder / "ana").mkdir(parents=True, exist_ok=True)
    names = [f"{number:03}" for number in range(count)]
    for number, name in enumerate(names):
        said = rng.choice(WORDS, rng.integers(3, 6), replace=False)
        letters = "".join(letter * FRAMES_PER_LETTER for letter in " ".join(said))
        before, after = (" " * int(frames) for frames in rng.integers(PAUSE, 2 * PAUSE, 2))
        path = folder / "ana" / f"{name}.mp4"
        path.with_suffix(".txt").write_text(" ".join(said).capitalize() + ".\n", encoding="utf-8")
        if not path.exists():
            write_video(path, mouth_letters(before + letters + after, seed=number), 25)
    (folder / "learn.txt").write_text("\n".join(names[held_out:]), encoding="utf-8")
    (folder / "unseen.txt").write_text("\n".join(names[:held_out]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--times", default="auto")
    arguments = parser.parse_args()
    folder = arguments.folder
    write_corpus(folder)
    assert len(WORDS) == len(set(WORDS)) == 60

    from tfav.data.shards import read_index
    from tfav.speech.language_model import estimate
    from tfav.systems import lipnet
    from tfav.training import start_tensorflow

    start_tensorflow()
    started = time.monotonic()
    lipnet.prepare(folder, folder / "mouths")
    prepared = time.monotonic()
    lengths = [entry.num_frames for entry in read_index(folder / "mouths").entries]
    config = lipnet.Config.preset(
        "cpu",
        data_dir=str(folder / "mouths"),
        train_list=str(folder / "learn.txt"),
        test_list=str(folder / "unseen.txt"),
        val_fraction=0.05,
        num_frames=max(lengths),
        epochs=arguments.epochs,
        times=arguments.times,
    )
    run_dir = folder / f"run_{arguments.times}"
    history = lipnet.train(config, run_dir, verbose=2)
    trained = time.monotonic()
    texts = [
        (folder / "ana" / f"{name}.txt").read_text(encoding="utf-8")
        for name in (folder / "learn.txt").read_text().split()
    ]
    estimate([text.strip().strip(".").lower() for text in texts], 3).write_arpa(folder / "learn.arpa")
    result = lipnet.evaluate(run_dir, part="test", progress=False, lm=folder / "learn.arpa")
    print(lipnet.describe_evaluation(result))
    print(
        f"prepared in {prepared - started:.0f} s, trained in {(trained - prepared) / 60:.1f} minutes "
        f"({len(history)} epochs of {max(lengths)} frames at most)"
    )


if __name__ == "__main__":
    main()
