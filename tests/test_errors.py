"""Errors are one tree, and what they quote can be read."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope import errors
from contrascope.errors import ContrascopeError, TileError, first_few, reason_of

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


def test_the_tree_is_the_one_that_is_drawn() -> None:
    drawn = re.findall(r"^ {4}([ │├└─]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    assert {name for _, name in drawn} == {kind.__name__ for kind in KINDS}
    above: dict[int, str] = {-1: "Exception"}
    for branch, name in drawn:
        depth = len(branch) // 4
        above[depth] = name
        assert getattr(errors, name).__bases__[0].__name__ == above[depth - 1]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_says_what_it_was_made_of(kind: type[ContrascopeError]) -> None:
    assert str(kind("a.tif is cut short.")) == "a.tif is cut short."
    assert isinstance(kind("x"), ContrascopeError)
    assert str(pickle.loads(pickle.dumps(kind("x")))) == "x", "workers send what they raise"


def test_a_tile_that_is_wrong_is_named_first() -> None:
    error = TileError("is cut short.", where="a.tif")
    assert (str(error), error.where, error.why) == ("a.tif is cut short.", "a.tif", "is cut short.")
    sent = pickle.loads(pickle.dumps(error))
    assert (str(sent), sent.where, sent.why) == (str(error), error.where, error.why)
    assert (str(TileError("None is there.")), TileError("None is there.").where) == ("None is there.", "")


@given(items=st.lists(st.integers()), limit=st.integers(1, 8))
def test_a_few_are_listed_and_the_others_counted(items: list[int], limit: int) -> None:
    said = first_few(iter(items), limit)
    shown, _, more = said.partition(" and ")
    if not items:
        assert said == "nothing"
        return
    assert shown.split(", ") == [str(item) for item in items[:limit]]
    assert more == (f"{len(items) - limit:,} more" if len(items) > limit else "")


def test_thousands_of_others_can_be_read() -> None:
    assert first_few(range(12_345), 2) == "0, 1 and 12,343 more"


def test_a_reason_is_one_line_without_advice_for_programmers() -> None:
    error = ValueError("could not parse `x`\nas\ti64.\n\nYou might want to try:\n- increasing `infer_schema_length`")
    assert reason_of(error) == "could not parse `x` as i64"
    assert reason_of(OSError(2, "No such file")) == "[Errno 2] No such file"
