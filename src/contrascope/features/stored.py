"""Measured features in a Parquet file, as ``measure_cells`` writes it, beside the labels that their store has.

The file knows cells by their ids alone, so the store says which are controls and of which batch. Features stay on disk:
rows are read as they are asked for, some row groups at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.errors import BenchmarkError, SettingsError, first_few
from contrascope.features.outcome import MADE, MASK, observations_of_measured
from contrascope.profiles.blocks import Cells, OpenedCells, observations_of, opened
from contrascope.store.store import CropStore


class ParquetFeatures:
    """Columns of numbers in a Parquet file, whose rows are read as they are asked for.

    Args:
        file: The file.
        columns: Those that are features.
    """

    def __init__(self, file: pq.ParquetFile, columns: list[str]):
        self._file, self.columns = file, columns
        rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        self._ends = np.cumsum(rows)
        self.shape = (int(file.metadata.num_rows), len(columns))

    def __getitem__(self, rows: slice) -> NDArray[np.float64]:
        """(B, F) float64."""
        start, stop, _ = rows.indices(self.shape[0])
        first, last = np.searchsorted(self._ends, [start, stop - 1], side="right").tolist()
        groups = list(range(first, min(last, len(self._ends) - 1) + 1))
        table = pl.DataFrame(self._file.read_row_groups(groups, columns=self.columns))
        before = int(self._ends[first - 1]) if first else 0
        return table.slice(start - before, stop - start).select(self.columns).to_numpy().astype(np.float64, copy=False)


@contextmanager
def features_opened(cells: Cells, *, batch: str, store: CropStore | None) -> Iterator[tuple[pd.DataFrame, OpenedCells]]:
    """The table ``obs`` of cells, and what is read of them block by block.

    Args:
        cells: In memory, a .h5ad or .zarr; or a .parquet of ``measure_cells``, with ``store``.
        batch: The column of batches.
        store: What a .parquet was measured from.

    Raises:
        SettingsError: A .parquet without its store, or a store with anything else.
        BenchmarkError: The file cannot be read, or is of another store.
    """
    is_parquet = isinstance(cells, str | Path) and Path(cells).suffix == ".parquet"
    if is_parquet and store is None:
        raise SettingsError(
            f"{cells} says which cells were measured, but not which are controls. Name the store that they were "
            "measured from (--store)."
        )
    if store is not None and not is_parquet:
        raise SettingsError(
            "A store goes with features in a .parquet only; other files and AnnData bring their labels themselves. "
            "Leave the store out."
        )
    if store is None:
        obs = observations_of(cells)
        with opened(cells, batch=batch) as found:
            yield obs, found
        return
    path = local_path(cells)
    with _file(path) as file:
        obs = _labels(path, file, store)
        names = [name for name in file.schema_arrow.names if name not in (v.CELL_ID, MASK)]
        with opened(ad.AnnData(obs=obs), batch=batch) as found:
            yield obs, OpenedCells(found.labels, {v.FEATURES: ParquetFeatures(file, names)}, {})


def _file(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise BenchmarkError(
            f"{path} cannot be read as Parquet: {' '.join(str(error).split())}. Measure the cells again "
            "(contrascope features), or give the .h5ad."
        ) from None


def _labels(path: Path, file: pq.ParquetFile, store: CropStore) -> pd.DataFrame:
    """What the store's cell table says of each cell of the file."""
    made = (file.schema_arrow.metadata or {}).get(MADE.encode())
    if made is None or not {v.CELL_ID, MASK} <= set(file.schema_arrow.names):
        raise BenchmarkError(
            f"{path} is no file of measured features. Give one of `contrascope features`; for tables of other "
            "programs, see `contrascope match-features`."
        )
    if json.loads(made)["facts"]["store"] != store.fingerprint:
        raise BenchmarkError(f"{path} was measured from another store than {store.path}. Name that store.")
    said = pl.DataFrame(file.read([v.CELL_ID, MASK]))
    ids = store.column(v.CELL_ID).cast(pl.String)
    place = pl.DataFrame({v.CELL_ID: ids}).with_row_index("row")
    rows = said.join(place, on=v.CELL_ID, how="left", maintain_order="left")["row"]
    if rows.null_count():
        unknown = said.filter(rows.is_null())[v.CELL_ID]
        raise BenchmarkError(f"{path} has cells that {store.path} has not: {first_few(unknown)}. Measure them again.")
    return observations_of_measured(store, rows, said[MASK])
