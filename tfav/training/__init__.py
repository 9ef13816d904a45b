"""Floor 3: devices, callbacks, the run folder, and a thin `fit` that Keras' own can replace."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["callbacks", "loop", "run", "settings", "several"],
    submod_attrs={
        "several": ["own_folder"],
        "strategy": ["be_deterministic", "mixed_precision", "prepare_devices", "strategy"],
        "loop": ["accumulating", "fit"],
        "muon": ["Muon"],
        "start": ["start_tensorflow"],
    },
)
