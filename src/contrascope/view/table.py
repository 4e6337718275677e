"""The cell table of a store, asked a page at a time.

Held are the columns that cells are chosen by, as small numbers that stand for their values: a few bytes a cell. All
else is read when it is asked for: a row for one cell, a column to sort by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from contrascope import vocabulary as v
from contrascope.store.store import CropStore

CHOSEN_BY = (v.PERTURBATION, v.GUIDE, v.PLATE, v.WELL)
"""Columns of names that cells are chosen by; ``control`` is the other, a flag."""
ROW = "row"


@dataclass(frozen=True)
class Query:
    """Which cells, and in which order.

    Attributes:
        where: Column and value that its cells have, of ``CHOSEN_BY`` and ``control``; all hold at once.
        sort: Column to sort by, cells without a value last; None for the order of the store.
        descending: Largest first.
    """

    where: frozenset[tuple[str, str | bool]] = frozenset()
    sort: str | None = None
    descending: bool = False


class CellTable:
    """The cell table of a store.

    Args:
        store: The store, in a folder of this machine.

    Raises:
        StoreError: Its cell table is damaged.
    """

    def __init__(self, store: CropStore):
        self._store = store
        there = [name for name in CHOSEN_BY if name in store.column_names]
        self.labels = pl.DataFrame([*(_numbered(store.column(name)) for name in there), store.column(v.CONTROL)])
        self._whole = pl.scan_parquet(store.path / "cells.parquet", glob=False)  # type: ignore[operator]
        self.schema = self._whole.collect_schema()
        # Whoever leafs through cells asks for the same ones again and again; an order takes four bytes a cell.
        self._found = lru_cache(maxsize=2)(self._find)
        self._order = lru_cache(maxsize=2)(self._sort)

    def __len__(self) -> int:
        return self.labels.height

    @property
    def sortable(self) -> list[str]:
        """Columns whose values have an order."""
        return [name for name, kind in self.schema.items() if not kind.is_nested() and kind not in (pl.Binary, pl.Null)]

    def columns(self) -> list[dict[str, Any]]:
        """Name and type of each column, whether it sorts, and the values of those held, each with its cells."""
        held, sortable = self.labels.columns, self.sortable
        return [
            {"name": name, "type": str(kind), "number": kind.is_numeric(), "sortable": name in sortable}
            | ({"values": self._values(name)} if name in held else {})
            for name, kind in self.schema.items()
        ]

    def page(self, query: Query, *, offset: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
        """How many cells there are, and those from ``offset`` on: each its row in the store and the columns held."""
        rows = self._found(query)
        here = rows.slice(offset, limit)
        cells = self.labels[here].insert_column(0, here.alias(ROW))
        return len(rows), cells.to_dicts()

    def cell(self, row: int) -> dict[str, Any]:
        """All that the table says of one cell."""
        return {name: _plain(value) for name, value in self._whole.slice(row, 1).collect().row(0, named=True).items()}

    def _find(self, query: Query) -> pl.Series:
        """Rows in the store, uint32."""
        kept = self._kept(query)
        if query.sort is None:
            return kept.arg_true()
        order = self._order(query.sort, query.descending)
        return order.filter(kept.gather(order))

    def _kept(self, query: Query) -> pl.Series:
        """(N,) whether each cell is one of those asked for."""
        if any(not self._occurs(name, value) for name, value in query.where):
            return pl.repeat(False, len(self), eager=True)
        met = [pl.col(name) == value for name, value in query.where]
        return self.labels.select(pl.all_horizontal(pl.repeat(True, pl.len()), *met).fill_null(False)).to_series()

    def _occurs(self, name: str, value: str | bool) -> bool:
        kind = self.labels.schema[name]
        return not isinstance(kind, pl.Enum) or value in kind.categories

    def _sort(self, name: str, descending: bool) -> pl.Series:
        """All rows by the values of a column; of equal ones the first in the store is first."""
        held = name in self.labels.columns
        values = (self.labels[name] if held else self._store.column(name)).alias("value")
        if values.dtype.is_float():
            values = values.fill_nan(None)
        table = values.to_frame().with_row_index(ROW)
        return table.sort("value", descending=descending, nulls_last=True, maintain_order=True)[ROW]

    def _values(self, name: str) -> list[dict[str, Any]]:
        counts = self.labels[name].drop_nulls().value_counts(name="cells").sort(name)
        return [{"value": value, "cells": cells} for value, cells in counts.iter_rows()]


def _numbered(names: pl.Series) -> pl.Series:
    """A column of names as numbers that sort as the names do."""
    text = names.cast(pl.String)
    return text.cast(pl.Enum(text.unique().drop_nulls().sort()))


def _plain(value: Any) -> Any:
    """A value as JSON has it; what JSON lacks, dates or infinity, as text."""
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)
