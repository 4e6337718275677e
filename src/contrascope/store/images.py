"""The images of a store, read at random: each cell one read of a part of a file, one checksum, one decompression.

A shard is cells one after another, each compressed by itself, and at its end an index of where they lie. An index
is read once and kept, in eight bytes a cell; nothing else is. A cell is decompressed where it will stay, in the
batch, by threads that share a batch among them; memory of batches that are gone is used again. Any reader of
Zarr finds the same pixels, TensorStore at more than twice the work: it looks the index up for each batch, and
decompresses into memory of its own.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import NamedTuple

import google_crc32c
import numpy as np
from imagecodecs import blosc_decode

from contrascope.cores import cores
from contrascope.store.files import json_of
from contrascope.store.memory import Memory
from contrascope.store.places import Place, Wanted
from contrascope.store.shards import array_metadata, shard_name

_METADATA = "images/zarr.json"
_CELLS_A_TASK = 64
_CHECKSUM = 4
"""Bytes of a CRC-32C."""
_SOUND = 0x48674BC7
"""CRC-32C of any bytes with their own CRC-32C behind them: so a cell need not be copied to leave its checksum out."""
_PLACE = np.dtype("<u8")
"""An index has two for each cell: its first byte, and how many it has."""
_NOWHERE = np.iinfo(_PLACE).max
"""Stands twice for a cell that the shard does not have."""
_UNPACKED = slice(4, 8)
"""Where blosc's header says how many bytes come out."""


class Asked(NamedTuple):
    """Cells on their way.

    Attributes:
        images: (B, C, H, W), whole once all of ``tasks`` are done.
        tasks: Each fills a part of the images.
    """

    images: np.ndarray
    tasks: list[Future[None]]

    def result(self) -> np.ndarray:
        """The images, waited for.

        Raises:
            ValueError, OSError: A shard is damaged or missing.
        """
        for task in self.tasks:
            task.result()
        return self.images


class StoredImages:
    """Images of N cells.

    Args:
        place: Where the store lies.
        dtype: Of the pixels.
        per_shard: Cells in a shard.

    Raises:
        ValueError: The metadata are not those of our format.
        StoreError: The metadata are no JSON.
    """

    def __init__(self, place: Place, dtype: np.dtype, per_shard: int):
        self._place, self.dtype, self._per_shard = place, dtype, per_shard
        metadata = json_of(f"{place}/{_METADATA}", lambda: place.read(_METADATA))
        try:
            N, C, H, W = self.shape = tuple(metadata["shape"])
        except (KeyError, TypeError, ValueError):
            raise ValueError("images/zarr.json has no shape (N, C, H, W)") from None
        if metadata != array_metadata(N, (C, H, W), dtype, per_shard):
            raise ValueError(f"images/zarr.json does not describe crops in {dtype} with {per_shard} cells a shard")
        self._indices: dict[int, np.ndarray] = {}
        self._memory = Memory()

    def ask(self, rows: np.ndarray) -> Asked:
        """Start reading the cells of these rows, all of them less than N."""
        images = self._memory.empty((len(rows), *self.shape[1:]), self.dtype)
        order = np.argsort(rows, kind="stable")
        parts = [order[at : at + _CELLS_A_TASK] for at in range(0, len(order), _CELLS_A_TASK)]
        return Asked(images, [_threads().submit(self._fill, images, rows, part) for part in parts])

    def _fill(self, images: np.ndarray, rows: np.ndarray, part: np.ndarray) -> None:
        """Read cells into their places; ``part`` (B,) says which, in the order of their rows."""
        mine, pixels, size = rows[part], images.data.cast("B"), images[0].nbytes
        cells = self._place.pieces(self._places(mine))
        for place, row, cell in zip(part.tolist(), mine.tolist(), cells, strict=True):
            if not _is_sound(cell):
                raise _unsound(f"cell {row} in {shard_name(row // self._per_shard)}")
            _decompress(cell, pixels[place * size : (place + 1) * size])

    def _places(self, rows: np.ndarray) -> list[Wanted]:
        """Where cells lie, in the order of these sorted rows."""
        shards = rows // self._per_shard
        parts = np.split(rows, np.flatnonzero(np.diff(shards)) + 1)
        numbers = [int(part[0] // self._per_shard) for part in parts]
        self._learn([shard for shard in numbers if shard not in self._indices])
        return [
            (shard_name(shard), self._indices[shard][part % self._per_shard].tolist())
            for shard, part in zip(numbers, parts, strict=True)
        ]

    def _learn(self, shards: list[int]) -> None:
        """Read the indices of these shards, unless another thread does so meanwhile."""
        if not shards:
            return
        with _turn():
            shards = [shard for shard in shards if shard not in self._indices]
            size = 2 * _PLACE.itemsize * self._per_shard + _CHECKSUM
            tails = self._place.tails([shard_name(shard) for shard in shards], size)
            for shard, tail in zip(shards, tails, strict=True):
                if not _is_sound(tail):
                    raise _unsound(f"the index of {shard_name(shard)}")
                self._indices[shard] = _index(tail[:-_CHECKSUM])


def _index(data: bytes) -> np.ndarray:
    """(cells, 2) uint32 first byte and number of bytes of each cell; a cell that is not there has none."""
    places = np.frombuffer(data, _PLACE).reshape(-1, 2)
    return np.where(places == _NOWHERE, 0, places).astype(np.uint32)


def _decompress(cell: bytes, pixels: memoryview) -> None:
    """Into its place; what lies behind the compressed pixels is not looked at."""
    size = int.from_bytes(cell[_UNPACKED], "little")
    if size != len(pixels):
        raise ValueError(f"a cell has {size} bytes of pixels where {len(pixels)} were needed")
    blosc_decode(cell, numthreads=1, out=pixels)


def _is_sound(data: bytes) -> bool:
    """Whether these bytes are there, and the checksum that closes them is right."""
    return len(data) > _CHECKSUM and google_crc32c.value(data) == _SOUND


def _unsound(what: str) -> ValueError:
    return ValueError(f"{what} is not there, or its checksum is wrong")


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads of this process for all its stores; more than cores, or many, only wait for each other in Python."""
    return ThreadPoolExecutor(min(max(2, cores()), 8), thread_name_prefix="contrascope-read")


@cache
def _turn() -> Lock:
    """Held by the thread that reads indices: two that need the same one shall not read it twice."""
    return Lock()


if hasattr(os, "register_at_fork"):
    # A forked process has none of its parent's threads, and nobody to give back the turn.
    os.register_at_fork(after_in_child=_threads.cache_clear)
    os.register_at_fork(after_in_child=_turn.cache_clear)
