"""Cells embedded a second: contrascope, and the same encoders as they are commonly applied, side by side.

    python perf/embed.py [CELLS]     8,000 cells of 4 x 100 x 100 uint16 unless told, resized to 64 x 64

The baseline reads one cell at a time from an LMDB behind a DataLoader with two worker processes, resizes batch by
batch, and encodes in float32 with channels before rows. Both take turns, and must give the same embedding but for
rounding.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from read import OneByOne, written
from torch.utils.data import DataLoader

import contrascope as cs
from contrascope.training.run import Run

TURNS, BATCH = 3, 512


def ours(store: cs.CropStore, run: Run) -> tuple[float, np.ndarray]:
    """Seconds, and (N, S) salient means."""
    began = time.perf_counter()
    cells = cs.embed(store, run, baselines=False)
    return time.perf_counter() - began, cells.obsm["salient"]


def plainly(store: cs.CropStore, environment: Path, run: Run) -> tuple[float, np.ndarray]:
    """The same of the baseline; it does both spaces, as contrascope does."""
    model = run.untrained(seed=0)
    model.load_state_dict(run.model.state_dict())
    model.to(memory_format=torch.contiguous_format).eval()
    dataset = OneByOne(environment, pd.DataFrame({"label": store.labels}), np.float32)
    began, found = time.perf_counter(), []
    with torch.no_grad():
        for images, _ in DataLoader(dataset, batch_size=BATCH, num_workers=2):
            x = run.transform(images).contiguous()
            found.append([encoder(x).chunk(2, dim=1)[0] for encoder in model.encoders.values()][1])
    return time.perf_counter() - began, torch.cat(found).numpy()


def main() -> None:
    """Take turns and print medians."""
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 8_000
    with tempfile.TemporaryDirectory() as name:
        store, environment = written(Path(name), cells)
        run = cs.fit(store, model="mcvae", out=Path(name) / "run", epochs=1, batch_size=128)
        seconds = []
        for _ in range(TURNS):
            (fast, salient), (plain, expected) = ours(store, run), plainly(store, environment, run)
            agreement = np.corrcoef(salient.ravel(), expected.ravel())[0, 1]
            assert agreement > 0.99, f"the two embeddings correlate at {agreement:.3f} only"
            seconds.append((fast, plain))
    fast, plain = cells / np.median(seconds, axis=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{cells:,} cells, medians of {TURNS} turns, {torch.get_num_threads()} threads")
    print(f"  contrascope {fast:8,.0f} cells/s")
    print(f"  one by one  {plain:8,.0f} cells/s; contrascope is {fast / plain:.1f} times as fast")
    print(f"  peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
