"""What the environment says of tfav: a variable that is empty is one that is not set."""

import os

from tfav.errors import UsageError


def variable(name: str) -> str:
    """Return an environment variable without spaces around it; "" where it is not set, or empty."""
    return os.environ.get(name, "").strip()


def whole_number(name: str, default: int) -> int:
    """Return an environment variable as a number of 0 or more; `default` where it is not set, or empty.

    Raises:
        UsageError: It is no such number.
    """
    text = variable(name)
    if text and not text.isdecimal():
        raise UsageError(f"${name} must be a whole number of 0 or more. Received: {text!r}. Correct or unset it.")
    return int(text) if text else default
