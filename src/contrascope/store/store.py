"""A finished crop store, opened for reading.

Batches are asked for as arrays of row numbers and filled by threads (``images.py``), so one process is enough.
What is held in memory grows with the cells by their labels and their places in the files, eight bytes each; the
cell table is read when it is asked for.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]

from contrascope import vocabulary as v
from contrascope.errors import StoreError
from contrascope.shown import html_of
from contrascope.store.damage import damaged_at
from contrascope.store.description import Account, facts, remedy
from contrascope.store.images import Asked, StoredImages
from contrascope.store.notes import notes_on_tiles
from contrascope.store.places import Folder, place_of

if TYPE_CHECKING:
    from anndata import AnnData


class CropStore:
    """Crops of N cells and their table.

    Args:
        path: A folder written by ``extract_crops`` or ``store_from_arrays``, or the URL of its copy elsewhere.

    Raises:
        StoreError: No store, an unfinished one, or one of a format we do not know; or a server that says no.
    """

    def __init__(self, path: str | Path):
        self._place = place_of(path)
        self._facts = facts(self._place)
        try:
            self._images = StoredImages(self._place, self.dtype, self.shard_cells)
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from None
        if self._images.shape[0] != self.account.stored:
            raise self._damaged(f"{self._images.shape[0]} images for {self.account.stored} cells")

    @property
    def path(self) -> Path | str:
        """Where the store lies: a path, or a URL as text."""
        return self._place.path if isinstance(self._place, Folder) else str(self._place)

    @property
    def name(self) -> str:
        """Name of the screen."""
        return self._facts["name"]

    @property
    def channels(self) -> list[str]:
        """Names of the C channels."""
        return self._facts["channels"]

    @property
    def crop_size(self) -> tuple[int, int]:
        """H and W of a crop, in pixels."""
        H, W = self._images.shape[2:]
        return H, W

    @property
    def pixel_size_um(self) -> float | None:
        """Width of a pixel in micrometres, if known."""
        return self._facts["pixel_size_um"]

    @property
    def shard_cells(self) -> int:
        """Cells in a shard, which is one file."""
        return self._facts["shard_cells"]

    @property
    def dtype(self) -> np.dtype:
        """Of the pixels."""
        return np.dtype(self._facts["dtype"])

    @property
    def fingerprint(self) -> str:
        """Changes with anything the store was made from."""
        return self._facts["fingerprint"]

    @property
    def provenance(self) -> dict[str, Any]:
        """Settings and package versions the store was made with."""
        return self._facts["provenance"]

    @property
    def account(self) -> Account:
        """Rows of the table = cells stored + cells dropped."""
        return Account(**self._facts["account"])

    @property
    def notes(self) -> list[str]:
        """What to know of it before it is used, a sentence or two each."""
        return [*self._facts.get("notes", ()), *notes_on_tiles(self.tiles, self.channels)]  # an older store has none

    @cached_property
    def cells(self) -> pl.DataFrame:
        """The cell table, a row a cell in the order of the images."""
        return self._table("cells.parquet")

    def column(self, name: str) -> pl.Series:
        """One column of the cell table, (N,); the rest of the table is not read."""
        return self._table("cells.parquet", [name])[name]

    @cached_property
    def column_names(self) -> list[str]:
        """Columns of the cell table."""
        try:
            return self._place.columns("cells.parquet")
        except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    @cached_property
    def tiles(self) -> pl.DataFrame:
        """One row a tile: size, cells, shifts, clip limits, and how it looks; see FORMAT.md."""
        return self._table("tiles.parquet")

    @cached_property
    def dropped(self) -> pl.DataFrame:
        """The cells that are not stored, each with its ``reason``."""
        return self._table("dropped.parquet")

    @cached_property
    def perturbations(self) -> list[str]:
        """Names of the K perturbations that are no control, sorted; label k is the k-1st of them."""
        return _perturbations(self._assignments())

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int64 perturbation of each cell: 0 control, 1 ... K."""
        cells = self._assignments()
        number = {name: k for k, name in enumerate(_perturbations(cells), start=1)}
        labels = cells[v.PERTURBATION].replace_strict(number, default=0, return_dtype=pl.Int64).to_numpy()
        return np.where(cells[v.CONTROL].to_numpy(), 0, labels)

    def __len__(self) -> int:
        return self.account.stored

    def __repr__(self) -> str:
        H, W = self.crop_size
        return (
            f"CropStore '{self.name}': {len(self):,} cells of {len(self.channels)} x {H} x {W} {self.dtype}, "
            f"{self._counted_perturbations()} perturbations, channels {', '.join(self.channels)}"
        )

    def _repr_html_(self) -> str:
        return html_of(self, "store")

    def ask(self, rows: np.ndarray) -> Asked:
        """Start reading cells; ``store.receive(asked)`` waits for them."""
        rows = np.asarray(rows)
        if rows.size and rows.dtype.kind not in "iu":
            raise IndexError(f"Rows are whole numbers, these are {rows.dtype}. A mask has its rows in np.flatnonzero.")
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"Rows {rows.min()} to {rows.max()} were asked for, the store has 0 to {len(self) - 1}.")
        return self._images.ask(rows)

    def receive(self, asked: Asked) -> np.ndarray:
        """(B, C, H, W) pixels of the cells asked for.

        Raises:
            StoreError: A shard is damaged, or cannot be fetched.
        """
        try:
            return asked.result()
        except (ValueError, OSError) as error:
            raise self._damaged(error) from None

    def read(self, rows: np.ndarray) -> np.ndarray:
        """(B, C, H, W) pixels of the cells in these rows, in this order."""
        return self.receive(self.ask(rows))

    def to_anndata(self, *, lazy: bool = True) -> AnnData:
        """Cells and crops as AnnData, ``obsm["single_cell_images"]`` (N, C, H, W); see ``export.to_anndata``."""
        from contrascope.store.export import to_anndata

        return to_anndata(self, lazy=lazy)

    def damage(self) -> list[str]:
        """Names of files whose bytes are not what was written; empty if the store is sound."""
        return damaged_at(self._place)

    def _counted_perturbations(self) -> str:
        """How many there are, as text; or that they cannot be counted, as a store has a text whatever became of it."""
        try:
            return f"{len(self.perturbations):,}"
        except StoreError as error:
            return f"unknown ({error})"

    def _assignments(self) -> pl.DataFrame:
        """Perturbation of each cell, and whether it is control: two columns of the cell table, which may be large."""
        return self._table("cells.parquet", [v.PERTURBATION, v.CONTROL])

    def _table(self, name: str, columns: list[str] | None = None) -> pl.DataFrame:
        try:
            table = self._place.table(name, columns)
        except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        if name == "cells.parquet" and table.height != len(self):
            raise self._damaged(f"{name} has {table.height} rows for {len(self)} cells")
        return table

    def _damaged(self, why: object) -> StoreError:
        return StoreError(
            f"The store {self._place} is damaged: {' '.join(str(why).split())[:300]}. Run `contrascope verify "
            f"{self._place}` to see which files, then {remedy(self._place)}."
        )


def _perturbations(cells: pl.DataFrame) -> list[str]:
    return cells.filter(~pl.col(v.CONTROL))[v.PERTURBATION].unique().sort().to_list()


def as_store(store: CropStore | str | Path) -> CropStore:
    """A store, or the one at a path or URL (``open_store``)."""
    return store if isinstance(store, CropStore) else open_store(store)


def open_store(path: str | Path) -> CropStore:
    """A finished crop store.

    Args:
        path: Its folder, or a URL that fsspec opens: ``s3://bucket/cells.zarr``, ``gs://``, ``https://``. The store is
            read where it lies, a few cells at a time. Credentials and servers are configured as fsspec and its clients
            are: ``AWS_PROFILE``, ``AWS_ENDPOINT_URL`` for storage that is not Amazon's, ``FSSPEC_S3_ANON=true``.

    Raises:
        StoreError: No store, or one that is unfinished, damaged or out of reach.
    """
    return CropStore(path)
