"""Forecasters: frames a second, training steps against a plain PyTorch ConvLSTM, and the skill on a made field.

`make bench BENCH=forecast` times each model at batch 1 and 16 in float32 and bfloat16, at full size. Where PyTorch is
installed, `--torch` times a training step of the published ConvLSTM, 4 layers of 128, kernel 5, patches of 4. `--field
EPOCHS` trains the preset `array` on a field that drifts and diffuses, 2 channels of 48 x 80 with gaps, and gives its
skill over persistence, advection and climatology at each of 20 lead times.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.bench.rounds import describe_machine, measure, print_row

MODELS = {
    "notebook": {"preset": "notebook"},
    "motion": {"preset": "cpu"},
    "ConvLSTM": {"preset": "convlstm"},
    "SimVP, gated": {"preset": "simvp"},
    "SimVP, inception": {"preset": "simvp", "translator": "inception"},
}
_LAYERS, _FILTERS, _KERNEL, _PATCH = 4, 128, 5, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="*", choices=MODELS, default=["motion", "SimVP, gated"])
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 16])
    parser.add_argument("--torch", action="store_true", help="a training step against PyTorch, and nothing else")
    parser.add_argument("--field", type=int, metavar="EPOCHS", help="train on a made field, and nothing else")
    arguments = parser.parse_args()

    from tfav.training import start_tensorflow

    start_tensorflow()
    if arguments.field:
        print_row(_skill_on_a_field(arguments.field))
    elif arguments.torch:
        print_row(_against_torch(arguments.rounds))
    else:
        for name in arguments.models:
            for precision in ("float32", "mixed_bfloat16"):
                for batch in arguments.batches:
                    print_row(_frames_per_sec(name, precision, batch, arguments.rounds))


def _frames_per_sec(name: str, precision: str, batch: int, rounds: int) -> dict:
    from tfav.systems.next_frame import Config, build_model, predict_next

    fields = dict(MODELS[name])
    config = Config.preset(fields.pop("preset"), precision=precision, mnist="small", **fields)
    model, seen = build_model(config), np.random.default_rng(0).random((batch, 10, 64, 64, 1), np.float32)
    seconds = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        predict_next(model, seen, 10)
        seconds.append(time.perf_counter() - started)
    rate = 10 * batch / statistics.median(seconds[1:])
    row = {"what": f"10 frames after 10, {name}", "precision": precision, "batch": batch, "frames_per_sec": rate}
    return row | {"parameters": model.count_params(), "machine": describe_machine()}


def _against_torch(rounds: int, batch: int = 4) -> dict:
    import torch

    from tfav.systems.next_frame import Config, build_model, compile_args

    config = Config.preset("convlstm", mnist="small", batch_size=batch)
    model = build_model(config)
    model.compile(**compile_args(config))
    frames = np.random.default_rng(0).random((batch, 20, 64, 64, 1), np.float32)
    other = _torch_convlstm(torch)
    optimizer = torch.optim.Adam(other.parameters(), lr=5e-4)
    patches = torch.nn.functional.pixel_unshuffle(torch.tensor(frames[..., 0]).reshape(-1, 1, 64, 64), _PATCH)
    patches = patches.reshape(batch, 20, _PATCH**2, 64 // _PATCH, 64 // _PATCH)

    def torch_step():
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(other(patches[:, :10]), patches[:, 1:]).backward()
        optimizer.step()

    sides = {"PyTorch": torch_step, "tfav": lambda: model.train_on_batch(frames, frames[:, 1:])}
    what = f"a training step of ConvLSTM {_LAYERS} x {_FILTERS}, batch {batch}"
    return measure(what, sides, rounds=rounds, packages=("torch", "tensorflow", "keras"))


def _torch_convlstm(torch):
    class ConvLSTM(torch.nn.Module):
        def __init__(self):
            super().__init__()
            depths = [_PATCH**2] + [_FILTERS] * (_LAYERS - 1)
            self.gates = torch.nn.ModuleList(
                torch.nn.Conv2d(depth + _FILTERS, 4 * _FILTERS, _KERNEL, padding=_KERNEL // 2) for depth in depths
            )
            self.draw = torch.nn.Conv2d(_FILTERS, _PATCH**2, 1)

        def forward(self, seen):
            zeros = seen.new_zeros(len(seen), _FILTERS, *seen.shape[-2:])
            states, made = [(zeros, zeros)] * _LAYERS, []
            for number in range(19):
                x = seen[:, number] if number < seen.shape[1] else made[-1]
                for layer, gates in enumerate(self.gates):
                    output, memory = states[layer]
                    enter, forget, leave, value = gates(torch.cat([x, output], 1)).chunk(4, 1)
                    memory = forget.sigmoid() * memory + enter.sigmoid() * value.tanh()
                    x = leave.sigmoid() * memory.tanh()
                    states[layer] = (x, memory)
                made.append(self.draw(x))
            return torch.stack(made, 1)

    return ConvLSTM()


def _skill_on_a_field(epochs: int) -> dict:
    from tfav.data.synthetic import drifting_field
    from tfav.systems.next_frame import Config, evaluate, train

    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "field.npy"), drifting_field(2000, gaps=0.05))
        fields = {"input_frames": 10, "output_frames": 20, "stride": 3, "epochs": epochs}
        config = Config.preset("array", data_dir=f"{folder}/field.npy", axes="tyxc", **fields)
        started = time.perf_counter()
        train(config, Path(folder, "run"))
        seconds = time.perf_counter() - started
        result = evaluate(Path(folder, "run"), part="test", progress=False)
    row = {"what": "a made field, 2 x 48 x 80 with gaps, 20 frames after 10", "epochs": epochs, "train_sec": seconds}
    return row | {name: result[name] for name in ("skill", "count", "peak_memory_mb")} | {"machine": describe_machine()}


if __name__ == "__main__":
    main()
