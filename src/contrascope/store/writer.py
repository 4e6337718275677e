"""Writing a store: shard by shard, in any number of sittings.

The folder says at every moment what it is. ``ingest.json`` names the inputs, ``journal.jsonl`` has a line
for each shard that is done; ``zarr.json`` comes last. Whoever is killed goes on where the journal ends.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contrascope.errors import StoreError
from contrascope.litter import is_litter
from contrascope.store.damage import damaged_files, is_sound
from contrascope.store.description import CHECKSUMS, FORMAT_VERSION, TABLES
from contrascope.store.files import (
    append_line,
    half_written,
    json_bytes,
    read_json,
    remove,
    sha256,
    write_bytes,
    write_json,
    write_parquet,
)
from contrascope.store.places import Folder
from contrascope.store.shards import array_metadata, cells_per_shard, shard_name, write_shard
from contrascope.store.store import CropStore

_UNFINISHED, _JOURNAL = "ingest.json", "journal.jsonl"


@dataclass(frozen=True)
class StorePlan:
    """All that is known of a store before its images are.

    Attributes:
        facts: name, channels, pixel_size_um, account, notes, fingerprint, provenance.
        cells: One row a stored cell, in the order of the images; lazy, for it may be what a filter leaves of a table
            that is in memory already.
        dropped: One row a cell left out, with its reason; lazy too.
        shape: (C, H, W) of a crop.
        dtype: Of the pixels.
    """

    facts: dict[str, Any]
    cells: pl.LazyFrame
    dropped: pl.LazyFrame
    shape: tuple[int, int, int]
    dtype: np.dtype

    @property
    def stored(self) -> int:
        """Cells in the store."""
        return int(self.facts["account"]["stored"])

    @property
    def per_shard(self) -> int:
        """Cells in a shard."""
        return cells_per_shard(self.shape, self.dtype, self.stored)


class StoreWriter:
    """Writes the store of a plan into a folder, skipping what a former sitting finished.

    Args:
        plan: What to write.
        path: The store's folder.

    Raises:
        StoreError: The folder holds something else, or a store made from other inputs.
    """

    def __init__(self, plan: StorePlan, path: Path):
        self.plan, self.path = plan, path
        begin(path, plan.facts["fingerprint"])
        made_from = {"fingerprint": plan.facts["fingerprint"], "shard_cells": plan.per_shard}
        if read_json(path / _UNFINISHED).get("shard_cells") not in (None, plan.per_shard):
            # Shards of another size, from another version of this package, are of no use.
            shutil.rmtree(path / "images", ignore_errors=True)
            remove(path / _JOURNAL)
        write_json(path / _UNFINISHED, made_from)
        self._done = _finished_shards(path)
        # Written anew: after a line that a crash cut short, the next one could not be read.
        _write_journal(path, self._done.values())

    def todo(self) -> Iterator[tuple[int, slice]]:
        """Shards that are not there yet, with the rows they hold."""
        for index in range(self.shards):
            if index not in self._done:
                start = index * self.plan.per_shard
                yield index, slice(start, min(start + self.plan.per_shard, self.plan.stored))

    @property
    def left(self) -> int:
        """Shards that are not there yet."""
        return self.shards - len(self._done)

    @property
    def shards(self) -> int:
        """Shards of the whole store."""
        return -(-self.plan.stored // self.plan.per_shard)

    def write(self, index: int, crops: np.ndarray) -> None:
        """Write a shard, and say so in the journal."""
        self.record(index, *write_shard(self.path, index, crops, self.plan.per_shard))

    def record(self, index: int, digest: str, size: int) -> None:
        """Say in the journal that a shard has been written."""
        line = {"shard": index, "sha256": digest, "bytes": size}
        append_line(self.path / _JOURNAL, json.dumps(line))
        self._done[index] = line

    def finish(self, tiles: pl.DataFrame) -> CropStore:
        """Write the tables, the checksums and, last, what makes the folder a store.

        Args:
            tiles: One row a tile, with what was measured on it.
        """
        assert not list(self.todo())
        plan = self.plan
        write_parquet(self.path / "cells.parquet", plan.cells)
        write_parquet(self.path / "dropped.parquet", plan.dropped)
        write_parquet(self.path / "tiles.parquet", tiles)
        metadata = array_metadata(plan.stored, plan.shape, plan.dtype, plan.per_shard)
        write_json(self.path / "images" / "zarr.json", metadata)
        sums = {name: sha256(self.path / name) for name in TABLES}
        sums |= {shard_name(i): line["sha256"] for i, line in sorted(self._done.items())}
        facts = plan.facts | {
            "format": FORMAT_VERSION,
            "dtype": plan.dtype.name,
            "crop_size": plan.shape[1],
            "shard_cells": plan.per_shard,
        }
        group = json_bytes({"zarr_format": 3, "node_type": "group", "attributes": {"contrascope": facts}})
        sums["zarr.json"] = hashlib.sha256(group).hexdigest()
        write_json(self.path / CHECKSUMS, sums)
        write_bytes(self.path / "zarr.json", group)
        _tidy(self.path)
        return CropStore(self.path)


def claim(path: Path, fingerprint: str) -> CropStore | None:
    """Make a folder ready for the store of this fingerprint.

    Returns:
        The store, if it is there, finished and sound. None if there is work to do: all of it, what a former
        sitting left, or the files whose checksums are wrong.

    Raises:
        StoreError: The folder holds something else, or cannot be made.
    """
    refuse_other_contents(path, fingerprint)
    if (path / "zarr.json").is_file():
        if not (damaged := damaged_files(path)):
            _tidy(path)
            return CropStore(path)
        reopen(path, damaged)
    begin(path, fingerprint)
    return None


def begin(path: Path, fingerprint: str) -> None:
    """Claim a folder for the store of this fingerprint, unless it is claimed already.

    Raises:
        StoreError: The folder holds something else, or cannot be made.
    """
    refuse_other_contents(path, fingerprint)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be made: {error.strerror}. Choose another folder.") from None
    if _fingerprint_there(path) != fingerprint:
        write_json(path / _UNFINISHED, {"fingerprint": fingerprint})


def reopen(path: Path, damaged: list[str]) -> None:
    """Make a finished store unfinished again: sound shards stand in the journal, damaged files are gone."""
    facts = read_json(path / "zarr.json")["attributes"]["contrascope"]
    # Without sound checksums no shard can be vouched for.
    sums: dict[str, str] = {} if CHECKSUMS in damaged else read_json(path / CHECKSUMS)
    sound = [name for name in sums if name not in damaged and name.startswith("images/c/")]
    _write_journal(path, ({"shard": int(name.split("/")[2]), "sha256": sums[name]} for name in sound))
    write_json(path / _UNFINISHED, {"fingerprint": facts["fingerprint"], "shard_cells": facts["shard_cells"]})
    # The description goes last: as long as it is there, whoever comes next looks for damage.
    for name in (*(name for name in damaged if name != "zarr.json"), "zarr.json"):
        remove(path / name)


def refuse_other_contents(path: Path, fingerprint: str) -> None:
    """Make sure a folder is free, or holds this very store, finished or not.

    Raises:
        StoreError: It holds something else.
    """
    if _is_free(path):
        return
    there = _fingerprint_there(path)
    if there is None:
        raise StoreError(f"{path} exists and is no store of ours. Choose another folder; nothing was written.")
    if there != fingerprint:
        raise StoreError(
            f"The store {path} was made from other inputs: it has fingerprint {there}, these make {fingerprint} (the "
            f"cell table, the tiles, the columns, the channels and the crop size count). Choose another folder, or "
            f"delete this one."
        )


def remove_store(path: Path) -> None:
    """Delete a store of ours, finished or not; anything else is left alone and refused."""
    if path.exists():
        if not _is_free(path) and _fingerprint_there(path) is None:
            raise StoreError(f"{path} exists and is no store of ours, so it is not replaced. Choose another folder.")
        # What tells that it is ours goes last: whoever is killed meanwhile can go on.
        for child in sorted(path.iterdir(), key=lambda child: child.name in (_UNFINISHED, "zarr.json")):
            shutil.rmtree(child) if child.is_dir() else remove(child)
        path.rmdir()


def _is_free(path: Path) -> bool:
    """Whether nothing is there but, at most, a claim of ours under which nothing has been done yet."""
    if not path.exists():
        return True
    if not path.is_dir():
        return False
    names = {file.name for file in path.iterdir() if not is_litter(file)}
    return not names or (names == {_UNFINISHED} and _fingerprint_there(path) is not None)


def _tidy(path: Path) -> None:
    """Delete what a finished store has no use for: the journal, the claim, what a crash left half-written."""
    for file in (*half_written(path), path / _JOURNAL, path / _UNFINISHED):
        remove(file)


def _fingerprint_there(path: Path) -> str | None:
    if (path / "zarr.json").is_file():
        return (read_json(path / "zarr.json").get("attributes", {}).get("contrascope") or {}).get("fingerprint")
    if (path / _UNFINISHED).is_file():
        return read_json(path / _UNFINISHED).get("fingerprint")
    return None


def _write_journal(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    write_bytes(path / _JOURNAL, "".join(json.dumps(line) + "\n" for line in lines).encode())


def _finished_shards(path: Path) -> dict[int, dict[str, Any]]:
    """Journal lines of the shards that are there and sound; a line cut short by a crash does not count."""
    if not (path / _JOURNAL).exists():
        return {}
    done: dict[int, dict[str, Any]] = {}
    for text in (path / _JOURNAL).read_bytes().splitlines():
        try:
            line = json.loads(text)
            index, digest = int(line["shard"]), line["sha256"]
        except (ValueError, KeyError, TypeError):
            continue
        if is_sound(Folder(path), shard_name(index), digest):
            done[index] = line
    return done
