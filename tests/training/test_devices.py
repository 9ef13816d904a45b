"""Devices: the mirrored path on two logical CPUs trains as one device does."""

import json
import os
import subprocess
import sys

import keras
import pytest

from tfav.errors import UsageError
from tfav.training import mixed_precision
from tfav.training.devices import strategy

SCRIPT = """
import json, sys
import keras, numpy as np, tensorflow as tf
import tfav
from tfav.data import pipeline
from tfav.systems.cnn_lstm import Config, build_model, compile_args

config = Config.preset("demo", num_classes=3, num_frames=4, image_size=16, cnn_filters=(4, 8), cnn_depths=(1, 1),
                       dropout=0.0, batch_norm_momentum=0.9)
rng = np.random.default_rng(0)
clips = rng.integers(0, 256, (16, 4, 16, 16, 3), np.uint8)
targets = np.eye(3, dtype="float32")[rng.integers(0, 3, 16)]
load = lambda row: ({"clip": row["clip"], "mask": tf.ones([4])}, row["target"])
with tfav.strategy(sys.argv[1]) as strategy:
    keras.utils.set_random_seed(1)
    model = build_model(config)
    # Batch norm sees each replica's half of the batch; frozen, both sides compute the same function.
    for layer in model.get_layer("frames").model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    model.compile(**compile_args(config))
data = pipeline.for_evaluation({"clip": clips, "target": targets}, load, batch_size=8)
history = model.fit(data, epochs=3, verbose=0)
print(json.dumps({"replicas": strategy.num_replicas_in_sync, "loss": history.history["loss"]}))
"""


def train_on(devices):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, devices], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_logical_cpus_give_the_loss_of_one():
    one, two = train_on("cpu"), train_on("cpu:2")
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-4)
    assert one["loss"][-1] < one["loss"][0]  # it did learn, so equality says something


@pytest.mark.parametrize(
    ("devices", "message"),
    [("tpu", "unknown devices"), ("cpu:0", "no device"), ("gpu:64", "asks for 64 GPU"), ("cpu:7", "new process")],
)
def test_devices_that_are_not_there(devices, message):
    import tensorflow as tf

    tf.constant(0.0) + 1.0  # starts the devices
    with pytest.raises(UsageError, match=message), strategy(devices):
        pass


def test_mixed_precision_is_put_back_even_after_an_error():
    before = keras.config.dtype_policy().name
    with pytest.raises(RuntimeError), mixed_precision("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
        raise RuntimeError
    assert keras.config.dtype_policy().name == before
    with pytest.raises(UsageError, match="unknown precision"), mixed_precision("float8"):
        pass
