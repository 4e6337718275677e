"""Peak memory of training, for stores of growing size: it should not grow with the cells.

    python perf/memory.py [CELLS ...]     10,000 and 1,000,000 unless told

Each store has cells of 4 x 16 x 16 pixels, for a million of them to fit on a laptop's disk, and each training is one
epoch in batches of 512, in a process of its own. Printed are the peak, and what the process had before it trained,
with the package loaded and the store open. What has to grow are labels, parts, places in the files and the order of an
epoch: about 40 bytes a cell.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from read import peak, run

import contrascope as cs


def main(sizes: list[int]) -> None:
    """Write a store of each size and train on it, each in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        for cells in sizes:
            path = Path(name) / f"{cells}.zarr"
            run("write", path, cells)
            subprocess.run([sys.executable, __file__, "train", str(path)], check=True)


def train(path: Path) -> None:
    """One epoch."""
    store = cs.open_store(path)
    store.read(store.labels[:1])
    idle = peak()
    settings = {"image_size": 16, "batch_size": 512, "epochs": 1, "validations_per_epoch": 1}
    outcome = cs.fit(store, out=path.with_suffix(".run"), **settings).facts["outcome"]
    print(
        f"{len(store):9,} cells: peak {peak():,.0f} MiB, {peak() - idle:,.0f} MiB more than before training; "
        f"{outcome['steps']:,} steps, {outcome['cells_per_second']:,.0f} cells/s"
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["train", path]:
            train(Path(path))
        case sizes:
            main([int(size) for size in sizes] or [10_000, 1_000_000])
