"""A finished crop store, opened for reading.

Batches are asked for as arrays of row numbers and filled by threads (``images.py``), so one process is enough.
What is held in memory grows with the cells by their labels and their places in the files, eight bytes each; the
cell table is read when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from contrascope import vocabulary as v
from contrascope.errors import StoreError, first_few
from contrascope.progress import track
from contrascope.store.files import read_json, sha256
from contrascope.store.images import Asked, StoredImages
from contrascope.store.shards import shard_name

if TYPE_CHECKING:
    from anndata import AnnData

FORMAT_VERSION = 2
CHECKSUMS = "checksums.json"
TABLES = ("cells.parquet", "dropped.parquet", "tiles.parquet", "images/zarr.json")
"""Files that a store has besides its shards, its description and its checksums."""
_FACTS = {"name", "channels", "dtype", "pixel_size_um", "shard_cells", "account", "fingerprint", "provenance"}


@dataclass(frozen=True)
class Account:
    """Where every row of the cell table went.

    Attributes:
        rows: Cells in the table.
        stored: Cells in the store.
        dropped: Reason -> cells left out for it; ``rows == stored + sum(dropped.values())``.
    """

    rows: int
    stored: int
    dropped: dict[str, int]

    @property
    def adds_up(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows == self.stored + sum(self.dropped.values())

    def __str__(self) -> str:
        reasons = "".join(f", {n:,} dropped: {reason}" for reason, n in self.dropped.items())
        return f"{self.rows:,} cells in the table = {self.stored:,} stored{reasons}"


class CropStore:
    """Crops of N cells and their table.

    Args:
        path: A folder written by ``extract_crops`` or ``store_from_arrays``.

    Raises:
        StoreError: No store, an unfinished one, or one of a format we do not know.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._facts = _facts(self.path)
        try:
            self._images = StoredImages(self.path, self.dtype, self.shard_cells)
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from None
        if self._images.shape[0] != self.account.stored:
            raise self._damaged(f"{self._images.shape[0]} images for {self.account.stored} cells")

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
            return list(pl.read_parquet_schema(self.path / "cells.parquet"))
        except (pl.exceptions.PolarsError, OSError) as error:
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
            f"{len(self.perturbations):,} perturbations, channels {', '.join(self.channels)}"
        )

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
            StoreError: A shard is damaged.
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
        return damaged_files(self.path)

    def _assignments(self) -> pl.DataFrame:
        """Perturbation of each cell, and whether it is control: two columns of the cell table, which may be large."""
        return self._table("cells.parquet", [v.PERTURBATION, v.CONTROL])

    def _table(self, name: str, columns: list[str] | None = None) -> pl.DataFrame:
        try:
            table = pl.read_parquet(self.path / name, columns=columns, glob=False)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._damaged(error) from None
        if name == "cells.parquet" and table.height != len(self):
            raise self._damaged(f"{name} has {table.height} rows for {len(self)} cells")
        return table

    def _damaged(self, why: object) -> StoreError:
        return StoreError(
            f"The store {self.path} is damaged: {' '.join(str(why).split())[:300]}. Run `contrascope verify "
            f"{self.path}` to see which files, then delete them or the store and extract the crops again."
        )


def _perturbations(cells: pl.DataFrame) -> list[str]:
    return cells.filter(~pl.col(v.CONTROL))[v.PERTURBATION].unique().sort().to_list()


def open_store(path: str | Path) -> CropStore:
    """A finished crop store."""
    return CropStore(path)


def _facts(path: Path) -> dict[str, Any]:
    if not (path / "zarr.json").is_file():
        what = "its extraction was not finished" if (path / "ingest.json").exists() else "there is no store"
        raise StoreError(f"{path} cannot be opened: {what}. Run `contrascope ingest SCREEN.yaml --out {path}`.")
    facts = read_json(path / "zarr.json").get("attributes", {}).get("contrascope")
    if not facts:
        raise StoreError(f"{path} is a Zarr group, but no store of contrascope. Give the path of a store.")
    if facts.get("format") != FORMAT_VERSION:
        raise StoreError(
            f"{path} has store format {facts.get('format')}, this version reads {FORMAT_VERSION}. "
            f"Extract the crops again."
        )
    if lacking := _FACTS - facts.keys():
        raise StoreError(f"{path / 'zarr.json'} is damaged: it lacks {first_few(sorted(lacking))}. Extract again.")
    account = facts["account"]
    if set(account) != {"rows", "stored", "dropped"} or not Account(**account).adds_up or facts["shard_cells"] < 1:
        raise StoreError(f"{path / 'zarr.json'} is damaged: its account does not add up: {account}. Extract again.")
    return facts


def damaged_files(path: Path) -> list[str]:
    """Names of a finished store's files whose bytes are not what was written.

    Raises:
        StoreError: No finished store, or its description cannot be read.
    """
    facts = _facts(path)
    shards = -(-facts["account"]["stored"] // facts["shard_cells"])
    names = {*TABLES, "zarr.json", *(shard_name(index) for index in range(shards))}
    try:
        sums = read_json(path / CHECKSUMS)
    except StoreError:
        return [CHECKSUMS]
    # A name that is lacking would be a file that nobody checks; how many there must be, a sound description says.
    described = isinstance(sums, dict) and is_sound(path / "zarr.json", sums.get("zarr.json", ""))
    if not isinstance(sums, dict) or (described and sums.keys() != names):
        return [CHECKSUMS]
    files = track(sums.items(), "Checking files", len(sums))
    return [name for name, digest in files if not is_sound(path / name, digest)]


def is_sound(path: Path, digest: str) -> bool:
    """Whether a file is there, can be read and has this SHA-256."""
    try:
        return sha256(path) == digest
    except OSError:
        return False


def damage_report(path: Path) -> None:
    """Check every checksum of a finished store.

    Raises:
        StoreError: Files are damaged or missing; the message names them.
    """
    if damaged := damaged_files(path):
        raise StoreError(
            f"{len(damaged):,} files of the store {path} are not what was written: {first_few(damaged)}. Run the same "
            f"ingest again, which makes them anew, or delete the store and extract the crops again."
        )
