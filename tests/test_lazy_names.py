"""Names of a package mean the same whatever was imported before."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", ["", "import tfav.systems.lipnet.evaluate, tfav.systems.lipnet.train; "])
def test_a_function_wins_over_the_file_of_its_name(first):
    code = f"{first}from tfav.systems import lipnet; print(lipnet.train.__module__, lipnet.evaluate.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["tfav.systems.lipnet.train", "evaluate"]
