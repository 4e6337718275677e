"""Progress of long work, told to whoever listens; by default nobody does, and the library stays silent.

A stage wraps its loop in ``track``; the command line listens with a rich progress bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Listener = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""

_listener: ContextVar[Listener | None] = ContextVar("progress listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of all progress made inside the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(label: str, done: int, total: int) -> None:
    """Tell the listener, if there is one."""
    if (listener := _listener.get()) is not None:
        listener(label, done, total)


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """The same items, each reported when the work on it is done."""
    report(label, 0, total)
    for done, item in enumerate(items, start=1):
        yield item
        report(label, done, total)
