"""Cells a block at a time, from memory or from a file that memory would not hold.

A block is the labels of B cells and their spaces (B, F). Of a file only the label columns are read whole, at a few
bytes a cell; the spaces stay where they are. The next block is read while the last is at work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import anndata as ad
import h5py  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from contrascope.addresses import local_path
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import ROWS_AT_ONCE, SUMS, spaces_of
from contrascope.tables import read_anndata
from contrascope.vocabulary import BATCH, CONTROL, GUIDE, PERTURBATION

Block = tuple[pd.DataFrame, Mapping[str, Any]]
Cells: TypeAlias = ad.AnnData | str | Path
"""Cells in memory (their spaces may still lie on disk), or a .h5ad or .zarr of them; or their sums, likewise."""
_OURS = "contrascope"
_WIDE = 128
"""Features of a block of ``ROWS_AT_ONCE`` cells, which are 64 MiB in float64."""


@dataclass(frozen=True)
class OpenedCells:
    """Cells whose spaces are read as they are asked for.

    Attributes:
        labels: (N,) guide, perturbation, control and batch, as far as they are there.
        spaces: Key of ``obsm`` -> what rows (N, F) can be sliced from.
        facts: What stands under ``uns["contrascope"]``.
    """

    labels: pd.DataFrame
    spaces: Mapping[str, Any]
    facts: Mapping[str, Any]

    def blocks(self) -> Iterator[Block]:
        """All cells in order."""
        step = rows_at_once(self.spaces.values())
        blocks = [slice(start, start + step) for start in range(0, len(self.labels), step)]
        with ThreadPoolExecutor(1) as reader:
            reading = [reader.submit(self._read, rows) for rows in blocks[:1]]
            for i, rows in enumerate(blocks):
                spaces = reading.pop().result()
                reading += [reader.submit(self._read, following) for following in blocks[i + 1 : i + 2]]
                yield self.labels.iloc[rows], spaces

    def _read(self, rows: slice) -> dict[str, Any]:
        return {name: matrix[rows] for name, matrix in self.spaces.items()}


@contextmanager
def opened(cells: Cells, *, batch: str | None = BATCH) -> Iterator[OpenedCells]:
    """Cells to be read a block at a time.

    Args:
        cells: N cells, in memory or in a file.
        batch: The column that is ``batch`` in the labels; None leaves it out.

    Raises:
        BenchmarkError: No such file, or it is no AnnData.
    """
    if isinstance(cells, ad.AnnData):
        spaces = {name: cells.obsm[name] for name in spaces_of(cells.obsm)}
        yield OpenedCells(_labels(cells.obs.columns, cells.obs.__getitem__, batch), spaces, cells.uns.get(_OURS, {}))
        return
    path = local_path(cells)
    if not path.exists():
        raise BenchmarkError(f"There is no {path}. An AnnData file (.h5ad or .zarr) was needed.")
    with ExitStack() as files:
        yield _of_file(path, lambda: _file(path, files), batch)


def observations_of(cells: Cells) -> pd.DataFrame:
    """The table ``obs`` of cells in memory or in a file, whole; the spaces are not read.

    Raises:
        BenchmarkError: No such file, or it is no AnnData.
    """
    if isinstance(cells, ad.AnnData):
        return cells.obs
    with opened(cells), ExitStack() as files:  # opened says what is wrong with the file
        return pd.DataFrame(ad.io.read_elem(_file(local_path(cells), files)["obs"]))


def sums_or_cells(cells: Cells) -> Cells:
    """Sums in a file are read, for they are small; cells stay as they are."""
    if isinstance(cells, ad.AnnData):
        return cells
    with opened(cells, batch=None) as found:
        return read_anndata(cells) if found.facts.get("holds") == SUMS else cells


def _file(path: Path, files: ExitStack) -> Any:
    return zarr.open_group(path, mode="r") if path.suffix == ".zarr" else files.enter_context(h5py.File(path))


def _of_file(path: Path, open_file: Callable[[], Any], batch: str | None) -> OpenedCells:
    try:
        file = open_file()
        columns = [str(name) for name in file["obs"].attrs["column-order"]]
        labels = _labels(columns, lambda name: pd.Series(ad.io.read_elem(file["obs"][name])), batch)
        spaces = {name: _matrix(file["obsm"][name]) for name in spaces_of(file["obsm"])}
        facts = ad.io.read_elem(file["uns"][_OURS]) if "uns" in file and _OURS in file["uns"] else {}
    except BenchmarkError:
        raise
    except Exception as error:  # h5py, zarr and anndata each have errors of their own
        raise BenchmarkError(
            f"{path} cannot be read as AnnData: {' '.join(str(error).split())}. A .h5ad or .zarr was needed."
        ) from None
    return OpenedCells(labels, spaces, facts)


def _labels(columns: Iterable[str], column: Callable[[str], pd.Series], batch: str | None) -> pd.DataFrame:
    if batch not in (None, BATCH) and batch not in columns:
        raise BenchmarkError(f"The cells have no '{batch}' in obs; it has {first_few(columns, 8)}.")
    wanted = {GUIDE: GUIDE, PERTURBATION: PERTURBATION, CONTROL: CONTROL} | ({batch: BATCH} if batch else {})
    found = {ours: column(theirs).reset_index(drop=True) for theirs, ours in wanted.items() if theirs in columns}
    return pd.DataFrame(found)


class StoredTable:
    """A data frame of numbers on disk, whose rows are read as they are asked for.

    Args:
        columns: Name -> the column on disk, (N,).
    """

    def __init__(self, columns: Mapping[str, Any]):
        self._stored = list(columns.values())
        self.columns = list(columns)
        self.shape = (int(self._stored[0].shape[0]), len(self._stored))

    def __getitem__(self, rows: slice) -> NDArray[np.float64]:
        """(B, F) float64."""
        start, stop, _ = rows.indices(self.shape[0])
        values = np.empty((stop - start, self.shape[1]))
        for i, column in enumerate(self._stored):
            values[:, i] = column[rows]
        return values


def _matrix(stored: Any) -> Any:
    """What a space can be sliced from: arrays and tables on disk; sparse matrices are read whole."""
    if isinstance(stored, (h5py.Dataset, zarr.Array)):
        return stored
    if stored.attrs.get("encoding-type") == "dataframe":
        columns = {str(name): stored[name] for name in stored.attrs["column-order"]}
        if columns and all(
            isinstance(c, (h5py.Dataset, zarr.Array)) and c.dtype.kind in "iuf" for c in columns.values()
        ):
            return StoredTable(columns)
    return ad.io.read_elem(stored)


def rows_at_once(matrices: Iterable[Any]) -> int:
    """Rows of a block: whole chunks of what is on disk, for a chunk is decoded as a whole; fewer of wide spaces."""
    spaces = list(matrices)
    chunks = [matrix.chunks[0] for matrix in spaces if isinstance(matrix, zarr.Array)]
    longest = max(chunks, default=1)
    width = max(sum(matrix.shape[1] for matrix in spaces), _WIDE)
    return longest * max(1, ROWS_AT_ONCE * _WIDE // width // longest)
