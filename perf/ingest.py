"""Speed of ingest: tiles of 2,960 x 2,960 x 4 uint16 with about 1,000 cells each, by one worker and by two.

    python perf/ingest.py [TILES]

Of 96 tiles, unless said otherwise, four are different; they take 7 GB of disk. Prints the parts measured alone;
cells/s, core-seconds a tile and peak memory of one worker and of two; and how much faster two are, with and without
the start of their cluster, which takes some seconds however many tiles there are: 32 tiles, 20 seconds of work, do not
repay it. Only on a machine that does nothing else does the ratio mean anything.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tifffile
import yaml
from dask.distributed import Client
from scipy import ndimage

import contrascope as cs
from contrascope.store.measure import clip_limits, measure_tile, recipe_of, value_counts
from contrascope.store.parallel import local_cluster
from contrascope.store.quality import looks_of
from contrascope.store.shards import encode_shard
from contrascope.store.windows import windows

SIDE, CELLS, DIFFERENT = 2960, 1000, 4


def make_screen(folder: Path, tiles: int) -> Path:
    """Blurred noise with shot noise: as hard to compress and to align as cells."""
    rng = np.random.default_rng(0)
    light = ndimage.gaussian_filter(rng.random((SIDE, SIDE), dtype=np.float32), 3) * 6000
    for tile in range(min(tiles, DIFFERENT)):
        pixels = [rng.poisson(np.roll(light, (tile, c), (0, 1)) / 4).astype(np.uint16) for c in range(4)]
        tifffile.imwrite(folder / f"P1_A1_{tile}.tif", np.stack(pixels), photometric="minisblack")
    for tile in range(DIFFERENT, tiles):
        (folder / f"P1_A1_{tile}.tif").hardlink_to(folder / f"P1_A1_{tile % DIFFERENT}.tif")
    n = tiles * CELLS
    table = {
        "plate": ["P1"] * n, "well": ["A1"] * n, "tile": np.repeat(np.arange(tiles), CELLS),
        "y": rng.uniform(60, SIDE - 60, n), "x": rng.uniform(60, SIDE - 60, n),
        "guide": [f"g{i % 40}" for i in range(n)],
        "perturbation": ["control" if i % 40 < 10 else f"GENE{i % 40 // 4}" for i in range(n)],
    }  # fmt: skip
    pl.DataFrame(table).write_parquet(folder / "cells.parquet")
    settings = {
        "name": "perf",
        "images": {"pattern": "{plate}_{well}_{tile}.tif", "channels": list("ABCD"), "reference_channel": "A"},
        "cells": {"table": "cells.parquet", "control": "control"},
        "crop": {"size": 100},
    }
    (folder / "screen.yaml").write_text(yaml.safe_dump(settings))
    return folder / "screen.yaml"


def timed(label: str, work: object) -> object:
    """Call and print the seconds it took."""
    began = time.perf_counter()
    result = work()  # type: ignore[operator]
    print(f"  {label:28s} {time.perf_counter() - began:.2f} s")
    return result


def parts(screen: cs.Screen) -> None:
    """Each part of a tile's way, alone."""
    key, recipe = screen.keys()[0], recipe_of(screen.settings)
    tile = timed("read", lambda: screen.reader.read(key))
    counts = timed("count values", lambda: [value_counts(c) for c in tile])
    pairs = list(zip(tile, counts, strict=True))
    timed("clip limits of counts", lambda: [clip_limits(c, recipe.clip_percentiles, n) for c, n in pairs])
    timed("intensity, saturation, focus", lambda: looks_of(tile, counts))
    measured = timed("all of these, and shifts", lambda: measure_tile(tile, recipe))
    shifts, corners = np.rint(measured.shifts).astype(int), np.random.default_rng(0).integers(0, SIDE - 100, (CELLS, 2))
    crops = timed("cut 1,000 cells", lambda: windows(tile, measured.limits, shifts, corners, 100))
    timed("encode 1,000 cells", lambda: encode_shard(crops, 1024))


def core_seconds() -> float:
    """Of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def ingested(label: str, screen: cs.Screen, out: Path, **how: Any) -> float:
    """Ingest, say how fast, and give the seconds."""
    began = time.perf_counter()
    store = cs.extract_crops(screen, out, **how)
    seconds = time.perf_counter() - began
    print(f"{label}: {len(store) / seconds:,.0f} cells/s, {seconds:.1f} s", flush=True)
    return seconds


def main() -> None:
    """Compare one worker with two on the same tiles."""
    tiles = int(sys.argv[1]) if len(sys.argv) > 1 else 96
    with tempfile.TemporaryDirectory() as name:
        screen = cs.open_screen(make_screen(Path(name), tiles))
        print("one tile, part by part:")
        parts(screen)
        cores = core_seconds()
        one = ingested("1 worker", screen, Path(name) / "1.zarr")
        print(f"  {(core_seconds() - cores) / tiles:.2f} core-seconds a tile")
        cores = core_seconds()
        two = ingested("2 workers, with the start of their cluster", screen, Path(name) / "2.zarr", workers=2)
        print(f"  {(core_seconds() - cores) / tiles:.2f} core-seconds a tile, with what the start costs")
        with local_cluster(2) as cluster:
            with Client(cluster) as client:
                client.run(import_module, "contrascope.store.crops")
            address = cluster.scheduler_address
            started = ingested("2 workers that wait for work", screen, Path(name) / "3.zarr", scheduler=address)
        print(f"2 workers are {one / two:.2f} x as fast as 1; {one / started:.2f} x once they are started")
        peaks = [resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        print(f"peak memory: {peaks[0]:.2f} GiB in this process, {peaks[1]:.2f} GiB in the largest worker")


if __name__ == "__main__":
    main()
