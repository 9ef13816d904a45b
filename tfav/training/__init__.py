"""Floor 3: devices, callbacks, the run folder, and a thin `fit` that Keras' own can replace."""

from tfav import lazy_names

__getattr__, __dir__, __all__ = lazy_names.attach(
    __name__,
    submodules=["callbacks", "fit", "run_folder", "config", "multi_worker"],
    submod_attrs={
        "multi_worker": ["own_folder"],
        "determinism": ["be_deterministic"],
        "devices": ["prepare_devices", "strategy"],
        "fit": ["fit"],
        "gradient_accumulation": ["accumulating"],
        "mixed_precision": ["mixed_precision"],
        "muon": ["Muon"],
        "tf_startup": ["start_tensorflow"],
    },
)
