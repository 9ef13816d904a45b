"""What notebooks show: plots as PNG, videos as strips."""

import io

import numpy as np
from PIL import Image

from tfav.report import pictures, plots


def test_a_plot_is_svg_text_and_a_png():
    plot = plots.chain([[("frames", "10"), ("CNN", "")], [("sound", "")]], [("class", "3")])
    assert plot.startswith("<svg") and plot.count("<!-- ") >= 4
    picture = np.asarray(Image.open(io.BytesIO(plot._repr_png_())))
    assert picture.shape[1] > picture.shape[0] > 100 and picture[..., :3].min() < 100


def test_likelihoods_and_sound_become_pictures():
    assert "<!-- blank -->" in plots.heat(np.eye(4), ["a", "b", "c", "blank"], title="said: ab", step_sec=0.04)
    tone = np.sin(np.arange(8000) * 0.3)
    assert "<!-- bin -->" in plots.sound((9000 * tone).astype(np.int16), 16000, [("bin", 0.1, 0.3)])
    assert plots.sound(np.zeros(8000, np.int16), 16000).startswith("<svg")  # silence


def test_films_show_frames_evenly_under_their_names():
    grey = np.repeat(np.arange(0, 250, 10, dtype=np.uint8), 4 * 6).reshape(25, 4, 6)
    shown = pictures.films({"grey": grey, "float": (grey / 255)[..., None], "short": grey[:2]}, columns=3, width=12)
    pixels = shown.pixels
    assert pixels.shape == (3 * (8 + 14 + 12), 3 * 16 - 4, 3)
    bottoms = [pixels[34 * row - 4, [6, 22, 38], 1].tolist() for row in (1, 2, 3)]
    assert bottoms == [[0, 120, 240], [0, 120, 240], [0, 10, 255]]
    assert (pixels[2:20] < 128).any()  # the name
    assert Image.open(io.BytesIO(shown._repr_png_())).size == (44, 102)
