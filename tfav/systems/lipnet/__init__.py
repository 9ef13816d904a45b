"""Lip reading: GRID sentences from silent video of a mouth, by 3-D convolutions, recurrent layers and CTC.

config = Config.preset("cpu", data_dir="grid_shards")
train, val, test = build_datasets(config)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["alphabet", "augmentation", "config", "corpus", "crops", "data", "made"],
    submod_attrs={
        "alphabet": ["ALPHABETS", "Alphabet"],
        "config": ["Config", "PRESETS"],
        "data": ["build_datasets", "prepare"],
    },
)
