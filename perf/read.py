"""Speed of reading random batches of 4 x 100 x 100 uint16 cells: a store, and LMDB one cell at a time.

    python perf/read.py [CELLS]

The baseline is what is commonly written: an LMDB of raw crops and a DataFrame of labels behind a
map-style dataset and a DataLoader with two worker processes. Prints cells/s of both and their ratio, and
this process's peak memory.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import lmdb
import numpy as np
import pandas as pd
import polars as pl
import torch
from torch.utils.data import DataLoader, Dataset

import contrascope as cs
from contrascope.sampling.loader import batches

SHAPE, BATCH = (4, 100, 100), 256


class OneByOne(Dataset):
    """A crop at a time from LMDB, its label from a DataFrame."""

    def __init__(self, path: str, labels: pd.DataFrame):
        self.path, self.labels, self.environment = path, labels, None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        if self.environment is None:
            self.environment = lmdb.open(self.path, readonly=True, lock=False, readahead=False)
        with self.environment.begin() as transaction:
            pixels = np.frombuffer(transaction.get(str(row).encode()), np.uint16).reshape(SHAPE)
        return torch.from_numpy(pixels.astype(np.float32)), int(self.labels.iloc[row]["label"])


def main() -> None:
    """Read the same cells in the same random order from both."""
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rng = np.random.default_rng(0)
    images = rng.poisson(300, (cells, *SHAPE)).astype(np.uint16)
    table = pl.DataFrame({"guide": ["g"] * cells, "perturbation": ["A"] * cells, "control": np.arange(cells) % 2 == 0})
    with tempfile.TemporaryDirectory() as name:
        store = cs.store_from_arrays(images, table, Path(name) / "cells.zarr", channels=list("ABCD"))
        environment = lmdb.open(f"{name}/lmdb", map_size=4 * images.nbytes)
        with environment.begin(write=True) as transaction:
            for row, crop in enumerate(images):
                transaction.put(str(row).encode(), crop.tobytes())
        environment.close()
        del images
        order = rng.permutation(cells)
        ours = rate(batches(store, [order[i : i + BATCH] for i in range(0, cells, BATCH)]), cells)
        dataset = OneByOne(f"{name}/lmdb", pd.DataFrame({"label": store.labels}))
        loader = DataLoader(dataset, batch_size=BATCH, sampler=order.tolist(), num_workers=2)
        theirs = rate(loader, cells)
    print(f"store: {ours:,.0f} cells/s; LMDB one by one: {theirs:,.0f} cells/s; ratio {ours / theirs:.1f}")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def rate(source: object, cells: int) -> float:
    """Cells a second of an iterable of batches."""
    began = time.perf_counter()
    for _ in source:  # type: ignore[attr-defined]
        pass
    return cells / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
