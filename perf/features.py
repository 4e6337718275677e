"""Speed of measuring cells: masks, the fast and the full set of features, and two workers beside one.

    python perf/features.py STORE [CELLS]

Of the first 1,024 cells of the store, unless said otherwise: core-milliseconds a cell of segmentation and of each
family of features; cells a core-second of both sets; then the fast set of all of them, and the full set of half, by one
worker and by two that wait for work. Only on a machine that does nothing else do the seconds of the clock mean
anything. The core-seconds hold the start of a cluster, a few for each worker.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from dask.distributed import Client

import contrascope as cs
from contrascope.config import FeatureSettings
from contrascope.features import measure
from contrascope.features.parts import measure_cells
from contrascope.features.plan import plan_for
from contrascope.features.segment import NO_NUCLEUS, segment
from contrascope.store.arrays import store_from_arrays
from contrascope.store.parallel import local_cluster

ALONE = 64
"""Cells by which parts are measured alone."""


def cores(work: Callable[[], Any]) -> float:
    """Core-seconds of a call in this process, the second time."""
    work()
    began = time.process_time()
    work()
    return time.process_time() - began


def parts(store: cs.CropStore, nucleus: str) -> None:
    """Each part of a cell's way, alone."""
    plan = plan_for(store, FeatureSettings(nucleus=nucleus))
    crops = plan.scaled(store.read(np.arange(min(ALONE, len(store)))))
    spent = cores(lambda: [segment(crop, plan.anatomy) for crop in crops])
    print(f"  {'masks':22s} {spent / len(crops) * 1e3:6.2f} ms a cell")
    found = [(crop, mask) for crop in crops if (mask := segment(crop, plan.anatomy)).quality != NO_NUCLEUS]
    greys = measure.greys_of(plan.white)
    families = {name: frozenset({name}) for name in sorted(measure.FULL)}
    for name, chosen in (families | measure.FAMILIES).items():
        measure.FAMILIES[name] = chosen
        spent = cores(lambda name=name: [measure.measured(*cell, plan.channels, name, greys) for cell in found])
        speed = f", {len(found) / spent:,.1f} cells a core-second" if name in ("fast", "full") else ""
        print(f"  {name:22s} {spent / len(found) * 1e3:6.2f} ms a cell{speed}", flush=True)


def core_seconds() -> float:
    """Of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measured(label: str, store: cs.CropStore, out: Path, **how: Any) -> float:
    """Measure, say how fast, and give the seconds."""
    began = time.perf_counter()
    result = measure_cells(store, out, **how)
    seconds = time.perf_counter() - began
    print(f"  {label}: {result.cells / seconds:,.1f} cells/s, {seconds:.1f} s", flush=True)
    return seconds


def beside(store: cs.CropStore, folder: Path, **how: Any) -> None:
    """One worker, then two that have been started, each in a cluster."""
    seconds = []
    for workers in (1, 2):
        spent = core_seconds()
        with local_cluster(workers) as cluster:
            with Client(cluster) as client:
                client.run(import_module, "contrascope.features.parts")
            out = folder / f"{how['features']}-{workers}.parquet"
            seconds.append(measured(f"{workers} worker(s)", store, out, scheduler=cluster.scheduler_address, **how))
        print(f"    {core_seconds() - spent:.1f} core-seconds", flush=True)
    print(f"  2 workers are {seconds[0] / seconds[1]:.2f} x as fast as 1", flush=True)


def first_cells(store: cs.CropStore, n: int, out: Path) -> cs.CropStore:
    """A store of the first cells of another."""
    rows = np.arange(min(n, len(store)))
    return store_from_arrays(store.read(rows), store.cells[rows], out, channels=store.channels)


def main() -> None:
    """Measure some cells of a store."""
    store, cells = cs.open_store(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1024
    images = store.provenance.get("settings", {}).get("images", {})
    nucleus = images.get("reference_channel", store.channels[0])
    print(f"{store}\none cell, part by part:")
    parts(store, nucleus)
    with tempfile.TemporaryDirectory() as name:
        for features, n in (("fast", cells), ("full", cells // 2)):
            few = first_cells(store, n, Path(name) / f"{features}.zarr")
            print(f"{features}, {len(few):,} cells:")
            beside(few, Path(name), nucleus=nucleus, features=features)
    peaks = [resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"peak memory: {peaks[0]:.2f} GiB in this process, {peaks[1]:.2f} GiB in the largest worker")


if __name__ == "__main__":
    main()
