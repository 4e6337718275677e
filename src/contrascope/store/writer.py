"""Writing a store: shard by shard, in any number of sittings.

The folder says at every moment what it is. ``ingest.json`` names the inputs, ``journal.jsonl`` has a line
for each shard that is done; ``zarr.json`` comes last. Whoever is killed goes on where the journal ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contrascope.errors import StoreError
from contrascope.store.files import json_bytes, read_json, sha256, write_bytes, write_json, write_parquet
from contrascope.store.shards import array_metadata, cells_per_shard, shard_name, write_shard
from contrascope.store.store import FORMAT_VERSION, CropStore

_UNFINISHED, _JOURNAL = "ingest.json", "journal.jsonl"


@dataclass(frozen=True)
class StorePlan:
    """All that is known of a store before its images are.

    Attributes:
        facts: name, channels, pixel_size_um, account, fingerprint, provenance.
        cells: One row a stored cell, in the order of the images.
        dropped: One row a cell left out, with its reason.
        shape: (C, H, W) of a crop.
        dtype: Of the pixels.
    """

    facts: dict[str, Any]
    cells: pl.DataFrame
    dropped: pl.DataFrame
    shape: tuple[int, int, int]
    dtype: np.dtype

    @property
    def per_shard(self) -> int:
        """Cells in a shard."""
        return cells_per_shard(self.shape, self.dtype, self.cells.height)


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
            (path / _JOURNAL).unlink(missing_ok=True)
        write_json(path / _UNFINISHED, made_from)
        self._done = _finished_shards(path)

    def todo(self) -> Iterator[tuple[int, slice]]:
        """Shards that are not there yet, with the rows they hold."""
        for index in range(self.shards):
            if index not in self._done:
                start = index * self.plan.per_shard
                yield index, slice(start, min(start + self.plan.per_shard, self.plan.cells.height))

    @property
    def left(self) -> int:
        """Shards that are not there yet."""
        return self.shards - len(self._done)

    @property
    def shards(self) -> int:
        """Shards of the whole store."""
        return -(-self.plan.cells.height // self.plan.per_shard)

    def write(self, index: int, crops: np.ndarray) -> None:
        """Write a shard, and say so in the journal."""
        self.record(index, *write_shard(self.path, index, crops, self.plan.per_shard))

    def record(self, index: int, digest: str, size: int) -> None:
        """Say in the journal that a shard has been written."""
        line = {"shard": index, "sha256": digest, "bytes": size}
        with (self.path / _JOURNAL).open("a") as journal:
            journal.write(json.dumps(line) + "\n")
            journal.flush()
            os.fsync(journal.fileno())
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
        metadata = array_metadata(plan.cells.height, plan.shape, plan.dtype, plan.per_shard)
        write_json(self.path / "images" / "zarr.json", metadata)
        names = ["cells.parquet", "dropped.parquet", "tiles.parquet", "images/zarr.json"]
        sums = {name: sha256(self.path / name) for name in names}
        sums |= {shard_name(i): line["sha256"] for i, line in sorted(self._done.items())}
        facts = plan.facts | {
            "format": FORMAT_VERSION,
            "dtype": plan.dtype.name,
            "crop_size": plan.shape[1],
            "shard_cells": plan.per_shard,
        }
        group = json_bytes({"zarr_format": 3, "node_type": "group", "attributes": {"contrascope": facts}})
        sums["zarr.json"] = hashlib.sha256(group).hexdigest()
        write_json(self.path / "checksums.json", sums)
        write_bytes(self.path / "zarr.json", group)
        (self.path / _JOURNAL).unlink(missing_ok=True)
        (self.path / _UNFINISHED).unlink(missing_ok=True)
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
        store = CropStore(path)
        damaged = store.damage()
        if not damaged:
            return store
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
    if not (path / _UNFINISHED).is_file():
        write_json(path / _UNFINISHED, {"fingerprint": fingerprint})


def reopen(path: Path, damaged: list[str]) -> None:
    """Make a finished store unfinished again: sound shards stand in the journal, damaged files are gone."""
    facts = read_json(path / "zarr.json")["attributes"]["contrascope"]
    sums: dict[str, str] = read_json(path / "checksums.json")
    sound = [name for name in sums if name not in damaged and name.startswith("images/c/")]
    lines = [{"shard": int(name.split("/")[2]), "sha256": sums[name]} for name in sound]
    write_bytes(path / _JOURNAL, "".join(json.dumps(line) + "\n" for line in lines).encode())
    write_json(path / _UNFINISHED, {"fingerprint": facts["fingerprint"], "shard_cells": facts["shard_cells"]})
    for name in {*damaged, "zarr.json"}:
        (path / name).unlink(missing_ok=True)


def refuse_other_contents(path: Path, fingerprint: str) -> None:
    """Make sure a folder is free, or holds this very store, finished or not.

    Raises:
        StoreError: It holds something else.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
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
        if _fingerprint_there(path) is None:
            raise StoreError(f"{path} exists and is no store of ours, so it is not replaced. Choose another folder.")
        shutil.rmtree(path)


def _fingerprint_there(path: Path) -> str | None:
    if (path / "zarr.json").is_file():
        return (read_json(path / "zarr.json").get("attributes", {}).get("contrascope") or {}).get("fingerprint")
    if (path / _UNFINISHED).is_file():
        return read_json(path / _UNFINISHED).get("fingerprint")
    return None


def _finished_shards(path: Path) -> dict[int, dict[str, Any]]:
    """Journal lines of the shards that are there and sound; a line cut short by a crash does not count."""
    done: dict[int, dict[str, Any]] = {}
    if not (path / _JOURNAL).exists():
        return done
    for text in (path / _JOURNAL).read_text().splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        shard = path / shard_name(line["shard"])
        if shard.is_file() and sha256(shard) == line["sha256"]:
            done[line["shard"]] = line
    return done
