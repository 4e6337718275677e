"""The cell table as AnnData's ``obs``, some rows at a time.

What a column becomes is decided once, from a scan of the whole table that holds one column's distinct texts at most:

    labels (plate, guide, ...), texts that repeat   categories, sorted, and a code a cell
    other texts                                     texts
    numbers, true or false                          as they are; floats where some are missing

A slash in a column's name becomes ``_``. The rest are AnnData's own choices, so that rows written one after another
are the file that it would write of all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from contrascope import vocabulary as v
from contrascope.errors import StoreError, first_few
from contrascope.store.export import without_slashes
from contrascope.store.store import CropStore
from contrascope.training.run import Run

_LABELS = (v.PLATE, v.WELL, v.TILE, v.BATCH, v.GUIDE, v.PERTURBATION, v.STAGE, v.SPLIT)
_INDEX = "_index"
_TAKEN = (v.SPLIT, _INDEX, "", ".")
"""The run's part of each cell, AnnData's name for the cells' names, and what no array on disk can be called."""
_WITHOUT_PLACE = (pl.Binary, pl.Object, pl.Duration, pl.Int128)
_WHOLE = {"i": pl.Int64, "u": pl.UInt64}
"""Kind of whole numbers in numpy -> the widest of them in polars."""


@dataclass(frozen=True)
class Column:
    """A column of ``obs``.

    Attributes:
        name: Of the column.
        dtype: Of its values, or of its codes; object for texts.
        categories: (K,) what the codes count, sorted; None if it has none.
    """

    name: str
    dtype: np.dtype
    categories: np.ndarray | None = None


class Observations:
    """The cell table of a store, with the part of each cell if it is the one that the run was trained on.

    Args:
        store: The cells.
        run: The run they are embedded by.

    Raises:
        RunError: The split of the run is missing, damaged or of another store.
        StoreError: A column holds lists or other values that AnnData has no place for, or has a name that it cannot
            have, or that of the part that is to stand beside it.
    """

    def __init__(self, store: CropStore, run: Run):
        _refuse_names(store)
        self._tables = [_scanned(store)]
        if run.facts["store"]["fingerprint"] == store.fingerprint:
            self._tables.append(run.scan_split())
        self._cells = len(store)
        stored = [(table, name) for table in self._tables for name in table.collect_schema()]
        called = without_slashes([name for _, name in stored])
        columns = [self._column(table, name) for table, name in stored]
        self.columns = [replace(column, name=name) for column, name in zip(columns, called, strict=True)]

    def rows(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Values, codes or texts of some rows, a column each; under ``_index`` the names of the cells."""
        tables = [table.slice(start, stop - start).collect() for table in self._tables]
        table = pl.concat(tables, how="horizontal")
        found = {
            column.name: _encoded(table[name], column) for name, column in zip(table.columns, self.columns, strict=True)
        }
        return {_INDEX: _texts(table[v.CELL_ID])} | found

    def frame(self) -> pd.DataFrame:
        """All rows at once."""
        rows = self.rows(0, self._cells)
        index = pd.Index(rows.pop(_INDEX), dtype=object)
        return pd.DataFrame({column.name: restored(rows[column.name], column) for column in self.columns}, index=index)

    def _column(self, table: pl.LazyFrame, name: str) -> Column:
        dtype, values = table.collect_schema()[name], pl.col(name)
        if dtype.is_nested() or dtype in _WITHOUT_PLACE:
            raise StoreError(
                f"The column {name} of the cell table holds {dtype}, which AnnData has no place for. Leave it out of "
                f"the cell table, or make texts or numbers of it, and extract the crops again."
            )
        if name not in _LABELS and (dtype.is_numeric() or dtype == pl.Boolean):
            lacking = int(table.select(values.null_count()).collect(engine="streaming").item())
            kept = pl.Series([], dtype=dtype).to_numpy().dtype if not dtype.is_decimal() else np.dtype(np.float64)
            return Column(name, np.dtype(np.float64) if lacking and kept.kind != "f" else kept)
        if name == v.CELL_ID:
            return Column(name, np.dtype(object))
        if not dtype.is_integer():
            values = values.cast(pl.String)
        distinct = table.select(values.unique()).collect(engine="streaming")[name]
        repeated = len(distinct) < self._cells or distinct.null_count() > 0
        if name not in _LABELS and not repeated:
            return Column(name, np.dtype(object))
        found = distinct.drop_nulls().sort()
        categories = found.to_numpy() if dtype.is_integer() else _texts(found)
        return Column(name, _code(len(categories)), categories)


def _refuse_names(store: CropStore) -> None:
    if taken := [name for name in store.column_names if name in _TAKEN]:
        raise StoreError(
            f"The cell table of {store.path} has a column called {first_few([repr(name) for name in taken])}, a name "
            f"that embedded cells need for something else or cannot have. Call it otherwise and make the store again."
        )


def restored(values: np.ndarray, column: Column) -> Any:
    """A column as pandas has it, of what ``rows`` gives."""
    if column.categories is None:
        return values
    return pd.Categorical.from_codes(values, pd.Index(column.categories))


def _encoded(values: pl.Series, column: Column) -> np.ndarray:
    if column.categories is not None:
        known = pl.Series(column.categories.tolist(), dtype=_WHOLE.get(column.categories.dtype.kind, pl.String))
        code = pl.int_range(len(known), eager=True)
        codes = values.cast(known.dtype).replace_strict(known, code, default=-1, return_dtype=pl.Int64)
        return codes.fill_null(-1).to_numpy().astype(column.dtype)
    if column.dtype.kind == "O":
        return _texts(values)
    return values.cast(pl.Float64).to_numpy().astype(column.dtype) if column.dtype.kind == "f" else values.to_numpy()


def _texts(values: pl.Series) -> np.ndarray:
    return np.array(values.cast(pl.String).to_list(), dtype=object)


def _code(categories: int) -> np.dtype:
    """The smallest signed integers that count so many categories, as pandas takes them."""
    return next(np.dtype(kind) for kind in (np.int8, np.int16, np.int32, np.int64) if categories < np.iinfo(kind).max)


def _scanned(store: CropStore) -> pl.LazyFrame:
    """The cell table, a few rows at a time; of a store behind a URL as a whole, as rows are not read from there."""
    if isinstance(store.path, Path):
        return pl.scan_parquet(store.path / "cells.parquet", glob=False)
    return store.cells.lazy()
