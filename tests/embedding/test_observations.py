"""The cell table as AnnData's obs: what pandas and AnnData would make of the whole, some rows at a time."""

from __future__ import annotations

import datetime as dt
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.embedding.observations import Observations, restored
from contrascope.errors import RunError, StoreError
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.tables import read_anndata, write_anndata
from contrascope.training.run import Run

N = 60
ELSEWHERE = Run(Path("elsewhere"), {"store": {"fingerprint": "another store", "cells": 3}})
"""A run that was trained on other cells, so that none has a part."""


def small_store(path: Path, **columns: pl.Series) -> CropStore:
    """Cells without anything to see, with such columns."""
    labels = ["nontargeting", "a"] * (N // 2)
    cells = pl.DataFrame({"guide": labels, "perturbation": labels, "control": [True, False] * (N // 2)} | columns)
    return store_from_arrays(np.zeros((N, 1, 2, 2), np.uint8), cells, path, channels=["DNA"])


def values(kind: pl.DataType) -> st.SearchStrategy[pl.Series]:
    """A column of this type, some values of it missing."""
    elements = {
        pl.Int64(): st.integers(-(2**53), 2**53),
        pl.UInt8(): st.integers(0, 255),
        pl.Float32(): st.floats(width=32, allow_nan=False),
        pl.Boolean(): st.booleans(),
        pl.String(): st.sampled_from(["", "a", "b", "ä/b", "NA", "1"]) | st.uuids().map(str),
        pl.Date(): st.dates(),
    }[kind]
    lists = st.lists(st.none() | elements, min_size=N, max_size=N) | st.lists(elements, min_size=N, max_size=N)
    return lists.map(lambda listed: pl.Series(listed, dtype=kind))


KINDS = st.sampled_from([pl.Int64(), pl.UInt8(), pl.Float32(), pl.Boolean(), pl.String(), pl.Date()])


@settings(max_examples=10)
@given(column=KINDS.flatmap(values), step=st.integers(7, N))
def test_rows_a_few_at_a_time_are_those_of_the_whole_table_and_of_polars(
    tmp_path_factory: pytest.TempPathFactory, column: pl.Series, step: int
) -> None:
    store = small_store(tmp_path_factory.mktemp("any") / "cells.zarr", any=column)
    made = Observations(store, ELSEWHERE)
    whole = made.frame()
    assert whole.index.tolist() == store.cells["cell_id"].to_list()
    parts = [made.rows(start, min(start + step, N)) for start in range(0, N, step)]
    for of in made.columns:
        assert all(part[of.name].dtype == of.dtype for part in parts), "whichever rows have values"
        together = restored(np.concatenate([part[of.name] for part in parts]), of)
        pd.testing.assert_series_equal(pd.Series(together, index=whole.index, name=of.name), whole[of.name])
    found, told = whole["any"], column.cast(pl.String) if column.dtype == pl.Date else column
    assert found.isna().tolist() == told.is_null().to_list()
    assert found[found.notna()].tolist() == told.drop_nulls().to_list()


def test_labels_are_categories_in_order_and_other_texts_only_where_they_repeat(tmp_path: Path) -> None:
    names = [f"cell {i}" for i in range(N)]
    phases = pl.Series([("M", None, "G")[i % 3] for i in range(N)])
    store = small_store(tmp_path / "cells.zarr", cell_id=pl.Series(names), note=pl.Series(names), phase=phases)
    frame = Observations(store, ELSEWHERE).frame()
    assert frame["phase"].cat.categories.tolist() == ["G", "M"]
    assert frame["guide"].cat.categories.tolist() == ["a", "nontargeting"]
    assert frame["guide"].tolist() == store.cells["guide"].to_list()
    assert frame["note"].dtype == frame["cell_id"].dtype == object
    assert "split" not in frame


def test_anndata_changes_nothing_of_it_when_it_is_written(tmp_path: Path) -> None:
    columns = {
        "phase": pl.Series([("M", None)[i % 2] for i in range(N)]),
        "depth": pl.Series([None if i % 5 == 0 else i for i in range(N)]),
        "seen": pl.Series([i % 3 == 0 for i in range(N)]),
        "340/380": pl.Series(range(N)),
    }
    frame = Observations(small_store(tmp_path / "cells.zarr", **columns), ELSEWHERE).frame()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # AnnData warns where it makes categories of texts
        path = write_anndata(AnnData(obs=frame.copy()), tmp_path / "cells.h5ad")
    again = read_anndata(path).obs
    assert list(again.columns) == list(frame.columns)
    assert "340_380" in again
    pd.testing.assert_frame_equal(again, frame, check_index_type=False, check_column_type=False)


def test_cells_of_the_runs_own_store_have_the_part_they_had_in_it(tmp_path: Path) -> None:
    store = small_store(tmp_path / "cells.zarr")
    parts = [("train", "validation", "test")[i % 3] for i in range(N)]
    pl.DataFrame({"split": parts}).write_parquet(tmp_path / "split.parquet")
    own = Run(tmp_path, {"store": {"fingerprint": store.fingerprint, "cells": N}})
    assert Observations(store, own).frame()["split"].tolist() == parts
    pl.DataFrame({"split": parts[1:]}).write_parquet(tmp_path / "split.parquet")
    with pytest.raises(RunError, match="is of 59 cells, and it was trained on a store of 60"):
        Observations(store, own)


@pytest.mark.parametrize(("labels", "width"), [(2, np.int8), (126, np.int8), (127, np.int16), (128, np.int16)])
def test_codes_are_as_wide_as_pandas_would_have_them(tmp_path: Path, labels: int, width: type) -> None:
    images, control = np.zeros((300, 1, 2, 2), np.uint8), np.arange(300) % 2 == 0
    cells = pl.DataFrame({"guide": [f"g{c}" for c in control], "perturbation": [f"p{c}" for c in control]})
    cells = cells.with_columns(control=control, tag=pl.Series([f"t{i % labels}" for i in range(300)]))
    made = Observations(store_from_arrays(images, cells, tmp_path / "c.zarr", channels=["DNA"]), ELSEWHERE)
    codes = made.rows(0, 300)["tag"]
    assert codes.dtype == width == pd.Categorical(cells["tag"].to_list()).codes.dtype


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([dt.timedelta(seconds=i) for i in range(60)]),
        pl.Series([1] * 60, dtype=pl.Int128),
        pl.Series([[1]] * 60),
    ],
)
def test_a_column_that_anndata_has_no_place_for_is_named(tmp_path: Path, values: pl.Series) -> None:
    own = small_store(tmp_path / "own.zarr", odd=values)
    with pytest.raises(StoreError, match="The column odd of the cell table holds"):
        Observations(own, ELSEWHERE)


def test_labels_may_be_whole_numbers_of_any_size(tmp_path: Path) -> None:
    own = small_store(tmp_path / "own.zarr", tile=pl.Series([2**63 + i % 3 for i in range(60)], dtype=pl.UInt64))
    assert Observations(own, ELSEWHERE).frame()["tile"].tolist() == [2**63 + i % 3 for i in range(60)]
