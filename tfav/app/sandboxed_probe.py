"""`python -m tfav.app.sandboxed_probe FILE`: what a video says of itself, as JSON, in a process that may die."""

import contextlib
import json
import sys

_MEMORY_BYTES = 4 << 30
_CPU_SEC = 30


def inspect(path: str) -> dict:
    """The fields of `uploads.VideoSummary`, or `reason` and `remedy` where the file cannot be read."""
    from tfav.errors import MediaError
    from tfav.io.video import probe

    try:
        info = probe(path, exact=False)
    except MediaError as error:
        return {"reason": error.reason, "remedy": error.remedy}
    return {name: getattr(info, name) for name in ("num_frames", "duration_sec", "width", "height")}


def _limit() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # not everywhere, and not above what is allowed
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SEC, _CPU_SEC))


if __name__ == "__main__":
    _limit()
    print(json.dumps(inspect(sys.argv[1])))
