"""Speed of reading random batches of 4 x 100 x 100 uint16 cells, and the memory that reading takes.

    python perf/read.py [CELLS]             speed: a store, and LMDB one cell at a time
    python perf/read.py memory [CELLS ...]  peak memory while all cells are read, for stores of these sizes

The baseline is what is commonly written: an LMDB of raw crops, a key a cell, and a DataFrame of labels behind a
map-style dataset and a DataLoader with two worker processes. It stands there twice: giving float32, as datasets
for PyTorch do, and giving uint16 as the store does, which halves what its workers send. The readers take turns, so
that a machine at work on other things slows all of them; core-seconds tell more than cells/s then.

Memory is that of a process of its own that opens a store and reads every cell once in random order. Its cells have
4 x 16 x 16 pixels, for a million of them to fit on a laptop's disk; 10,000 and a million unless told.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import lmdb
import numpy as np
import pandas as pd
import polars as pl
import torch
from torch.utils.data import DataLoader, Dataset

import contrascope as cs
from contrascope.sampling.loader import batches

SHAPE, SMALL, BATCH, TURNS = (4, 100, 100), (4, 16, 16), 256, 5


class OneByOne(Dataset):
    """A crop at a time from LMDB, its label from a DataFrame."""

    def __init__(self, path: Path, labels: pd.DataFrame, dtype: type):
        self.path, self.labels, self.dtype, self.environment = str(path), labels, dtype, None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        if self.environment is None:
            self.environment = lmdb.open(self.path, readonly=True, lock=False, readahead=False)
        with self.environment.begin() as transaction:
            pixels = np.frombuffer(transaction.get(str(row).encode()), np.uint16).reshape(SHAPE)
        return torch.from_numpy(pixels.astype(self.dtype)), int(self.labels.iloc[row]["label"])


def speed(cells: int) -> None:
    """Read the same cells in the same random order from both, in turns."""
    with tempfile.TemporaryDirectory() as name:
        store, environment = written(Path(name), cells)
        order = np.random.default_rng(0).permutation(cells)
        labels = pd.DataFrame({"label": store.labels})

        def ours() -> Iterable[object]:
            return batches(store, [order[i : i + BATCH] for i in range(0, cells, BATCH)])

        def theirs(dtype: type) -> Iterable[object]:
            dataset = OneByOne(environment, labels, dtype)
            return DataLoader(dataset, batch_size=BATCH, sampler=order.tolist(), num_workers=2)

        readers = {
            "store, uint16": ours,
            "LMDB one by one, uint16": lambda: theirs(np.uint16),
            "LMDB one by one, float32": lambda: theirs(np.float32),
        }
        results = {reader: [] for reader in readers}
        for _ in range(TURNS):
            for reader, source in readers.items():
                results[reader].append(rate(source, cells))
    first = np.median(results["store, uint16"], axis=0)
    print(f"{cells:,} cells, medians of {TURNS} turns; beside them how many times the store's speed and work")
    for reader, turns in results.items():
        per_second, cost = np.median(turns, axis=0)
        print(
            f"  {reader:26s} {per_second:9,.0f} cells/s ({first[0] / per_second:5.1f})"
            f" {cost * 1e6:7.1f} core-microseconds a cell ({cost / first[1]:4.1f})"
        )


def written(folder: Path, cells: int) -> tuple[cs.CropStore, Path]:
    """The same crops as a store and as an LMDB."""
    images, rng = np.empty((cells, *SHAPE), np.uint16), np.random.default_rng(0)
    for some in np.array_split(images, -(-cells // 1_000)):  # drawn at once, they would be the peak of memory
        some[:] = rng.poisson(300, some.shape)
    store = cs.store_from_arrays(images, table(cells), folder / "cells.zarr", channels=list("ABCD"))
    environment = lmdb.open(str(folder / "lmdb"), map_size=2 * images.nbytes)
    with environment.begin(write=True) as transaction:
        for row, crop in enumerate(images):
            transaction.put(str(row).encode(), crop.tobytes())
    environment.close()
    return store, folder / "lmdb"


def table(cells: int) -> pl.DataFrame:
    """A cell table as wide as a screen's: names, positions and a measurement."""
    number = pl.int_range(cells, eager=True)
    return pl.DataFrame({"cell_id": number.cast(pl.String)}).with_columns(
        guide=pl.format("guide {}", number % 4000),
        perturbation=pl.format("GENE{}", number % 1000),
        control=number % 4 == 0,
        y=number * 0.5,
        x=number * 0.25,
        area=number % 997,
    )


def rate(source: Callable[[], Iterable[object]], cells: int) -> tuple[float, float]:
    """Cells a second, and core-seconds a cell of this process and of those it started."""
    began, cores = time.perf_counter(), core_seconds()
    for _ in source():
        pass
    seconds = time.perf_counter() - began
    return cells / seconds, (core_seconds() - cores) / cells


def core_seconds() -> float:
    """User and system time so far."""
    return sum(os.times()[:4])


def memory(sizes: list[int]) -> None:
    """Peak memory of reading stores of these sizes, each in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        for cells in sizes:
            path = Path(name) / f"{cells}.zarr"
            run("write", path, cells)
            run("scan", path)


def run(what: str, *arguments: object) -> None:
    """This script again, in a process of its own: what it held is gone when it ends."""
    subprocess.run([sys.executable, __file__, what, *map(str, arguments)], check=True)


def write(path: Path, cells: int) -> None:
    """A store of small crops; they lie in a file while they are stored, not in memory."""
    crops = path.with_suffix(".npy")
    images = np.lib.format.open_memmap(crops, "w+", np.uint16, (cells, *SMALL))
    rng = np.random.default_rng(0)
    for start in range(0, cells, 10_000):
        images[start : start + 10_000] = rng.poisson(300, images[start : start + 10_000].shape)
    cs.store_from_arrays(images, table(cells), path, channels=list("ABCD"))
    crops.unlink()


def scan(path: Path) -> None:
    """Read every cell once, at random, and say what memory it took beyond the open package."""
    store = cs.open_store(path)
    next(batches(store, [np.zeros(BATCH, int)]))
    idle = peak()
    order = np.random.default_rng(0).permutation(len(store))
    began = time.perf_counter()
    for _ in batches(store, (order[i : i + BATCH] for i in range(0, len(order), BATCH))):
        pass
    seconds = time.perf_counter() - began
    print(
        f"{len(store):9,} cells of {SMALL}: peak {peak():,.0f} MiB, {peak() - idle:,.0f} MiB more than after the "
        f"first batch, {24 * len(store) / 2**20:,.0f} MiB of them labels, order and places; "
        f"{len(store) / seconds:,.0f} cells/s"
    )


def peak() -> float:
    """Most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["memory", *sizes]:
            memory([int(size) for size in sizes] or [10_000, 1_000_000])
        case ["write", path, cells]:
            write(Path(path), int(cells))
        case ["scan", path]:
            scan(Path(path))
        case arguments:
            speed(int(arguments[0]) if arguments else 10_000)
