"""Cells are selected as a loop over them would, numbers as numbers and texts as texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.benchmarks.selection import said, selected, texts, with_row_and_column
from contrascope.errors import BenchmarkError

OBS = pd.DataFrame(
    {
        "row": ["A", "A", "B", "B", None],
        "plate": [1, 2, 1, 2, 3],
        "dose": [0.0, 0.1, 10.0, np.nan, 1e-7],
        "seen": [True, False, True, False, True],
        "guide": pd.Categorical(["g1", "g2", "g1", "g10", "g2"], categories=["g1", "g2", "g10", "unused"]),
    }
)


@given(
    rows=st.lists(st.sampled_from(["A", "B", "C"]), max_size=3),
    plates=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    guide=st.sampled_from(["g1", "g2", "g10"]),
)
def test_a_cell_fits_when_every_column_holds_one_of_its_values(rows: list[str], plates: list[int], guide: str) -> None:
    expected = [
        OBS["row"][i] in rows and OBS["plate"][i] in plates and OBS["guide"][i] == guide for i in range(len(OBS))
    ]
    wanted = {"row": rows, "plate": plates, "guide": guide}
    if any(expected):
        assert selected(OBS, wanted, what="x").tolist() == expected
    else:
        with pytest.raises(BenchmarkError, match=r"x .* selects none of 5 cells"):
            selected(OBS, wanted, what="x")


@pytest.mark.parametrize("wanted", [1, 1.0, "1", "1.0", "01", [1], ("1", 7), np.int64(1), {1}, "1e0"])
def test_in_a_column_of_numbers_one_is_one_however_it_is_written(wanted: Any) -> None:
    for column in (OBS["plate"], OBS["plate"].astype(float), OBS["plate"].astype("Int64"), OBS["plate"].astype("int8")):
        found = selected(OBS.assign(plate=column), {"plate": wanted}, what="x")
        assert found.tolist() == [True, False, True, False, False]


@pytest.mark.parametrize(("wanted", "rows"), [(0.1, [1]), ("1e-7", [4]), (["0", 10], [0, 2])])
def test_fractions_are_found_and_what_is_missing_is_none_of_them(wanted: Any, rows: list[int]) -> None:
    assert np.flatnonzero(selected(OBS, {"dose": wanted}, what="x")).tolist() == rows


def test_numbers_of_many_digits_stay_apart() -> None:
    plates = [2024011500011, 2024011500012, 2**53 + 1, 2**53]
    for kind in ("int64", "Int64", "category"):
        obs = pd.DataFrame({"plate": pd.Series(plates).astype(kind)})
        for i, plate in enumerate(plates):
            assert np.flatnonzero(selected(obs, {"plate": plate}, what="x")).tolist() == [i]
        assert len(set(texts(obs["plate"]))) == 4
    assert len(set(texts(pd.Series(plates[:2], dtype=float)))) == 2


def test_categories_that_are_numbers_are_compared_as_such() -> None:
    obs = pd.DataFrame({"plate": pd.Categorical([1, 2, None])})
    for one in (1, 1.0, "1", "1.0"):
        assert selected(obs, {"plate": one}, what="x").tolist() == [True, False, False]


def test_truth_values_and_texts_are_themselves() -> None:
    assert selected(OBS, {"seen": True}, what="x").tolist() == OBS["seen"].tolist()
    spelt = pd.DataFrame({"well": ["01", "1", "1.0"]})
    assert selected(spelt, {"well": "1"}, what="x").tolist() == [False, True, False]


def test_the_message_of_a_selection_in_vain_shows_what_there_is() -> None:
    with pytest.raises(BenchmarkError, match=r"^negative \{plate: 9\} selects none of 5 cells.*plate: 1, 2, 3"):
        selected(OBS, {"plate": 9}, what="negative")
    with pytest.raises(BenchmarkError, match=r"fit names the column 'column'\. The cells have row, plate"):
        selected(OBS, {"column": 1}, what="fit")
    assert said({"row": ["A", "B"], "plate": 1}) == "{row: ['A', 'B'], plate: 1}"


@given(values=st.lists(st.none() | st.sampled_from(["a", "b", "", "1"]), min_size=1, max_size=12))
def test_texts_are_the_values_and_what_is_missing_is_empty(values: list[str | None]) -> None:
    for column in (pd.Series(values, dtype=object), pd.Series(pd.Categorical(values))):
        assert texts(column).tolist() == [value or "" for value in values]


@given(row=st.sampled_from(["A", "H", "P", "AB"]), column=st.integers(1, 48), zeros=st.integers(0, 2))
def test_row_and_column_are_read_off_a_well(row: str, column: int, zeros: int) -> None:
    found = with_row_and_column(pd.DataFrame({"well": [f"{row}{'0' * zeros}{column}", None]}))
    assert found["row"].tolist() == [row, ""]
    assert found["column"].tolist() == [str(column), ""]


def test_what_a_table_says_of_rows_stands_and_other_names_of_wells_say_nothing() -> None:
    own = pd.DataFrame({"well": ["A01", "B02"], "row": ["x", "y"]})
    assert with_row_and_column(own)["row"].tolist() == ["x", "y"]
    assert with_row_and_column(own)["column"].tolist() == ["1", "2"]
    other = pd.DataFrame({"well": ["A01", "control"]})
    assert with_row_and_column(other) is other
    assert with_row_and_column(OBS) is OBS
