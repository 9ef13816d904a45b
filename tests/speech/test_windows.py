"""One window for frames and samples: they stay together wherever it lies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfav.speech.windows import cut_window, first_frame


@pytest.mark.parametrize(
    ("start", "end", "length", "first"),
    [
        (0, 29, 29, 0),  # LRW's own clip
        (0, 28, 29, 0),
        (0, 30, 29, 1),
        (14, 15, 29, 0),
        (20, 26, 29, 9),  # its middle is 23.0, that of frames 9 to 37 is 23.5
        (2, 6, 29, -10),
        (10, 12, 4, 9),
    ],
)
def test_the_window_is_centred_on_the_word(start, end, length, first):
    assert first_frame(start / 25, end / 25, length) == first


@given(st.floats(0, 100), st.floats(0, 5), st.integers(1, 60))
def test_its_middle_is_within_half_a_frame_of_the_words(start, length, num_frames):
    first = first_frame(start, start + length, num_frames)
    assert abs(first + num_frames / 2 - (start + length / 2) * 25) <= 0.5 + 1e-6


@pytest.mark.parametrize("first", [-20, -3, 0, 4, 9, 12, 40])
def test_frames_and_samples_are_cut_together_and_padded_at_the_edges(first):
    frames = np.arange(1, 13, dtype=np.uint8).reshape(12, 1, 1, 1)
    samples = np.repeat(np.arange(1, 13, dtype=np.int16), 10)[:-5]  # sound that ends half a frame early
    cut, sound = (part.numpy() for part in cut_window(frames, samples, first, 6, 65, 10))
    assert cut.dtype == np.uint8 and sound.dtype == np.int16 and len(sound) == 65
    for place in range(6):
        frame = first + place
        assert cut[place, 0, 0, 0] == np.clip(frame, 0, 11) + 1
        expected = frame + 1 if 0 <= frame < 12 else 0
        assert (sound[place * 10 : place * 10 + 5] == expected).all()
