"""How far a long piece of work is, told to whoever asked for it.

A listener is called with the share that is done, 0-1, and what is being done, in words for a person. It may raise: that
is how a page or a notebook stops work in the middle.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Progress = Callable[[float, str], None]
Item = TypeVar("Item")


def no_progress(share: float, what: str) -> None:
    """The listener of work that nobody watches."""


def with_progress(
    items: Iterable[Item], total: int, progress: Progress, what: str, *, start: float = 0.0, stop: float = 1.0
) -> Iterator[Item]:
    """Passes items on and tells after each how far they are.

    Args:
        items: What is gone through.
        total: How many there will be, about; with more, the share stays at `stop`.
        progress: The listener.
        what: What is being done.
        start: Share at the first item.
        stop: Share after the last one.
    """
    progress(start, what)
    for count, item in enumerate(items, 1):
        yield item
        progress(start + (stop - start) * min(1.0, count / max(1, total)), what)
