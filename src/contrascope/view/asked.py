"""What a request asks for, out of its parameters; each is known, given once and in range, or the request is refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TypeVar

from contrascope import vocabulary as v
from contrascope.errors import first_few
from contrascope.view.guard import RefusedError
from contrascope.view.table import CHOSEN_BY, Query

LARGEST_PAGE = 200
SIZES = range(16, 1025)
"""Pixels that the longer side of a picture may have."""
_NUMBER = re.compile(r"[0-9]{1,12}")
_FLAGS = {"true": True, "false": False}

Parameters = Mapping[str, list[bytes]]
T = TypeVar("T")


def page_asked(given: Parameters, sortable: Collection[str], held: Collection[str]) -> tuple[Query, int, int]:
    """Which cells, from which on, and how many.

    Args:
        given: Parameters of the request.
        sortable: Columns to sort by.
        held: Columns to choose by.
    """
    names = [name for name in (*CHOSEN_BY, v.CONTROL) if name in held]
    asked = _texts(given, (*names, "offset", "limit", "sort"))
    where: dict[str, str | bool] = {name: asked[name] for name in names if name in asked}
    if v.CONTROL in where:
        where[v.CONTROL] = _one_of(asked[v.CONTROL], _FLAGS, v.CONTROL)
    sort, descending = None, asked.get("sort", "").startswith("-")
    if "sort" in asked:
        columns = {name: name for name in sortable}
        sort = _one_of(asked["sort"].removeprefix("-"), columns, "sort")
    offset = _whole(asked.get("offset", "0"), range(10**12), "offset")
    limit = _whole(asked.get("limit", "48"), range(1, LARGEST_PAGE + 1), "limit")
    return Query(frozenset(where.items()), sort, descending), offset, limit


def picture_asked(given: Parameters, channels: list[str]) -> tuple[int | None, int | None]:
    """Number of the channel, and pixels of the longer side; None where it is not said."""
    asked = _texts(given, ("channel", "size"))
    numbers = {name: c for c, name in enumerate(channels)}
    channel = _one_of(asked["channel"], numbers, "channel") if "channel" in asked else None
    return channel, _whole(asked["size"], SIZES, "size") if "size" in asked else None


def nothing_asked(given: Parameters) -> None:
    """Make sure that there are no parameters."""
    _texts(given, ())


def row_asked(text: str, cells: int) -> int:
    """A row of the store; one that it does not have is not found."""
    if not _NUMBER.fullmatch(text) or int(text) >= cells:
        raise RefusedError(404, f"The store has no cell of this number: its rows are 0 to {cells - 1}.")
    return int(text)


def _texts(given: Parameters, known: Collection[str]) -> dict[str, str]:
    if unknown := given.keys() - set(known):
        raise RefusedError(400, f"{_short(min(unknown))} is no parameter here; known are {first_few(known, 10)}.")
    if twice := sorted(name for name, values in given.items() if len(values) != 1):
        raise RefusedError(400, f"The parameter {twice[0]} is given more than once.")
    try:
        return {name: values[0].decode() for name, values in given.items()}
    except UnicodeDecodeError:
        raise RefusedError(400, "A parameter is not text in UTF-8.") from None


def _one_of(text: str, known: Mapping[str, T], name: str) -> T:
    if text not in known:
        raise RefusedError(400, f"{_short(text)} is not known as {name}; known are {first_few(known, 20)}.")
    return known[text]


def _whole(text: str, allowed: range, name: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) not in allowed:
        raise RefusedError(400, f"{_short(text)} is no {name}; a whole number from {allowed[0]} to {allowed[-1]} is.")
    return int(text)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
