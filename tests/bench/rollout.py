"""Ten frames ahead with the notebook model: its state kept, against the growing sequence predicted anew each time."""

import argparse

import numpy as np

from tests.bench.rounds import measure, print_row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sequences", type=int, default=2)
    parser.add_argument("--frames", type=int, default=10, help="seen, and predicted")
    arguments = parser.parse_args()

    from tfav.training import start_tensorflow

    start_tensorflow()
    import keras

    from tfav.systems.next_frame import Config, build_datasets, build_model, predict_next

    config = Config.preset("notebook", mnist="small", batch_size=arguments.sequences)
    keras.utils.set_random_seed(0)
    model = build_model(config)
    sequences = next(iter(build_datasets(config).test))[0].numpy()
    seen = sequences[:, : arguments.frames]

    def growing() -> np.ndarray:
        known = seen
        for _ in range(arguments.frames):
            known = np.concatenate([known, model.predict(known, verbose=0)[:, -1:]], axis=1)
        return known[:, seen.shape[1] :]

    def rollout() -> np.ndarray:
        return predict_next(model, seen, arguments.frames)

    difference = float(np.abs(growing() - rollout()).max())
    if difference > 1e-5:
        raise SystemExit(f"error: the two sides differ by {difference:g}")
    row = measure(
        f"{arguments.frames} frames ahead of {arguments.frames}, notebook model",
        {"model.predict on the growing sequence": growing, "predict_next": rollout},
        rounds=arguments.rounds,
        target=4.0,
        packages=("tensorflow", "keras"),
        sequences=arguments.sequences,
        largest_difference=difference,
    )
    print_row(row)


if __name__ == "__main__":
    main()
