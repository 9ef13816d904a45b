"""What the processes of test_epochs.py run: each system trained, whole or on from a copy of its first epoch."""

import argparse
import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

from tests.bench import systems as made

made.BASE_CLIPS = 12
EPOCHS = 2
STAGE = "audio_conv"
# Little to do, and all the randomness that a system knows.
SMALL = {
    "cnn_lstm": {"epochs": EPOCHS, "dropout": 0.3, "mixup": 0.2},
    "two_stream": {"epochs": EPOCHS},
    "lipnet": {"epochs": EPOCHS, "word_splice_prob": 0.5},
    "next_frame": {"epochs": EPOCHS, "sampling_epochs": 4},
    "av_words": {"stage_epochs": (EPOCHS,) * 8, "stages": (STAGE,)},
}


def config_of(system: str, folder: Path):
    """The configuration, on data made in the folder, or that was made there before."""
    return dataclasses.replace(made.made_config(made.Case(system), folder), **SMALL[system])


def run_folder(runs: Path, system: str) -> Path:
    """Where the history and the model are."""
    return runs / system / STAGE if system == "av_words" else runs / system


def copy_after_first_epoch(runs: Path, copies: Path) -> None:
    """Lets every training copy its run folder when its first epoch is saved: what a kill would leave there."""
    from tfav.training.resume import BackupAndRestore

    save = BackupAndRestore.on_epoch_end

    def on_epoch_end(self, epoch, logs=None):
        save(self, epoch, logs)
        if epoch == 0:
            folder = Path(self.backup_dir).relative_to(runs).parts[0]
            shutil.copytree(runs / folder, copies / folder)

    BackupAndRestore.on_epoch_end = on_epoch_end


def digest(dataset, epoch: int) -> str:
    """All that an epoch gives, in its order."""
    import tensorflow as tf

    from tfav.data import epoch_order

    epoch_order.begin(epoch)
    whole = hashlib.sha256()
    for batch in dataset:
        for tensor in tf.nest.flatten(batch):
            whole.update(tensor.numpy().tobytes())
    return whole.hexdigest()


def main() -> None:
    """Trains the systems named, and prints what their data sets gave in each epoch that was left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("kind", choices=("whole", "continued"))
    parser.add_argument("systems", nargs="+")
    options = parser.parse_args()
    from tfav import training
    from tfav.systems import load

    training.be_deterministic()
    runs = options.folder / options.kind
    if options.kind == "whole":
        copy_after_first_epoch(runs, options.folder / "continued")
    given = {}
    for system in options.systems:
        config = config_of(system, options.folder / "data" / system)
        load(system).train(config, runs / system, devices="cpu", verbose=0)
        train_set = load(system).build_datasets(config).train
        left = range(EPOCHS) if options.kind == "whole" else range(1, EPOCHS)
        given[system] = {epoch: digest(train_set, epoch) for epoch in left}
    print(json.dumps(given), flush=True)


if __name__ == "__main__":
    main()
