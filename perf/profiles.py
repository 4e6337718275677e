"""Speed and memory of profiles: from cells on disk to one row a perturbation.

    python perf/profiles.py [CELLS] [CORRECTION ...]     10,000,000 cells; none and tvn-whiten unless told

Cells are 64 float32 features in a Zarr AnnData as ``contrascope embed`` writes them, in chunks of 65,536 cells. A tenth
are controls; 1,000 perturbations have 4 guides each; 48 batches lie one after another, cells of one in random order.
The file is written to a temporary folder, which takes 2.6 GB for 10^7 cells, and read from the system's cache. Each
correction is done in a process of its own, whose peak memory is printed; the profiles of a sixteenth of the cells are
checked against pandas.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import zarr

import contrascope as cs

FEATURES, CHUNK, BATCHES, GUIDES = 64, 2**16, 48, 4000


def main(cells: int = 10_000_000, corrections: tuple[str, ...] = ("none", "tvn-whiten")) -> None:
    """Write cells, check a few, and make profiles of all by each correction."""
    with tempfile.TemporaryDirectory() as name:
        path, few = Path(name) / "cells.zarr", Path(name) / "few.zarr"
        write(few, cells // 16)
        check(few)
        write(path, cells)
        for correction in corrections:
            subprocess.run([sys.executable, __file__, "measure", str(path), correction], check=True)


def write(path: Path, cells: int) -> None:
    """Random cells, a chunk at a time."""
    with warnings.catch_warnings(), ad.settings.override(zarr_write_format=3):
        warnings.simplefilter("ignore")  # zarr and anndata tell of their plans
        file = zarr.open_group(path, mode="w")
        _write_labels(file, cells)
        array = file.create_group("obsm").create_array(
            "salient", shape=(cells, FEATURES), chunks=(CHUNK, FEATURES), dtype="float32"
        )
    random = np.random.default_rng(0)
    for start in range(0, cells, CHUNK):
        rows = min(CHUNK, cells - start)
        array[start : start + rows] = random.standard_normal((rows, FEATURES), dtype=np.float32) + 3


def _write_labels(file: zarr.Group, cells: int) -> None:
    random = np.random.default_rng(1)
    guide = random.integers(0, GUIDES, cells, dtype=np.int16)
    batch = (np.arange(cells) * BATCHES // cells).astype(np.int8)
    controls = GUIDES // 10
    perturbation = np.where(guide < controls, 0, 1 + (guide - controls) // 4).astype(np.int16)
    names = [f"guide {i}" for i in range(GUIDES)]
    genes = ["control", *(f"GENE{i}" for i in range((GUIDES - controls) // 4))]
    columns = {
        "guide": pd.Categorical.from_codes(guide, names),
        "perturbation": pd.Categorical.from_codes(perturbation, genes),
        "batch": pd.Categorical.from_codes(batch, [f"batch {i}" for i in range(BATCHES)]),
        "control": guide < controls,
    }
    for name, column in columns.items():
        ad.io.write_elem(file, f"obs/{name}", column)
    file["obs"].attrs["column-order"] = list(columns)


def check(path: Path) -> None:
    """Means of guides are pandas' to 1e-6 of the spread between them, or better."""
    from contrascope.profiles import averaged
    from contrascope.profiles.correct import corrected_sums

    file = zarr.open_group(path, mode="r")
    frame = pd.DataFrame(file["obsm/salient"][:].astype(np.float64))
    expected = frame.groupby(np.asarray(ad.io.read_elem(file["obs/guide"])).astype(str)).mean().to_numpy()
    found = averaged(corrected_sums(path, "none"), by="guide").obsm["salient"]
    error = np.abs(found - expected).max() / expected.std()
    assert error < 1e-6, error
    print(f"{len(frame):,} cells: means of guides differ from pandas' by {error:.1e} of their spread")


def measure(path: Path, correction: str) -> None:
    """Make profiles once."""
    cells = zarr.open_group(path, mode="r")["obsm/salient"].shape[0]
    cs.profile  # noqa: B018  imports are no part of it
    idle, began, cores = peak(), time.perf_counter(), time.process_time()
    profiles = cs.profile(path, correct=correction)
    seconds, cores = time.perf_counter() - began, time.process_time() - cores
    print(
        f"{cells:,} cells, {correction}: {profiles.n_obs:,} profiles in {seconds:.1f} s, {cells / seconds / 1e6:.1f} "
        f"million cells/s, {cores:.1f} core-seconds; peak {peak():,.0f} MiB, {peak() - idle:,.0f} MiB of them for this"
    )


def peak() -> float:
    """Most memory that this process has had, in MiB; what its parent had is not counted, as getrusage would."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", path, correction]:
            measure(Path(path), correction)
        case [cells, correction, *others]:
            main(int(cells), (correction, *others))
        case [cells]:
            main(int(cells))
        case _:
            main()
