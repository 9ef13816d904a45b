"""`.npz` files read without trust: no pickles, and no array larger than the file says and a limit allows."""

import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfav.errors import TfavError

MAX_BYTES = 4 << 30
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# What opening a damaged file of arrays may raise; NumPy reads a header as a Python literal.
BROKEN = (
    OSError,
    ValueError,  # a pickle among them
    EOFError,
    KeyError,
    NotImplementedError,  # an unknown compression
    RuntimeError,  # an encrypted member
    SyntaxError,  # in a header
    TypeError,
    OverflowError,
    RecursionError,
    MemoryError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


class ArraysError(TfavError):
    """A file of arrays that is damaged, something else, or larger than is allowed."""


def read_npz(
    path: Path | str, names: Iterable[str] | None = None, *, max_bytes: int = MAX_BYTES
) -> dict[str, np.ndarray]:
    """Reads the arrays of an `.npz` file.

    Args:
        path: The file.
        names: These only, and all of them; None: whatever is in it.
        max_bytes: Of all arrays read, unpacked.

    Returns:
        Arrays by name.

    Raises:
        ArraysError: It is missing, cut off, something else, lacks one of `names`, holds Python objects, or is too
            large.
    """
    try:
        with zipfile.ZipFile(path) as content:
            members = {name.removesuffix(".npy"): name for name in content.namelist()}
            arrays = {}
            for name in list(members) if names is None else names:
                max_bytes -= content.getinfo(members[name]).file_size
                if max_bytes < 0:
                    raise ArraysError(f"{path}: more data than is allowed. It was not read.")
                arrays[name] = _read(content, members[name])
            return arrays
    except BROKEN as error:
        if isinstance(error, ArraysError):
            raise
        reason = "damaged or no file of arrays"
        if isinstance(error, FileNotFoundError | KeyError):
            reason = "no such file" if isinstance(error, OSError) else f"no array {error}"
        raise ArraysError(f"{path}: {reason}. Make or fetch it again.") from error


def _read(content: zipfile.ZipFile, member: str) -> np.ndarray:
    with content.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError("an unknown version of the format")
        shape, _, dtype = _HEADERS[version](file)
        # NumPy sets aside what the header asks for before it looks how much there is.
        num_values = 1
        for side in shape:
            num_values *= side
        if dtype.hasobject or num_values * dtype.itemsize != content.getinfo(member).file_size - file.tell():
            raise ValueError("a header that does not fit")
    with content.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
