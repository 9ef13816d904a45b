"""The parsers that are ours: how to feed each with bytes, sound files to start from, and what it may raise.

A parser reads the file, or raises a `TfavError` of one line; anything else is a finding. TensorFlow is loaded with this
module, since one of them reads its checkpoints: what a parser takes in memory is measured after that.
"""

import io
import json
import os
import signal
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import keras
import numpy as np
import tensorflow as tf

from tfav.data import label_tables
from tfav.data.example_files import load_staged, staging_path
from tfav.data.shard_index import SCHEMA, Entry, parse_index
from tfav.data.splits import read_list
from tfav.errors import TfavError
from tfav.io.archive import unpack
from tfav.io.npy_sequences import open_sequences
from tfav.io.npz import read_npz
from tfav.speech.grammar import GRID_GRAMMAR, read_grammar
from tfav.speech.grid import read_alignment
from tfav.speech.language_model import estimate, read_arpa
from tfav.speech.transcripts import read_manifest, read_transcript
from tfav.training.run_folder import load as load_run
from tfav.weights.errors import DamagedError, WeightsError
from tfav.weights.keras_h5 import sandbox
from tfav.weights.keras_h5.inspection import summarize
from tfav.weights.pytorch import load_pt
from tfav.weights.tf_checkpoint import load_checkpoint

MAX_BYTES = 1 << 16


class Target(NamedTuple):
    """A parser: the name its file must have, what reads it, and sound files."""

    file_name: str
    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]


def feed(target: Target, data: bytes, folder: Path) -> str:
    """Lets a target read bytes from a file.

    Returns:
        "read", or the error's message.

    Raises:
        Exception: Anything but a `TfavError` of one line: a finding.
    """
    path = folder / target.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        target.read(path)
    except TfavError as error:
        message = str(error)
        if len(message.splitlines()) > 1:
            raise AssertionError(f"an error of several lines: {message!r}") from error
        return message
    return "read"


def _npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _h5() -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        layer = {"class_name": "Dense", "config": {"name": "d", "units": 2, "batch_input_shape": [None, 3]}}
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
        file.attrs["keras_version"] = "2.4.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"d"]
        weights.create_group("d").attrs["weight_names"] = [b"d/kernel:0", b"d/bias:0"]
        weights["d"]["d/kernel:0"] = np.ones((3, 2), np.float32)
        weights["d"]["d/bias:0"] = np.ones(2, np.float32)
    return stream.getvalue()


def _checkpoint() -> dict[str, bytes]:
    """The two files of a TensorFlow checkpoint of one layer, as tf.keras names it, by their endings."""
    names = [f"layer_with_weights-0/{role}/.ATTRIBUTES/VARIABLE_VALUE" for role in ("kernel", "bias")]
    with tempfile.TemporaryDirectory() as folder:
        tensors = [tf.ones((3, 2)), tf.ones(2)]
        tf.raw_ops.SaveV2(prefix=f"{folder}/a", tensor_names=names, shape_and_slices=["", ""], tensors=tensors)
        return {path.suffix: path.read_bytes() for path in Path(folder).iterdir()}


def _index() -> bytes:
    shards = {"shard-00000.tfrecord.gz": {"bytes": 9, "sha256": "0" * 64, "examples": 2}}
    rows = [
        [f"s1/c{i}", "shard-00000.tfrecord.gz", i, "m", 5, 6, 8, 1, 25.0, "bin", ["bin"], [0.0, 0.1], 9, 16000]
        for i in (0, 1)
    ]
    content = {"schema": SCHEMA, "kind": "raw", "audio_type": "int16", "settings": {"system": "lipnet"}}
    content |= {"counts": {}, "shards": shards, "fields": Entry._fields, "examples": rows}
    return json.dumps(content).encode()


def _staged() -> bytes:
    metadata = {"id": "a", "fps": 25.0, "text": "bin", "words": ["bin"], "word_times_sec": [[0, 1]], "audio_rate_hz": 9}
    return _npz(
        fingerprint=np.array("m"), metadata=np.array(json.dumps(metadata)), frames=np.zeros((2, 2, 2, 1), np.uint8)
    )


def _run_config() -> bytes:
    stored = {
        "version": 2,
        "system": "lipnet",
        "config": {"epochs": 1},
        "metadata": {"labels": ["a"]},
        "environment": {},
        "command": "",
    }
    return json.dumps(stored).encode()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("a/b.txt", "text" * 20)
        content.writestr("c.txt", "more")
    return stream.getvalue()


def _tar(mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as content:
        for name in ("a/b.txt", "c.txt"):
            info = tarfile.TarInfo(name)
            info.size = 5
            content.addfile(info, io.BytesIO(b"12345"))
    return stream.getvalue()


def _unpack(kind: str):
    def read(path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            unpack(path, Path(folder, "out"), kind=kind, max_bytes=1 << 20)
            outside = [entry for entry in Path(folder).iterdir() if entry.name != "out"]
            assert not outside, f"written outside: {outside}"

    return read


def _read_hdf5(path: Path) -> None:
    """Reads a file as tfav does, after another process: here a fork of this one, ten times as quick to start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks, from Python 3.12 on
        child = os.fork()
    if not child:
        try:
            for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(10)
            sandbox.limit_memory(MAX_BYTES)
            sandbox.read_all(path)
            os._exit(0)
        except DamagedError:
            os._exit(3)
        finally:
            os._exit(1)  # summarize tells what it is
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0 or code == 3:
        raise WeightsError(path, f"the HDF5 library did not read it ({code})")
    summarize(path)


def _read_checkpoint(path: Path) -> None:
    """Reads a checkpoint of which one file is given; the other is sound."""
    for suffix, content in CHECKPOINT.items():
        if suffix != path.suffix:
            path.with_suffix(suffix).write_bytes(content)
    load_checkpoint(MODEL, path)


def _load_run(path: Path) -> None:
    from tfav.systems.lipnet.config import Config

    run = load_run(path.parent)
    Config.from_dict(run.config, str(path))


def _arpa() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        estimate(["a b", "b c"], 2).write_arpa(Path(folder, "a.arpa"))
        return Path(folder, "a.arpa").read_bytes()


CHECKPOINT = _checkpoint()
INDEX, DATA = sorted(CHECKPOINT, key=len)
MODEL = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="d")])
STATE_DICT = {"d.weight": np.ones((2, 3), np.float32), "d.bias": np.ones(2, np.float32)}

TARGETS: dict[str, Target] = {
    "alignment": Target(
        "a.align", read_alignment, (b"0 9000 sil\n9000 17000 bin\n17000 21000 blue\n21000 75000 sil\n",)
    ),
    "subtitles": Target(
        "a.vtt",
        read_transcript,
        (b"WEBVTT\n\n00:00:00.400 --> 00:00:01.900\n<v Ana>Buenos <00:00:01.000>d\xc3\xadas\n",),
    ),
    "subrip": Target("a.srt", read_transcript, (b"1\n00:00:00,400 --> 00:00:01,900\n<i>Hola</i>\n",)),
    "textgrid": Target(
        "a.TextGrid",
        read_transcript,
        (
            b'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n3\n<exists>\n1\n'
            b'"IntervalTier"\n"words"\n0\n3\n1\n0\n3\n"a"\n',
        ),
    ),
    "lrs_text": Target(
        "a.txt", read_transcript, (b"Text:  A B\n\nWORD START END ASDSCORE\nA 0.1 0.5 4\nB 0.6 0.9 4\n",)
    ),
    "manifest": Target("a.csv", read_manifest, (b'video,text,start_sec,end_sec\na.mp4,"hola, t\xc3\xba",0.5,1\n',)),
    "arpa": Target("a.arpa", read_arpa, (_arpa(),)),
    "label_table": Target("a.csv", label_tables._read_rows, (b"video,label,start_sec,end_sec\na.mp4,x;y,0.5,1\n",)),
    "split_list": Target("list.txt", read_list, (b"Archery/v_Archery_g01_c01.avi 3\nBowling/v_Bowling_g02_c03.avi\n",)),
    "grammar": Target("a.grammar", read_grammar, (GRID_GRAMMAR.read_bytes(), b"* yes no # either\n")),
    "shard_index": Target("index.json", lambda path: parse_index(path.parent), (_index(),)),
    "staged_example": Target(
        staging_path("", "a").as_posix(), lambda path: load_staged(path.parent.parent, "a"), (_staged(),)
    ),
    "npz": Target("a.npz", lambda path: read_npz(path, max_bytes=1 << 24), (_npz(a=np.arange(9), b=np.ones((2, 3))),)),
    "sequences": Target("a.npy", open_sequences, (_npy(np.arange(128, dtype=np.uint8).reshape(2, 4, 4, 4)),)),
    "run_config": Target("config.json", _load_run, (_run_config(),)),
    "hdf5": Target("a.h5", _read_hdf5, (_h5(),)),
    "checkpoint_index": Target(f"a{INDEX}", _read_checkpoint, (CHECKPOINT[INDEX],)),
    "checkpoint_data": Target(f"a{DATA}", _read_checkpoint, (CHECKPOINT[DATA],)),
    "state_dict": Target("a.npz", lambda path: load_pt(MODEL, path), (_npz(**STATE_DICT),)),
    "zip": Target("a.zip", _unpack("zip"), (_zip(),)),
    "tar": Target("a.tar.gz", _unpack("tar"), (_tar("w:gz"), _tar("w"))),
}
