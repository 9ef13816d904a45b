"""`inspect` tells what a file holds, without TensorFlow."""

import subprocess
import sys

import numpy as np

from tests.weights.keras_h5.test_keras1 import LAMBDA, dense, named, rand, write_keras1
from tfav.weights.keras_h5.inspection import inspect


def test_a_keras1_file_with_code_is_told_not_run(tmp_path):
    start = {**LAMBDA, "config": {**LAMBDA["config"], "batch_input_shape": [None, 4]}}
    path = write_keras1(
        tmp_path / "l.h5",
        "Sequential",
        [start, dense("dense_1", 2, bias=False)],
        {"lambda_1": [], "dense_1": named("dense_1", W=rand(4, 2))},
    )
    summary = inspect(path)
    assert (summary.keras_version, summary.architecture, summary.parameters) == ("1.2.2", "Sequential", 8)
    assert "lambda_1" in summary.problems[0]
    text = summary.render()
    assert "dense_1" in text and "units=2" in text and "optimizer SGD" in text and "problem:" in text


def test_real_nested_file(shared_data):
    summary = inspect(shared_data("legacy_h5/teachable_machine_mobilenet_v2.h5"))
    assert summary.parameters == 538_508
    assert max(layer.level for layer in summary.layers) == 2
    assert sum(layer.parameters or 0 for layer in summary.layers) == summary.parameters
    assert np.all([layer.class_name for layer in summary.layers])


def test_importing_and_inspecting_load_no_tensorflow(tmp_path):
    layers = [dense("d", 2, batch_input_shape=[None, 3])]
    path = write_keras1(tmp_path / "d.h5", "Sequential", layers, {"d": named("d", W=rand(3, 2))})
    code = (
        f"import sys, tfav.weights as w; w.inspect({str(path)!r}); print({{'tensorflow', 'keras'}} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "set()"
