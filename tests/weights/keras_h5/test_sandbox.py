"""Files that break the HDF5 library, or make it ask for gigabytes, break another process than this one."""

import resource
import stat
import sys

import h5py
import pytest

from tests.weights.keras_h5.test_keras1 import dense, named, rand, write_keras1
from tfav.weights import WeightsError
from tfav.weights.keras_h5 import sandbox
from tfav.weights.keras_h5.inspection import inspect
from tfav.weights.keras_h5.loader import load_legacy_model, load_legacy_weights

pytestmark = pytest.mark.timeout(120)


def test_sound_files_and_those_that_are_no_hdf5_pass(small, tmp_path):
    sandbox.check(small)
    sandbox.check(tmp_path / "nowhere.h5")
    (tmp_path / "text.h5").write_text("text")
    sandbox.check(tmp_path / "text.h5")


@pytest.mark.parametrize("open_file", [inspect, load_legacy_model])
def test_a_text_of_four_gigabytes_is_refused_elsewhere(small, open_file):
    content = bytearray(small.read_bytes())
    heap = content.index(b"GCOL").to_bytes(8, "little")
    at = content.index(heap)
    while at >= 0:  # wherever a text is referred to, its length stands before the heap's place
        content[at - 4 : at] = b"\xff\xff\xff\xff"
        at = content.find(heap, at + 1)
    small.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=r"small\.h5: the file is damaged"):
        open_file(small)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_spoilt_arrays_are_refused_before_a_model_is_touched(tmp_path):
    path = tmp_path / "packed.h5"
    write_keras1(
        path,
        "Sequential",
        [dense("dense_1", 40, batch_input_shape=[None, 30])],
        {"dense_1": named("dense_1", W=rand(30, 40), b=rand(40))},
    )
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense_1"]
        name = next(name for name in group if group[name].shape == (30, 40))
        values = group[name][()]
        del group[name]
        packed = group.create_dataset(name, data=values, compression="gzip", chunks=(30, 40))
        place = packed.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 8 : place + 40] = bytes(32)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"packed\.h5: the file is damaged"):
        sandbox.check(path)


def test_a_process_that_breaks_down_or_takes_too_long_is_told(small, tmp_path, monkeypatch, capfd):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho the stack of a library >&2\nkill -SEGV $$\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(WeightsError, match=r"small\.h5: the HDF5 library broke down on it \(SIGSEGV\)"):
        inspect(small)
    python.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(WeightsError, match=r"small\.h5: no other process can read it first \(exit code 1\)"):
        inspect(small)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match=r"small\.h5: no other process can read it first \(No such file"):
        inspect(small)
    monkeypatch.setattr(sys, "executable", str(python))
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(sandbox, "MAX_SEC", 0.2)
    with pytest.raises(WeightsError, match=r"did not come to its end in 0.2 s"):
        load_legacy_weights(_built(), small)
    assert "stack of a library" not in capfd.readouterr().err  # all that is told is one line


def test_modules_beside_the_file_are_not_run(small, monkeypatch):
    for name in ("h5py", "json", "numpy", "tfav"):
        (small.parent / f"{name}.py").write_text(f"open({str(small.parent / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(small.parent)
    assert inspect(small.name).layers
    assert not (small.parent / "ran").exists()


def _built():
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
