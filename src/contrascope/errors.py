"""Everything that can go wrong because of what a user gave us, as one tree.

    ContrascopeError
    ├── SettingsError       a screen file or an option: unknown key, wrong type, value out of range
    ├── ScreenError         what a screen is made of
    │   ├── TableError      the cell table: missing column, duplicate id, NaN position, no controls
    │   └── TileError       the images: missing file, wrong number of channels, unreadable
    ├── StoreError          a crop store: made from other inputs, damaged, of another shape
    ├── RunError            a training run: made from another store, incomplete, diverged
    │   └── LostError       another of the processes that share the work is gone
    ├── BenchmarkError      annotations or embeddings that a benchmark cannot judge
    └── FigureError         data that a figure cannot be drawn of

Each message is one paragraph: what was found, what was needed, what to do. The command line prints it
and exits with code 1. A mistake of ours is an ``AssertionError`` and keeps its traceback.
"""

import re
from collections.abc import Iterable

_ADVICE = re.compile(r"(You might want to try|Consider setting|The current offset).*", re.DOTALL)
"""Advice of polars to whoever calls it, which no user of ours can follow."""


class ContrascopeError(Exception):
    """Something a user can put right; the message says how."""


class SettingsError(ContrascopeError):
    """A setting is unknown, of the wrong type or out of range."""


class ScreenError(ContrascopeError):
    """The tiles and the cell table do not make a screen."""


class TableError(ScreenError):
    """The cell table lacks something or contradicts itself."""


class TileError(ScreenError):
    """A tile is missing, unreadable or not shaped as the screen file says.

    Args:
        why: What is wrong.
        where: The file or image with which it is wrong; the message begins with it.
    """

    def __init__(self, why: str, *, where: object = ""):
        super().__init__(f"{where} {why}" if str(where) else why)
        self.why, self.where = why, str(where)


class StoreError(ContrascopeError):
    """A crop store is damaged, incomplete or made from other inputs."""


class RunError(ContrascopeError):
    """A training run is incomplete, diverged, or does not fit the store."""


class LostError(RunError):
    """Another process, of several that share the work, was killed or cannot be reached."""


class BenchmarkError(ContrascopeError):
    """A benchmark cannot be computed from what it was given."""


class FigureError(ContrascopeError):
    """A figure cannot be drawn of what it was given."""


def first_few(items: Iterable[object], limit: int = 5) -> str:
    """The first items of a collection as readable text, with how many more there are; "nothing" if there is none."""
    listed = [str(item) for item in items]
    if not listed:
        return "nothing"
    more = len(listed) - limit
    return ", ".join(listed[:limit]) + (f" and {more:,} more" if more > 0 else "")


def reason_of(error: Exception) -> str:
    """What went wrong in a file, in the words of whoever read it, in one line without a full stop."""
    return " ".join(_ADVICE.sub("", str(error)).split()).removesuffix(".")
