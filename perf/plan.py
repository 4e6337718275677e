"""Planning of a large screen: from a cell table in Parquet to which cell goes where, before any tile is read.

    python perf/plan.py [ROWS]

The table (31 million rows unless said otherwise) has 3,000 tiles of about 1,000 cells a plate, 5,000 perturbations
of 4 guides and ids of text, its rows in no order within a plate. Planning is measured in a process of its own.
Prints seconds, core-seconds and peak memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import yaml

from contrascope.config import ImageSettings
from contrascope.registry import READERS
from contrascope.screen.screen import open_screen
from contrascope.screen.tiles import TileKey, TileShape
from contrascope.store.crops import plan_store

SIDE, TILES, CELLS, PERTURBATIONS, GUIDES = 2960, 3000, 1000, 5000, 4
ROWS_AT_ONCE = 1_000_000


class BlankTiles:
    """Tiles that are there whatever their name, and are never read."""

    def __init__(self, settings: ImageSettings, keys: Sequence[TileKey]):
        pass

    def shape(self, key: TileKey) -> TileShape:
        """The same for all."""
        return TileShape(4, SIDE, SIDE, np.dtype("uint16"))

    def inventory(self) -> list[tuple[str, str, str]]:
        """Nothing that could change."""
        return []


def make_screen(folder: Path, rows: int) -> Path:
    """Write the table piece by piece, and the screen file."""
    rng = np.random.default_rng(0)
    guides = pl.Series(["".join(rng.choice(list("ACGT"), 20)) for _ in range(PERTURBATIONS * GUIDES)])
    genes = pl.Series([f"GENE{i}" if i % 20 else "nontargeting" for i in range(PERTURBATIONS)])
    writer = None
    for start in range(0, rows, ROWS_AT_ONCE):
        piece = _piece(np.arange(start, min(start + ROWS_AT_ONCE, rows)), guides, genes, rng).to_arrow()
        writer = writer or pq.ParquetWriter(folder / "cells.parquet", piece.schema)
        writer.write_table(piece)
    assert writer is not None
    writer.close()
    settings = {
        "name": "plan",
        "images": {"pattern": "{tile}", "channels": list("ABCD"), "reference_channel": "A", "reader": "blank"},
        "cells": {"table": "cells.parquet", "control": "nontargeting"},
    }
    (folder / "screen.yaml").write_text(yaml.safe_dump(settings))
    return folder / "screen.yaml"


def _piece(row: np.ndarray, guides: pl.Series, genes: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    plate, guide = row // (TILES * CELLS), rng.integers(0, len(guides), len(row))
    tile = rng.integers(0, TILES, len(row))
    table = pl.DataFrame({"plate": plate, "well": tile // (TILES // 6), "tile": tile, "number": row})
    return table.select(
        pl.format("P{}", "plate").alias("plate"),
        pl.format("A{}", pl.col("well") + 1).alias("well"),
        "tile",
        pl.format("{}_{}_{}", "plate", "tile", "number").alias("cell_id"),
        pl.Series("y", rng.uniform(0, SIDE - 1, len(row))),
        pl.Series("x", rng.uniform(0, SIDE - 1, len(row))),
        guides.gather(guide).alias("guide"),
        genes.gather(guide // GUIDES).alias("perturbation"),
        pl.Series("area", rng.uniform(50, 500, len(row)).astype(np.float32)),
    )


def measure(path: str) -> None:
    """Plan, and say what it took."""
    READERS.add("blank", "__main__:BlankTiles")
    began, cores = time.perf_counter(), time.process_time()
    screen = open_screen(path)
    opened = time.perf_counter()
    plan = plan_store(screen)
    ended = time.perf_counter()
    print(f"{plan.facts['account']}, {-(-plan.facts['account']['stored'] // plan.per_shard):,} shards")
    print(f"{ended - began:.1f} s ({opened - began:.1f} s to open), {time.process_time() - cores:.1f} core-seconds")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def main(rows: str = "31_000_000") -> None:
    with tempfile.TemporaryDirectory() as name:
        screen = make_screen(Path(name), int(rows))
        size = (screen.parent / "cells.parquet").stat().st_size
        print(f"{int(rows):,} rows, {size / 2**30:.2f} GiB of Parquet", flush=True)
        subprocess.run([sys.executable, __file__, "--measure", str(screen)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2])
    else:
        main(*sys.argv[1:])
