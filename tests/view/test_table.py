"""Pages of the cell table are what polars says of it, however cells are chosen and sorted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.store.arrays import store_from_arrays
from contrascope.view.table import CellTable, Query


@pytest.fixture(scope="module")
def table(tiny_store) -> CellTable:
    return CellTable(tiny_store)


def rows_of(table: CellTable, query: Query) -> list[int]:
    total, cells = table.page(query, offset=0, limit=10**9)
    assert total == len(cells)
    return [cell["row"] for cell in cells]


@given(data=st.data())
def test_cells_are_chosen_as_polars_filters_them(tiny_store, table, data) -> None:
    columns = data.draw(st.sets(st.sampled_from(["perturbation", "guide", "plate", "well", "control"])))
    values = {name: data.draw(st.sampled_from(tiny_store.cells[name].unique().sort().to_list())) for name in columns}
    offset, limit = data.draw(st.integers(0, 60)), data.draw(st.integers(1, 60))
    kept = tiny_store.cells.with_row_index("row").filter(*(pl.col(name) == value for name, value in values.items()))
    total, cells = table.page(Query(frozenset(values.items())), offset=offset, limit=limit)
    assert total == kept.height
    assert (
        pl.DataFrame(cells, schema=kept.select(pl.col("row").cast(pl.Int64)).schema, strict=False)["row"].to_list()
        == kept["row"].slice(offset, limit).to_list()
    )
    for cell in cells:
        assert cell == {name: kept.row(by_predicate=pl.col("row") == cell["row"], named=True)[name] for name in cell}


@pytest.mark.parametrize("descending", [False, True])
def test_every_sortable_column_sorts_and_keeps_the_order_of_equals(tiny_store, table, descending) -> None:
    assert {"perturbation", "y", "tile_index", "control"} <= set(table.sortable)
    for name in table.sortable:
        values = tiny_store.cells[name].to_list()
        present = [row for row, value in enumerate(values) if value is not None]
        expected = sorted(present, key=values.__getitem__, reverse=descending)  # equals keep their order both ways
        expected += [row for row, value in enumerate(values) if value is None]
        assert rows_of(table, Query(sort=name, descending=descending)) == expected, name


def test_a_choice_and_an_order_hold_together(tiny_store, table) -> None:
    name = tiny_store.perturbations[0]
    kept = tiny_store.cells.with_row_index("row").filter(pl.col("perturbation") == name).sort("y", descending=True)
    assert rows_of(table, Query(frozenset({("perturbation", name)}), "y", True)) == kept["row"].to_list()


def test_missing_numbers_come_last_both_ways(tmp_path) -> None:
    store = toy_store(tmp_path, area=[2.0, float("nan"), None, 3.0, 1.0, 2.0])
    assert rows_of(CellTable(store), Query(sort="area")) == [4, 0, 5, 3, 1, 2]
    assert rows_of(CellTable(store), Query(sort="area", descending=True)) == [3, 0, 5, 4, 1, 2]


def test_a_value_that_does_not_occur_chooses_nobody(table) -> None:
    assert table.page(Query(frozenset({("perturbation", "nobody' OR 1=1")})), offset=0, limit=48) == (0, [])


def test_a_page_behind_the_last_is_empty(table) -> None:
    assert table.page(Query(), offset=10**11, limit=48) == (len(table), [])


def test_columns_are_told_with_the_cells_of_their_values(tiny_store, table) -> None:
    told = {column["name"]: column for column in table.columns()}
    assert list(told) == tiny_store.cells.columns
    for name in ("perturbation", "guide", "plate", "well", "control"):
        counted = {entry["value"]: entry["cells"] for entry in told[name]["values"]}
        assert counted == dict(tiny_store.cells[name].value_counts().iter_rows())
        assert list(counted) == sorted(counted)
    assert "values" not in told["y"] and told["y"]["number"]


def test_a_cell_is_told_whole(tiny_store, table) -> None:
    for row in (0, 7, len(tiny_store) - 1):
        assert table.cell(row) == tiny_store.cells.row(row, named=True)


def test_what_json_lacks_is_text(tmp_path) -> None:
    store = toy_store(tmp_path, area=[float("nan"), float("inf"), None, 3.5, 1, 2], parts=[[1, 2]] * 6)
    table = CellTable(store)
    assert [table.cell(row)["area"] for row in range(4)] == ["nan", "inf", None, 3.5]
    assert table.cell(0)["parts"] == "[1, 2]"
    assert "parts" not in table.sortable and "area" in table.sortable


def toy_store(folder, **columns):
    """Six cells of one pixel."""
    cells = pl.DataFrame({"guide": ["a", "b"] * 3, "perturbation": ["nt", "G"] * 3, "control": [True, False] * 3})
    cells = cells.with_columns(**{name: pl.Series(values, strict=False) for name, values in columns.items()})
    return store_from_arrays(np.zeros((6, 1, 4, 4), np.uint8), cells, folder / "toy.zarr", channels=["DNA"])
