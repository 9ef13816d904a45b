"""A process that runs one system's demo into a folder, deterministic: TensorFlow cannot be told to stop being so."""

import sys

from tfav import training
from tfav.systems import load

if __name__ == "__main__":
    training.be_deterministic()
    load(sys.argv[2]).demo(sys.argv[1])
