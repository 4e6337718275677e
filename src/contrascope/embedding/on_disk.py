"""Embedded cells as a Zarr AnnData, filled chunk by chunk in any number of sittings and by any number of processes.

    cells.zarr/
      embedding.json   what it is made from, until it is finished
      obs/ obsm/ ...   AnnData's layout, Zarr v3; every array of a row a cell is cut into the same chunks of rows
      zarr.json        last: until it is there nobody takes the folder for an AnnData

A chunk is encoded in memory and moved into place as a whole file, and is a pure function of run and store. So a
chunk is done when its files are there, and no record is kept that could contradict them.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import zarr
from zarr.storage import MemoryStore

from contrascope import vocabulary as v
from contrascope.embedding.observations import Column, Observations, restored
from contrascope.errors import RunError
from contrascope.litter import is_bare
from contrascope.store.files import half_written, read_json, remove, write_bytes, write_json
from contrascope.tables import is_anndata

_UNFINISHED, _ROOT = "embedding.json", "zarr.json"
_LARGEST, _SMALLEST, _CHUNKS = 2**16, 2**10, 16
"""Cells in a chunk, at most and at least, and chunks of a store that lies between: little is lost by a kill."""


def cells_per_chunk(cells: int) -> int:
    """Rows in a chunk of so many cells; full batches of any size that we use."""
    wanted = -(-cells // (_CHUNKS * _SMALLEST)) * _SMALLEST
    return min(max(wanted, _SMALLEST), _LARGEST)


@dataclass(frozen=True)
class Plan:
    """All that is known of the file before a cell is embedded.

    Attributes:
        cells: N.
        sizes: Name of each matrix in ``obsm`` -> its columns.
        error: Whether ``obs`` has the reconstruction error.
        facts: What stands under ``uns["contrascope"]``.
        fingerprint: Changes with anything the file is made from.
    """

    cells: int
    sizes: dict[str, int]
    error: bool
    facts: dict[str, Any]
    fingerprint: str

    @property
    def per_chunk(self) -> int:
        """Rows in a chunk."""
        return cells_per_chunk(self.cells)

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.cells // self.per_chunk)

    def rows(self, chunk: int) -> range:
        """The rows of a chunk."""
        return range(chunk * self.per_chunk, min((chunk + 1) * self.per_chunk, self.cells))


class CellsOnDisk:
    """The folder of a plan, being filled.

    Args:
        path: The folder, claimed by ``claim``.
        plan: What it will hold.
        observations: The cell table.
    """

    def __init__(self, path: Path, plan: Plan, observations: Observations):
        self.path, self.plan, self.observations = path, plan, observations
        self._held: dict[str, Any] = {}
        self._arrays = _described(self._held, plan, observations.columns)
        self._description = {name: held.to_bytes() for name, held in self._held.items()}

    def describe(self) -> None:
        """Write all but what makes the folder an AnnData."""
        for name, data in self._description.items():
            if name != _ROOT:
                write_bytes(self.path / name, data)

    def todo(self) -> list[int]:
        """Chunks of which a file is missing."""
        return [i for i in range(self.plan.chunks) if not all(path.is_file() for path in self._files(i))]

    def write(self, chunk: int, values: dict[str, np.ndarray]) -> None:
        """Write a chunk.

        Args:
            chunk: Its number.
            values: Each matrix (B, F), and the error (B,), of its rows.
        """
        rows = self.plan.rows(chunk)
        table = self.observations.rows(rows.start, rows.stop)
        if self.plan.error:
            table[v.RECONSTRUCTION_ERROR] = values.pop(v.RECONSTRUCTION_ERROR)
        for name, array in self._arrays.items():
            group, _, rest = name.partition("/")
            array[rows.start : rows.stop] = (table if group == "obs" else values)[rest.removesuffix("/codes")]
            key = _chunk_key(array, name, chunk)
            write_bytes(self.path / key, self._held.pop(key).to_bytes())

    def blocks(self) -> Iterator[tuple[pd.DataFrame, dict[str, np.ndarray]]]:
        """Labels and matrices of the cells of each finished chunk, in order."""
        columns = {column.name: column for column in self.observations.columns}
        labels = {name: columns[name] for name in (v.GUIDE, v.BATCH, v.PERTURBATION, v.CONTROL) if name in columns}
        arrays: dict[str, Any] = {name: zarr.open_array(self.path / name, mode="r") for name in self._arrays}
        where = {name: f"obs/{name}" + ("" if labels[name].categories is None else "/codes") for name in labels}
        for chunk in range(self.plan.chunks):
            rows = slice(self.plan.rows(chunk).start, self.plan.rows(chunk).stop)
            table = {name: restored(arrays[path][rows], labels[name]) for name, path in where.items()}
            yield pd.DataFrame(table), {name: arrays[f"obsm/{name}"][rows] for name in self.plan.sizes}

    def finish(self) -> None:
        """Make the folder an AnnData."""
        assert not self.todo()
        write_bytes(self.path / _ROOT, self._description[_ROOT])
        tidy(self.path)

    def _files(self, chunk: int) -> Iterator[Path]:
        for name, array in self._arrays.items():
            yield self.path / _chunk_key(array, name, chunk)


def claim(path: Path, fingerprint: str, *, computed_in: str) -> bool:
    """Make a folder ready for the cells of this fingerprint.

    Args:
        path: The folder.
        fingerprint: Of all that the cells are made from.
        computed_in: How this machine computes, ``bf16`` or ``fp32``; chunks of both are not for one folder.

    Returns:
        Whether there is work to do; False if they are all there.

    Raises:
        RunError: The folder holds something else, or cannot be made.
    """
    if path.suffix != ".zarr":
        raise RunError(f"{path} cannot be filled cell by cell. Name it .zarr, or embed without out and write that.")
    there = _fingerprint_there(path)
    if there is None and path.exists() and not is_bare(path):
        raise RunError(f"{path} exists and holds no embedding of ours. Choose another folder; nothing was written.")
    if there not in (None, fingerprint):
        raise RunError(
            f"{path} holds cells embedded from other inputs: it has fingerprint {there}, these make {fingerprint} (the "
            f"run, the store and the options count). Choose another folder, or delete this one."
        )
    if is_filled(path):
        return False
    begun_in = read_json(path / _UNFINISHED).get("computed_in") if there is not None else None
    if begun_in not in (None, computed_in):
        raise RunError(
            f"{path} was begun on a machine that computes in {begun_in}, this one does so in {computed_in}: its cells "
            f"would be rounded in two ways. Go on with it on a machine like that one, or delete it to start again."
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be made: {error.strerror}. Choose another folder.") from None
    write_json(path / _UNFINISHED, {"fingerprint": fingerprint, "computed_in": computed_in})
    return True


def is_filled(path: Path) -> bool:
    """Whether all cells are there."""
    return (path / _ROOT).is_file()


def tidy(path: Path) -> None:
    """Delete what a finished folder has no use for: the claim, and what a crash left half-written."""
    for file in (*half_written(path), path / _UNFINISHED):
        remove(file)


def remove_cells(path: Path) -> None:
    """Delete embedded cells of ours, finished or not; anything else is left alone."""
    if _fingerprint_there(path) is not None:
        # What tells that they are ours goes last: whoever is killed meanwhile can go on.
        for child in sorted(path.iterdir(), key=lambda child: child.name in (_UNFINISHED, _ROOT)):
            shutil.rmtree(child) if child.is_dir() else remove(child)
        path.rmdir()


def _fingerprint_there(path: Path) -> str | None:
    if (path / _ROOT).is_file():
        if not is_anndata(path):  # a crop store has a fingerprint as well
            return None
        return (read_json(path / _ROOT).get("attributes", {}).get("contrascope") or {}).get("fingerprint")
    return read_json(path / _UNFINISHED).get("fingerprint") if (path / _UNFINISHED).is_file() else None


def _chunk_key(array: Any, name: str, chunk: int) -> str:
    return f"{name}/c/{chunk}" + "/0" * (array.ndim - 1)


def _described(held: dict[str, Any], plan: Plan, columns: list[Column]) -> dict[str, Any]:
    """Put the file as AnnData lays it out into memory, its arrays empty; gives those with a row a cell, by path."""
    with warnings.catch_warnings():
        # On plans of zarr and anndata, and that other readers may not know where all metadata stand together.
        warnings.simplefilter("ignore")
        attributes = _kind("anndata", "0.1.0") | {"contrascope": {"fingerprint": plan.fingerprint}}
        root = zarr.create_group(MemoryStore(held), attributes=attributes, zarr_format=3)
        arrays = _describe_obs(root, plan, columns)
        ad.io.write_elem(root, "var", pd.DataFrame(index=pd.Index([], dtype=object)))
        ad.io.write_elem(root, "uns", {"contrascope": plan.facts})
        for name in ("layers", "varm", "obsp", "varp"):
            ad.io.write_elem(root, name, {})
        root.create_group("obsm", attributes=_kind("dict", "0.1.0"))
        for name, size in plan.sizes.items():
            path, shape = f"obsm/{name}", (plan.cells, size)
            arrays[path] = _declare(root, path, shape, np.dtype(np.float32), plan.per_chunk)
        zarr.consolidate_metadata(root.store)
    return arrays


def _describe_obs(root: Any, plan: Plan, columns: list[Column]) -> dict[str, Any]:
    if plan.error:
        columns = [*columns, Column(v.RECONSTRUCTION_ERROR, np.dtype(np.float32))]
    order = {"_index": "_index", "column-order": [column.name for column in columns]}
    root.create_group("obs", attributes=_kind("dataframe", "0.2.0") | order)
    arrays = {}
    for column in (Column("_index", np.dtype(object)), *columns):
        path = f"obs/{column.name}"
        if column.categories is not None:
            root.create_group(path, attributes=_kind("categorical", "0.2.0") | {"ordered": False})
            ad.io.write_elem(root[path], "categories", column.categories)
            path += "/codes"
        arrays[path] = _declare(root, path, (plan.cells,), column.dtype, plan.per_chunk)
    return arrays


def _declare(root: Any, path: str, shape: tuple[int, ...], dtype: np.dtype, per_chunk: int) -> Any:
    text = dtype.kind == "O"
    return root.create_array(
        path,
        shape=shape,
        chunks=(min(per_chunk, shape[0]), *shape[1:]),
        dtype=str if text else dtype,
        fill_value="" if text else dtype.type(0),
        attributes=_kind("string-array" if text else "array", "0.2.0"),
        # A chunk of nothing but zeros is a file too: the file says that the chunk is done.
        config={"write_empty_chunks": True},
    )


def _kind(name: str, version: str) -> dict[str, Any]:
    return {"encoding-type": name, "encoding-version": version}
