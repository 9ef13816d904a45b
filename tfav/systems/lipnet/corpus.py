"""The GRID corpus, as `tfav.data.grid` knows it, and the frame labels that are no word."""

from tfav.data.grid import (
    FPS,
    PAUSES,
    SLOTS,
    TICKS_PER_FRAME,
    WORDS,
    Clip,
    Word,
    describe_speech,
    find_alignment,
    find_clips,
    read_alignment,
    sentence_of,
)

__all__ = [
    "FPS",
    "PAUSES",
    "SILENCE",
    "SLOTS",
    "TICKS_PER_FRAME",
    "UNKNOWN",
    "WORDS",
    "Clip",
    "Word",
    "describe_speech",
    "find_alignment",
    "find_clips",
    "read_alignment",
    "sentence_of",
]

SILENCE, UNKNOWN = 0, -1  # as the label of a frame; a word's is 1 + its place in `WORDS`
