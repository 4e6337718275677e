"""Cells a second and peak memory of the synthetic screen: ``python perf/simulate.py [PRESET]``."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from contrascope.screen.synthetic import synthetic_screen


def main(preset: str = "small") -> None:
    with tempfile.TemporaryDirectory() as folder:
        wall, processor = time.perf_counter(), time.process_time()
        screen = synthetic_screen(Path(folder) / "screen", preset=preset)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        n = pl.scan_parquet(screen.parent / "cells.parquet").select(pl.len()).collect().item()
        disk = sum(path.stat().st_size for path in screen.parent.rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{preset}: {n:,} cells in {wall:.1f} s, {n / wall:,.0f} cells/s ({n / processor:,.0f} a core-second)")
    print(f"peak memory {peak:,.0f} MiB, {disk / 2**20:,.0f} MiB on disk")


if __name__ == "__main__":
    main(*sys.argv[1:])
