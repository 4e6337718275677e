"""Feature tables of other programs, matched to the cells of a store.

    CellProfiler            a folder of CSV files, or SQLite (``cellprofiler.py``, ``sqlite.py``)
    Funk et al., brieflow, scallops, cytomining, JUMP, anybody's    CSV, TSV, Parquet (file or folder), HDF5

What says which cell a row is, is looked for under the names that the presets of cell tables know. Features are held in
memory, eight bytes each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from anndata import AnnData

from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.errors import SettingsError, TableError, first_few
from contrascope.features.cellprofiler import from_folder, from_sqlite, is_cellprofiler_folder
from contrascope.features.columns import LABEL, NUMBERS, Columns, columns_of
from contrascope.features.match import (
    WAYS,
    Account,
    By,
    matched,
    possible_ways,
    refuse_strangers,
    refuse_wayless,
)
from contrascope.features.sqlite import ENDINGS
from contrascope.screen.table_files import collected, scan_table
from contrascope.store.export import observations
from contrascope.store.store import CropStore

WITHIN = 5.0
"""Pixels between two programs' centres of one nucleus."""


@dataclass(frozen=True)
class FeatureTable:
    """A table of measurements that has not been read yet.

    Attributes:
        path: Where it is.
        table: A row an object.
        columns: What its columns are.
    """

    path: Path
    table: pl.LazyFrame
    columns: Columns

    def keys(self) -> pl.DataFrame:
        """What says which cell each row is, under our names."""
        schema = self.table.collect_schema()
        ours = {name: _joined(name, source, schema) for name, source in self.columns.keys.items()}
        return collected(self.table.select(pl.lit(0).alias("_row"), **ours), self.path).drop("_row")

    def values(self, rows: np.ndarray) -> tuple[pd.DataFrame, list[str]]:
        """(N, F) features of rows of the table, in float64; what is no number is NaN, and a sentence says so."""
        read = [pl.col(name).cast(pl.Float64, strict=False) for name in self.columns.features]
        texts = [
            (pl.col(name).is_not_null() & ~_says_nothing(name) & pl.col(name).cast(pl.Float64, strict=False).is_null())
            .sum().alias(name)
            for name in self.columns.texts
        ]  # fmt: skip
        notes = []
        if texts:
            counts = collected(self.table.select(texts), self.path).row(0, named=True)
            if strange := {name: n for name, n in counts.items() if n}:
                shown = first_few([f"{name} ({n:,})" for name, n in strange.items()])
                notes.append(f"Texts that are no numbers count as missing: {shown}.")
        table = collected(self.table.select(read), self.path)
        values = np.empty((len(rows), len(read)))
        for i, name in enumerate(self.columns.features):
            values[:, i] = table[name].to_numpy()[rows]
        return pd.DataFrame(values, columns=list(self.columns.features)), notes


def open_features(
    path: str | Path,
    *,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    compartments: Sequence[str] | None = None,
    key: str | None = None,
) -> FeatureTable:
    """A feature table of any known format.

    Args:
        path: A file or folder.
        columns: Our name (cell_id, plate, well, tile, label, y, x) -> the table's column or columns.
        compartments: What names of features begin with, before an underscore; None for the known ones.
        key: Which table of an HDF5 file.

    Raises:
        TableError: Not there, unreadable, without rows or without a feature.
        SettingsError: A URL, or an unknown name under ``columns``.
    """
    path = local_path(path)
    if not path.exists():
        raise TableError(f"There is no {path}. A table of features was needed: CSV, Parquet, HDF5, SQLite or a folder.")
    if is_cellprofiler_folder(path):
        table = from_folder(path)
    elif path.suffix.lower() in ENDINGS:
        table = from_sqlite(path)
    else:
        table = scan_table(path, key=key, infer=None)
    told = columns_of(table.collect_schema(), where=str(path), named=columns, compartments=compartments)
    return FeatureTable(path, table, told)


def match_features(
    table: str | Path | FeatureTable,
    store: CropStore,
    *,
    by: By | None = None,
    within: float = WITHIN,
    **how_to_read: object,
) -> tuple[AnnData, tuple[str, ...]]:
    """Features of a store's cells from another program's table.

    Args:
        table: The table.
        store: The cells.
        by: ``cell_id``, ``label`` or ``position``; None for the first of them by which any cell is matched,
            numbers in a tile only if the centres agree as well (where both sides have them).
        within: Of ``position``: pixels.
        how_to_read: As of ``open_features``.

    Returns:
        The cells that were matched, in the store's order: ``obs`` the cell table, ``obsm["features"]`` (N, F) float64
        with names, ``uns["contrascope"]["matched"]`` the account; and sentences on what was matched.

    Raises:
        TableError: No way to match, nobody matched, or an unreadable table.
        SettingsError: An unknown way, or a distance that is none.
    """
    if by is not None and by not in WAYS:
        raise SettingsError(f"by is '{by}'. Choose one of: {', '.join(WAYS)}.")
    if not within > 0:
        raise SettingsError(f"within is {within}. A distance in pixels above 0 was needed.")
    opened = table if isinstance(table, FeatureTable) else open_features(table, **how_to_read)  # type: ignore[arg-type]
    rows = opened.keys()
    cells, dropped = _cells_and_dropped(store)
    _refuse_missing_parts(cells, rows, opened.path)
    found, account = _first_that_matches(cells, dropped, rows, by, within, where=str(opened.path))
    here = found >= 0
    values, notes = opened.values(found[here])
    obs = observations(store)[here]
    values.index = obs.index
    facts = {"store": store.fingerprint, "screen": store.name, "matched": _stored(account, opened.columns)}
    said = (f"{account}.", *_doubts(account), *notes)
    return AnnData(obs=obs, obsm={v.FEATURES: values}, uns={"contrascope": facts}), said


def _doubts(account: Account) -> Iterator[str]:
    """What speaks against the match."""
    if account.apart is not None and account.apart > WITHIN:
        yield (
            f"The centres of matched cells lie {account.apart:,.0f} pixels apart at the median: are these numbers of "
            "the same segmentation, and pixels of the same tiles? Match by position if not."
        )


def _stored(account: Account, columns: Columns) -> dict[str, object]:
    """The account as AnnData writes it; reasons are texts in a list, for a key may not hold a slash."""
    used = {name: np.array(source, dtype=object) for name, source in columns.keys.items()}
    left = {"cells_left": _listed(account.cells_left), "rows_left": _listed(account.rows_left)}
    return (
        {"by": account.by, "cells": account.cells, "rows": account.rows, "n": account.matched}
        | left
        | {"columns": used}
    )


def _listed(reasons: Mapping[str, int]) -> dict[str, object]:
    return {"reason": np.array(list(reasons), dtype=object), "n": np.array(list(reasons.values()), dtype=np.int64)}


def _first_that_matches(
    cells: pl.DataFrame, dropped: pl.DataFrame, rows: pl.DataFrame, by: By | None, within: float, *, where: str
) -> tuple[np.ndarray, Account]:
    ways = [way for way in possible_ways(cells.columns, rows.columns) if by in (None, way)]
    if not ways:
        refuse_wayless(cells.columns, rows.columns, where=where)
    doubted: tuple[np.ndarray, Account] | None = None
    for way in ways:
        found, account = matched(cells, rows, by=way, within=within, dropped=dropped)
        # Numbers in a tile start at 1 with every program: those of another segmentation agree, but not their centres.
        if way == "label" and way != by and account.matched and (account.apart or 0.0) > within:
            doubted = found, account
        elif account.matched and (doubted is None or account.matched > doubted[1].matched / 2):
            return found, account
    if doubted is None:
        refuse_strangers(cells, rows, ways, where=where)
    return doubted


def _joined(name: str, source: Sequence[str], schema: pl.Schema) -> pl.Expr:
    """A key of one column, or of several: a well of row and column, else with underscores."""
    if len(source) > 1:
        return pl.concat_str([pl.col(c).cast(pl.String) for c in source], separator="" if name == v.WELL else "_")
    column = pl.col(source[0])
    if name != v.CELL_ID or not schema[source[0]].is_float():
        return column
    # Whole numbers become floats where one is missing.
    whole = column.cast(pl.Int64, strict=False)
    return pl.when(whole == column).then(whole.cast(pl.String)).otherwise(column.cast(pl.String))


def _says_nothing(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().str.to_lowercase().is_in(["", "nan", "na", "null", "none"])


def _cells_and_dropped(store: CropStore) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cells of the store with the number of each in its tile, if it can be told; and those that were left out."""
    keys = [name for name in (v.CELL_ID, v.PLATE, v.WELL, v.TILE, v.Y, v.X) if name in store.column_names]
    cells, dropped = store.cells, store.dropped
    named = [name for name in NUMBERS if name in cells.columns]
    if named:
        cells = cells.with_columns(pl.col(named[0]).alias(LABEL))
        if _ids_end_in_numbers(cells):  # of those left out the ids alone are kept
            dropped = dropped.with_columns(_number_at_end().alias(LABEL))
    elif (counted := _number_in_id(cells)) is not None:
        cells = cells.with_columns(counted)
        dropped = dropped.with_columns(_number_at_end().alias(LABEL))
    return cells.select(*keys, *([LABEL] if LABEL in cells.columns else [])), dropped


def _number_at_end() -> pl.Expr:
    return pl.col(v.CELL_ID).str.extract(r"_(\d+)$")


def _ids_end_in_numbers(cells: pl.DataFrame) -> bool:
    """Whether the number of each cell in its tile is that at the end of its id."""
    ends, numbers = (column.cast(pl.Float64, strict=False) for column in (_number_at_end(), pl.col(LABEL)))
    return bool(cells.select((ends == numbers).fill_null(value=False).all()).item())


def _number_in_id(cells: pl.DataFrame) -> pl.Series | None:
    """The number at the end of ids such as ``P1_A01_3_17``, where it tells the cells of each tile apart."""
    numbered = cells.select(v.PLATE, v.WELL, v.TILE, _number_at_end().alias(LABEL))
    told = numbered[LABEL].null_count() == 0 and not numbered.is_duplicated().any()
    return numbered[LABEL] if told else None


def _refuse_missing_parts(cells: pl.DataFrame, rows: pl.DataFrame, path: Path) -> None:
    """A table without plate or well is of one; a store of several has to be told apart."""
    if v.CELL_ID in rows.columns:
        return
    for name in (v.PLATE, v.WELL):
        if name not in rows.columns and v.TILE in rows.columns and (n := cells[name].n_unique()) > 1:
            raise TableError(
                f"{path} has no {name}, and the store has {n:,}: its tiles cannot be told apart. Name the column that "
                f"holds it: --set {name}=COLUMN."
            )
