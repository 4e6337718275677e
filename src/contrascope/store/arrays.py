"""A store from crops that are already cut: arrays in memory, and a table with a row for each."""

from __future__ import annotations

import hashlib
import io
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.config import fingerprint
from contrascope.errors import StoreError
from contrascope.progress import track
from contrascope.screen.guides import refuse_mixed_guides
from contrascope.screen.screen import TILE_INDEX
from contrascope.store.crops import refuse_one_sided
from contrascope.store.store import CropStore
from contrascope.store.writer import StorePlan, StoreWriter, claim


def store_from_arrays(
    images: np.ndarray,
    cells: pl.DataFrame | pd.DataFrame,
    out: str | Path,
    *,
    channels: list[str],
    name: str = "arrays",
    pixel_size_um: float | None = None,
) -> CropStore:
    """A store from crops that are already cut.

    Args:
        images: (N, C, H, W) uint8, uint16 or float32.
        cells: N rows, of polars or pandas; ``guide``, ``perturbation`` and ``control`` are needed, ``plate well tile``
            taken as ``1`` where absent, all other columns kept; none may be called ``split``.
        out: The store's folder.
        channels: C names.
        name: Name of the screen.
        pixel_size_um: Width of a pixel in micrometres.

    Raises:
        SettingsError: ``out`` is a URL.
        StoreError: Shapes, types or columns do not fit, or ``out`` holds something else.
        TableError: No controls or nothing else, or a guide of several perturbations.
    """
    out = local_path(out)
    cells = cells if isinstance(cells, pl.DataFrame) else pl.from_pandas(cells)
    _refuse_images(images, cells.height, channels)
    _refuse_table(cells)
    cells = _completed(cells)
    refuse_mixed_guides(cells, where="the table of cells")
    refuse_one_sided(cells.height, int(cells[v.CONTROL].sum()), {})
    made_from = [images.shape, images.dtype.name, channels, name, pixel_size_um, *_digests(images, cells)]
    facts = {
        "name": name,
        "channels": channels,
        "pixel_size_um": pixel_size_um,
        "account": {"rows": cells.height, "stored": cells.height, "dropped": {}},
        "fingerprint": fingerprint(made_from),
        "provenance": {"package": version("contrascope"), "source": "arrays"},
    }
    dropped = cells.clear().select(v.CELL_ID, v.PLATE, v.WELL, v.TILE).with_columns(reason=pl.lit(""))
    shape = (images.shape[1], images.shape[2], images.shape[3])
    plan = StorePlan(facts, cells.lazy(), dropped.lazy(), shape, images.dtype)
    if (finished := claim(out, plan.facts["fingerprint"])) is not None:
        return finished
    writer = StoreWriter(plan, out)
    for index, rows in track(writer.todo(), "Storing cells", writer.shards):
        writer.write(index, np.ascontiguousarray(images[rows]))
    tiles = cells.group_by(v.PLATE, v.WELL, v.TILE, maintain_order=True).agg(pl.len().alias("cells"))
    return writer.finish(tiles.with_row_index(TILE_INDEX))


def _refuse_images(images: np.ndarray, cells: int, channels: list[str]) -> None:
    """Make sure that there is a crop of usable pixels for each cell, and a name for each channel."""
    if images.ndim != 4 or len(images) != cells or images.shape[1] != len(channels):
        raise StoreError(
            f"Images of shape {images.shape} do not fit {cells} cells and channels {channels}: (N, C, H, W) "
            f"with N = {cells} and C = {len(channels)} was needed."
        )
    if len(set(channels)) < len(channels) or "" in channels:
        raise StoreError(f"Channels are called {channels}. A name for each, of its own, was needed.")
    if 0 in images.shape[1:]:
        raise StoreError(f"Images of shape {images.shape} hold no pixels. A crop of at least one pixel was needed.")
    if images.dtype.name not in ("uint8", "uint16", "float32"):
        raise StoreError(f"Images are {images.dtype}; uint8, uint16 or float32 was needed.")


def _refuse_table(cells: pl.DataFrame) -> None:
    """Make sure that the table says of each cell what was done to it, and leaves our own names alone."""
    if v.SPLIT in cells.columns:
        raise StoreError(
            "The table of cells has a column split, where a run says what it trained on. Call it otherwise."
        )
    labels = [v.GUIDE, v.PERTURBATION, v.CONTROL]
    if lacking := [name for name in labels if name not in cells.columns]:
        raise StoreError(f"The table of cells lacks {', '.join(lacking)}. Add these columns.")
    needed = [*labels, *(name for name in (v.PLATE, v.WELL, v.TILE, v.BATCH) if name in cells.columns)]
    if empty := [name for name in needed if cells[name].null_count()]:
        raise StoreError(f"The table of cells has no {', '.join(empty)} for some cells. Fill these columns.")
    if cells.schema[v.CONTROL] != pl.Boolean:
        raise StoreError(
            f"The column control of the table of cells is {cells.schema[v.CONTROL]}; a Boolean was needed."
        )


def _completed(cells: pl.DataFrame) -> pl.DataFrame:
    """The table with all columns of a store: one plate, well and tile where none are told, cells by their number."""
    cells = cells.with_columns(*[pl.lit("1").alias(c) for c in (v.PLATE, v.WELL, v.TILE) if c not in cells.columns])
    if v.CELL_ID not in cells.columns:
        cells = cells.with_columns(pl.int_range(pl.len()).cast(pl.String).alias(v.CELL_ID))
    if v.BATCH not in cells.columns:
        cells = cells.with_columns(pl.concat_str([v.PLATE, v.WELL], separator="_").alias(v.BATCH))
    return cells


def _digests(images: np.ndarray, cells: pl.DataFrame) -> tuple[str, str]:
    """Of the pixels, and of the table with its columns' names and the order of its rows."""
    table = io.BytesIO()
    cells.write_ipc(table)
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(), hashlib.sha256(table.getvalue()).hexdigest()
