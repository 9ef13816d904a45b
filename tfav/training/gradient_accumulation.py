"""One step of the optimizer from the gradients of several batches: a large batch in the memory of a small one."""

import contextlib
import contextvars
from collections.abc import Iterator

from tfav.errors import UsageError

_accumulate: contextvars.ContextVar[int] = contextvars.ContextVar("accumulate", default=1)


@contextlib.contextmanager
def accumulating(batches: int) -> Iterator[None]:
    """Lets every `fit` inside make a step of the optimizer from the gradients of so many batches.

    Raises:
        UsageError: Below 1.
    """
    token = _accumulate.set(accumulated_batches(batches))
    try:
        yield
    finally:
        _accumulate.reset(token)


def accumulated_batches(batches: int | None = None) -> int:
    """Batches whose gradients make one step: those given, else what `accumulating` says, else 1.

    Raises:
        UsageError: Below 1.
    """
    batches = _accumulate.get() if batches is None else batches
    if batches < 1:
        raise UsageError(f"accumulate must be 1 or more. Received: accumulate={batches}")
    return batches
