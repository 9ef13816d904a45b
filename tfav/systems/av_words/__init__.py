"""Audio-visual word recognition: a word from 29 frames of a mouth and the sound that belongs to them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["config"],
    submod_attrs={
        "config": ["Config", "PRESETS"],
    },
)
