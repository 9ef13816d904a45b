"""Moving MNIST made on the fly, against what training consumes of it on the same cores."""

import argparse

from tests.bench.rounds import measure, print_row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sequences", type=int, default=64, help="per round and side")
    parser.add_argument("--preset", default="cpu", help="of next_frame")
    arguments = parser.parse_args()

    from tfav.training import start_tensorflow

    start_tensorflow()
    from tfav.systems.next_frame import Config, build_datasets, build_model, compile_args

    config = Config.preset(
        arguments.preset, mnist="small", train_sequences=arguments.sequences, val_sequences=0, new_each_epoch=True
    )
    train = build_datasets(config).train
    held = train.cache()  # so that the training side does not make sequences as well
    model = build_model(config)
    model.compile(**compile_args(config))

    def fit() -> None:
        model.fit(held, epochs=1, verbose=0, shuffle=False)

    def make() -> None:
        for _ in train:
            pass

    row = measure(
        f"{arguments.sequences} sequences of Moving MNIST, two digits, 20 frames",
        {f"one epoch of training, preset {arguments.preset}": fit, "making them": make},
        rounds=arguments.rounds,
        target=20.0,
        packages=("tensorflow", "keras"),
        sequences=arguments.sequences,
    )
    for side in ("baseline", "ours"):
        row[side]["sequences_per_sec"] = round(arguments.sequences / row[side]["seconds"], 1)
    print_row(row)


if __name__ == "__main__":
    main()
