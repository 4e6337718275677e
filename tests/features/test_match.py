"""Cells and rows brought together, against loops that can be read; and the account of the rest."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from contrascope.features.match import NO_KEY, NOT_HERE, NOT_THERE, TWICE, matched

KEYS = st.lists(st.one_of(st.none(), st.sampled_from(["1", "01", "2", "3.0", "3", "a", "b"])), min_size=1, max_size=12)


def plain(text: str | None) -> str | None:
    """A number as such."""
    try:
        return str(int(float(text))) if text is not None else None
    except ValueError:
        return text


@given(ours=KEYS, theirs=KEYS)
def test_a_key_that_is_once_on_both_sides_is_a_match_and_nothing_else_is(
    ours: list[str | None], theirs: list[str | None]
) -> None:
    cells, rows = (
        pl.DataFrame({"tile": ["0"] * len(k), "label": k}, schema={"tile": pl.String, "label": pl.String})
        for k in (ours, theirs)
    )
    found, account = matched(cells, rows, by="label", within=1.0)
    here, there = [plain(k) for k in ours], [plain(k) for k in theirs]
    expected = [there.index(k) if k is not None and here.count(k) == 1 and there.count(k) == 1 else -1 for k in here]
    assert found.tolist() == expected
    assert account.adds_up
    assert account.rows_left.get(NO_KEY, 0) == there.count(None)
    assert account.rows_left.get(TWICE, 0) == sum(k is not None and there.count(k) > 1 for k in there)
    assert account.cells_left.get(NOT_THERE, 0) >= sum(
        k not in there for k in here if k is not None and here.count(k) == 1
    )


@given(
    ours=st.lists(st.tuples(st.integers(0, 1), st.floats(0, 40), st.floats(0, 40)), min_size=1, max_size=10),
    theirs=st.lists(st.tuples(st.integers(0, 1), st.floats(0, 40), st.floats(0, 40)), min_size=1, max_size=10),
    within=st.floats(0.5, 15),
)
def test_positions_match_where_each_is_the_others_nearest(
    ours: list[tuple[int, float, float]], theirs: list[tuple[int, float, float]], within: float
) -> None:
    cells, rows = (pl.DataFrame(p, schema=["tile", "y", "x"], orient="row") for p in (ours, theirs))
    found, account = matched(cells, rows, by="position", within=within)
    assert account.adds_up
    distance = np.array(
        [[np.hypot(a[1] - b[1], a[2] - b[2]) if a[0] == b[0] else np.inf for b in theirs] for a in ours]
    )
    for i, row in enumerate(found):
        if row >= 0:
            assert distance[i, row] <= within * (1 + 1e-9)
            assert distance[i, row] <= distance[i].min() + 1e-9
            assert distance[i, row] <= distance[:, row].min() + 1e-9
    clear = np.sort(distance, axis=None)
    if len(clear) < 2 or np.diff(clear[np.isfinite(clear)]).min(initial=1) > 1e-6:  # no ties
        for i, j in zip(*np.nonzero(distance < within - 1e-6), strict=True):
            if distance[i, j] == distance[i].min() == distance[:, j].min():
                assert found[i] == j


def test_wells_and_numbers_are_compared_as_such() -> None:
    cells = pl.DataFrame({"plate": ["P1", "P1"], "well": ["A01", "B12"], "tile": ["0", "7"], "label": ["1", "1"]})
    rows = pl.DataFrame({"plate": ["P1", "P1"], "well": ["b12", "A1"], "tile": [7.0, 0.0], "label": [1, 1]})
    found, account = matched(cells, rows, by="label", within=1.0)
    assert found.tolist() == [1, 0]
    assert str(account) == "2 cells are matched by label; no cells are unmatched; no rows are unmatched"


def test_rows_of_dropped_cells_say_why_they_are_left() -> None:
    cells, rows = pl.DataFrame({"cell_id": ["a"]}), pl.DataFrame({"cell_id": ["a", "b", "c"]})
    dropped = pl.DataFrame({"cell_id": ["b"], "reason": ["too close"]})
    _, account = matched(cells, rows, by="cell_id", within=1.0, dropped=dropped)
    assert account.rows_left == {"left out of the store: too close": 1, NOT_HERE: 1}
