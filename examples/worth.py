"""What a run's salient space is worth to its decoder: nats of reconstruction that cells lose when decoded without it.

    python examples/worth.py RUN STORE

Over the perturbed cells that were not trained on: the mean of each perturbation, least first. sigma is the best one for
each channel, with the salient part. A perturbation that does nothing should lose nothing.
"""

from __future__ import annotations

import sys

import numpy as np
import polars as pl

import contrascope as cs

TOGETHER = 200
"""Cells that are decoded at once."""


def main(run_folder: str, store_folder: str) -> None:
    """Print the table, and the mean over all cells."""
    run, store = cs.open_run(run_folder), cs.open_store(store_folder)
    rows = np.flatnonzero((run.split() != "train").to_numpy() & (store.labels > 0))
    parts = [squared_errors(run, store, rows[start : start + TOGETHER]) for start in range(0, len(rows), TOGETHER)]
    whole, without = np.concatenate(parts, axis=1)
    pixels = run.settings.image_size**2
    variance = whole.mean(axis=0) / pixels
    lost = ((without - whole) / (2 * variance)).sum(axis=1)
    names = np.array(store.perturbations)[store.labels[rows] - 1]
    table = pl.DataFrame({"perturbation": names, "nats": lost}).group_by("perturbation").agg(
        pl.len().alias("cells"), pl.col("nats").mean().round(1)
    )  # fmt: skip
    for name, cells, nats in table.sort("nats", "perturbation").iter_rows():
        print(f"{nats:8.1f} nats a cell over {cells:4} cells: {name}")
    print(f"{lost.mean():8.1f} nats a cell over {len(rows):,} cells: all")


def squared_errors(run: cs.Run, store: cs.CropStore, rows: np.ndarray) -> np.ndarray:
    """(2, B, C) of cells decoded whole, and without their salient part, summed over pixels."""
    images = run.images(store, rows)
    return np.stack(
        [((images - decoded) ** 2).sum(axis=(2, 3), dtype=np.float64) for decoded in run.counterfactual(store, rows)]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
