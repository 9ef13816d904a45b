"""How well a preset tells the classes of groups it has not seen: one group left out at a time, and from place to place.

    python -m tests.bench unseen_groups --weights FILE [--data-dir DIR] [--seeds 0 1 2] [--field value ...]

The data set is a folder of CLASS/setS_gGG_NNN.avi, such as UT-Interaction: a group is a recording session, a set a
place.
"""

import argparse
import ast
import json
import time

import keras
import numpy as np

from tests.bench.rounds import describe_machine
from tfav.data.classification import make_split
from tfav.data.folders import scan
from tfav.systems.cnn_lstm import Config, build_datasets, build_model, compile_args, feature_cache
from tfav.systems.cnn_lstm.dataset import open_data


def train_and_score(config: Config) -> list[tuple[str, bool]]:
    """Trains on all but the test groups; returns name and hit of each test video."""
    tree = scan(config.data_dir)
    keras.utils.set_random_seed(config.seed)
    train, _, _ = build_datasets(config)
    model = build_model(config)
    arguments = compile_args(config)
    steps = config.epochs * len(train)
    if config.schedule == "cosine":
        arguments["optimizer"].learning_rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    model.compile(**arguments)
    model.fit(train, epochs=config.epochs, verbose=0, shuffle=False)
    hits = []
    pca = open_data(config).pca
    for example in make_split(tree.examples, config).test:
        (file,) = feature_cache.compute([example.path], config)
        both, mask = feature_cache.read_file(file, config)
        inputs = {"features": pca.predict_on_batch({"features": both, "mask": mask}), "mask": mask}
        probabilities = model.predict_on_batch(inputs)["class"].mean(0)  # of both orientations, as tfav evaluate does
        hits.append((example.name, tree.labels[int(probabilities.argmax())] == example.label))
    keras.backend.clear_session()
    return hits


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="../shared/data/ut_interaction")
    parser.add_argument("--weights", default="../shared/data/weights/mobilenet_v2_1.0_224_no_top.weights.h5")
    parser.add_argument("--preset", default="transfer")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options, rest = parser.parse_known_args(arguments)
    fields = {
        name.lstrip("-").replace("-", "_"): _value(value) for name, value in zip(rest[::2], rest[1::2], strict=True)
    }
    base = {"data_dir": options.data_dir, "backbone_weights": options.weights, "split": "group", **fields}
    names = [example.name for example in scan(options.data_dir).examples]
    groups = sorted({name.split("_")[1][1:] for name in names})
    places = sorted({name.split("_")[0] for name in names})
    rows = []
    for seed in options.seeds:
        started = time.monotonic()
        row = {"seed": seed}
        hits = []
        for group in groups:
            config = Config.preset(options.preset, **base, test_groups=(group,), seed=seed)
            hits += train_and_score(config)
        row["leave_one_group_out"] = np.mean([hit for _, hit in hits])
        for place in places:
            config = Config.preset(
                options.preset, **{**base, "group_pattern": r"^(set\d)"}, test_groups=(place,), seed=seed
            )
            row[f"tested_on_{place}"] = np.mean([hit for _, hit in train_and_score(config)])
        row["across_places"] = np.mean([row[f"tested_on_{place}"] for place in places])
        row["seconds_per_training"] = (time.monotonic() - started) / (len(groups) + len(places))
        rows.append(row)
        print({key: round(float(value), 4) for key, value in row.items()}, flush=True)
    mean = {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0] if key != "seed"}
    result = {"what": "unseen groups", "preset": options.preset, "seeds": options.seeds, "fields": fields, **mean}
    result["machine"] = describe_machine()
    print(json.dumps(result))
    return result


def _value(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()
