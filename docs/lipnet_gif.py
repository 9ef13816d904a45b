"""Makes `lipnet.gif`, the captions at the top of the README: `python docs/lipnet_gif.py FOLDER`.

A drawn face says sentences of four GRID words. lipnet learns to read it from some of them, in minutes, and then
captions one that it has not seen, as `tfav predict lipnet --captions` does for any video. Which one that is, is fixed
before training.
"""

import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tfav.io.encoding import write_gif, write_video
from tfav.io.video import read_video
from tfav.speech import grid, synthetic_speaker
from tfav.systems import lipnet

# GRID's letters are left out: said alone, most of them look the same on this face.
SLOTS = [list(grid.SLOTS[place].values()) for place in (0, 1, 2, 5)]
NUM_UNSEEN = 24
PAUSE_FRAMES, FRAMES_PER_LETTER = 10, 2  # as `synthetic_speaker.speak` has them
FPS, SHOWN_FPS = 12.5, 8  # of the GIF: every second frame, slowed down to be read
GREY_STEP = 8  # levels that become one: noise is most of a GIF's bytes
SEED = 0


def main(folder: str) -> None:
    """Makes the clips, trains, reads the unseen ones, and writes the first of them as a GIF beside this file."""
    work = Path(folder)
    sentences = [" ".join(words) for words in itertools.product(*SLOTS)]
    order = np.random.default_rng(SEED).permutation(len(sentences))
    names = [write_clip(work / "videos", sentences[number], int(number)) for number in order]
    unseen, seen = names[:NUM_UNSEEN], names[NUM_UNSEEN:]
    grammar = write_lines(work / "four.grammar", (" ".join(slot) for slot in SLOTS))
    print(lipnet.prepare(work / "videos", work / "shards").summary())
    config = lipnet.Config.preset(
        "demo",
        data_dir=str(work / "shards"),
        train_list=str(write_lines(work / "train.txt", seen)),
        val_list=str(write_lines(work / "val.txt", unseen)),
        grammar=str(grammar),
        num_frames=72,
        crop_size=(36, 64),  # the mouth alone, without the chin: half the work
        crop_jitter=False,
        learning_rate=3e-3,
        epochs=20,
    )
    lipnet.train(config, work / "run")
    print(lipnet.describe_evaluation(lipnet.evaluate(work / "run", part="val")))
    captions = work / "captions.mp4"
    shown = work / "videos" / "s1" / f"{unseen[0]}.mp4"
    (row,) = lipnet.predict_files(work / "run", [shown], out=work / "predictions", captions=captions)["files"]
    print(f"{shown.stem}: read as {row['text']!r}, mean posterior {row['posterior']}, {row['warnings']}")
    print(write_captions(captions, Path(__file__).with_name("lipnet.gif")))


def write_captions(video: Path, gif: Path) -> Path:
    """Writes a captioned video as a GIF for a page."""
    frames = read_video(video, every_sec=1 / FPS).frames
    return write_gif(gif, frames // GREY_STEP * GREY_STEP + GREY_STEP // 2, SHOWN_FPS)


def write_clip(folder: Path, sentence: str, seed: int) -> str:
    """Writes one clip and its alignment in GRID's own tree, and returns its name."""
    name = sentence.replace(" ", "_")
    video, align = folder / "s1" / f"{name}.mp4", folder / "align" / "s1" / f"{name}.align"
    for path in (video, align):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_video(video, synthetic_speaker.speak(sentence, seed=seed), synthetic_speaker.FPS)
    write_lines(align, alignment(sentence.split()))
    return name


def alignment(words: Sequence[str]) -> Iterable[str]:
    """Lines of an `.align` file for what `synthetic_speaker.speak` draws."""
    place = PAUSE_FRAMES
    for word in words:
        end = place + len(word) * FRAMES_PER_LETTER
        yield f"{place * grid.TICKS_PER_FRAME} {end * grid.TICKS_PER_FRAME} {word}"
        place = end + FRAMES_PER_LETTER


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Writes a text file and returns its path."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main(*sys.argv[1:])
