"""SHA-256 of files, and downloads held against what is known of them."""

import hashlib
import json
from pathlib import Path

from tfav.io.atomic_write import write_json
from tfav.io.download import FetchError


def hash_file(path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def verify_download(path: Path, address: str, num_bytes: int | None = None, sha256: str | None = None) -> dict:
    """Holds a download against what is registered, or else against what was recorded before; records it the first time.

    Args:
        path: The file. What is known of it is kept beside it, as `NAME.lock.json`.
        address: Where it came from, to be recorded.
        num_bytes: Registered length; None: what was recorded.
        sha256: Registered checksum, likewise.

    Returns:
        Its `bytes`, `sha256` and `address`.

    Raises:
        FetchError: It is another file; it was moved out of the way.
    """
    lock_path = path.with_name(path.name + ".lock.json")
    try:
        recorded = json.loads(lock_path.read_bytes())
    except (OSError, ValueError):
        recorded = {}
    state = {"bytes": path.stat().st_size, "sha256": hash_file(path), "address": address}
    expected = {"bytes": num_bytes or recorded.get("bytes"), "sha256": sha256 or recorded.get("sha256")}
    for key, value in expected.items():
        if value is not None and state[key] != value:
            refused = path.with_name(path.name + ".refused")
            path.replace(refused)  # kept for a look, and out of the way of the next try
            raise FetchError(
                f"{path}: its {key} is {state[key]}, and {value} is expected. It was moved to {refused.name}; fetch it "
                f"again or, if its owner has changed it, remove {lock_path.name} as well."
            )
    write_json(lock_path, state)
    return state
