"""Crops: each tile read once, cleaned, aligned, and cut around its cells into the store.

A tile's intensities are clipped at two percentiles of each channel (a hot pixel must not set the scale),
its channels are moved onto the reference channel by whole pixels, and a window of H x W pixels is cut
around each cell. Cells whose window would leave the tile are dropped, and counted.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contrascope import vocabulary as v
from contrascope.config import fingerprint
from contrascope.errors import StoreError, TableError, TileError
from contrascope.progress import track
from contrascope.screen.alignment import channel_shifts
from contrascope.screen.screen import TILE_INDEX, Screen
from contrascope.screen.tiles import TileKey
from contrascope.store.store import CropStore
from contrascope.store.writer import StorePlan, StoreWriter, refuse_other_contents

TOO_CLOSE = "too close to the tile's edge for a whole crop"
NO_LABEL = "no guide or no perturbation in the table"
_DROPPED = (v.CELL_ID, v.PLATE, v.WELL, v.TILE, v.Y, v.X)


def extract_crops(screen: Screen, out: str | Path) -> CropStore:
    """Cut every cell out of its tile into a crop store.

    Started again after a crash it goes on where it stopped; over a finished store of the same inputs it
    does nothing.

    Args:
        screen: Tiles and cells.
        out: The store's folder, ``NAME.zarr``.

    Raises:
        StoreError: ``out`` holds a store made from other inputs, or cannot be written.
        TileError: A tile cannot be read.
    """
    out, plan = Path(out), plan_store(screen)
    if (out / "zarr.json").is_file():
        refuse_other_contents(out, plan.facts["fingerprint"])
        return CropStore(out)
    writer = StoreWriter(plan, out)
    tiles = _TileCache(screen)
    for index, rows in track(writer.todo(), "Cutting out cells", writer.shards):
        cells = plan.cells[rows]
        crops = np.concatenate([_cut(tiles.pixels(i), part, plan.shape[1]) for i, part in _by_tile(cells)])
        writer.write(index, crops, [tiles.facts[i] for i in cells[TILE_INDEX].unique().sort()])
    return writer.finish(screen.tiles.with_row_index(TILE_INDEX))


def plan_store(screen: Screen) -> StorePlan:
    """Which cells are stored, in which order, and which are dropped for which reason.

    Raises:
        TableError: No cell is left, or none on one side of the comparison.
    """
    size, settings = screen.settings.crop.size, screen.settings
    top, left = _corner(pl.col(v.Y), size), _corner(pl.col(v.X), size)
    inside = (top >= 0) & (left >= 0) & (top + size <= pl.col("height")) & (left + size <= pl.col("width"))
    reason = (
        pl.when(pl.col(v.GUIDE).is_null() | pl.col(v.PERTURBATION).is_null())
        .then(pl.lit(NO_LABEL))
        .when(~inside)
        .then(pl.lit(TOO_CLOSE))
    )
    cells = screen.cells.with_columns(reason.alias("reason"))
    kept = cells.filter(pl.col("reason").is_null()).drop("reason", "height", "width")
    dropped = cells.filter(pl.col("reason").is_not_null()).select(*_DROPPED, "reason")
    _refuse_one_sided(kept, dropped)
    counts = dropped["reason"].value_counts(sort=True)
    facts = {
        "name": settings.name,
        "channels": settings.images.channel_names,
        "pixel_size_um": settings.images.pixel_size_um,
        "account": {"rows": cells.height, "stored": kept.height, "dropped": dict(counts.iter_rows())},
        "fingerprint": fingerprint([screen.fingerprint, settings.crop.model_dump()]),
        "provenance": _provenance(screen),
    }
    shape = (len(settings.images.channel_names), size, size)
    return StorePlan(facts, kept, dropped, shape, screen.dtype)


def store_from_arrays(
    images: np.ndarray,
    cells: pl.DataFrame,
    out: str | Path,
    *,
    channels: list[str],
    name: str = "arrays",
    pixel_size_um: float | None = None,
) -> CropStore:
    """A store from crops that are already cut.

    Args:
        images: (N, C, H, W) uint8, uint16 or float32.
        cells: N rows; ``guide``, ``perturbation`` and ``control`` are needed, ``plate well tile`` taken
            as ``1`` where absent, all other columns kept.
        out: The store's folder.
        channels: C names.
        name: Name of the screen.
        pixel_size_um: Width of a pixel in micrometres.

    Raises:
        StoreError: Shapes, types or columns do not fit, or ``out`` holds something else.
    """
    if images.ndim != 4 or len(images) != cells.height or images.shape[1] != len(channels):
        raise StoreError(
            f"Images of shape {images.shape} do not fit {cells.height} cells and channels {channels}: (N, C, H, W) "
            f"with N = {cells.height} and C = {len(channels)} was needed."
        )
    if 0 in images.shape[1:]:
        raise StoreError(f"Images of shape {images.shape} hold no pixels. A crop of at least one pixel was needed.")
    if images.dtype.name not in ("uint8", "uint16", "float32"):
        raise StoreError(f"Images are {images.dtype}; uint8, uint16 or float32 was needed.")
    if lacking := [c for c in (v.GUIDE, v.PERTURBATION, v.CONTROL) if c not in cells.columns]:
        raise StoreError(f"The table of cells lacks {', '.join(lacking)}. Add these columns.")
    labels = cells.select(v.GUIDE, v.PERTURBATION, v.CONTROL)
    if empty := [name for name in labels.columns if labels[name].null_count()]:
        raise StoreError(f"The table of cells has no {', '.join(empty)} for some cells. Fill these columns.")
    if labels.schema[v.CONTROL] != pl.Boolean:
        raise StoreError(
            f"The column control of the table of cells is {labels.schema[v.CONTROL]}; a Boolean was needed."
        )
    cells = cells.with_columns(*[pl.lit("1").alias(c) for c in (v.PLATE, v.WELL, v.TILE) if c not in cells.columns])
    if v.CELL_ID not in cells.columns:
        cells = cells.with_columns(pl.int_range(pl.len()).cast(pl.String).alias(v.CELL_ID))
    if v.BATCH not in cells.columns:
        cells = cells.with_columns(pl.concat_str([v.PLATE, v.WELL], separator="_").alias(v.BATCH))
    dropped = cells.clear().select(v.CELL_ID, v.PLATE, v.WELL, v.TILE).with_columns(reason=pl.lit(""))
    _refuse_one_sided(cells, dropped)
    made_from = [images.shape, images.dtype.name, channels, name, pixel_size_um, *_digests(images, cells)]
    facts = {
        "name": name,
        "channels": channels,
        "pixel_size_um": pixel_size_um,
        "account": {"rows": cells.height, "stored": cells.height, "dropped": {}},
        "fingerprint": fingerprint(made_from),
        "provenance": {"package": version("contrascope"), "source": "arrays"},
    }
    shape = (images.shape[1], images.shape[2], images.shape[3])
    plan = StorePlan(facts, cells, dropped, shape, images.dtype)
    if (Path(out) / "zarr.json").is_file():
        refuse_other_contents(Path(out), plan.facts["fingerprint"])
        return CropStore(out)
    writer = StoreWriter(plan, Path(out))
    for index, rows in track(writer.todo(), "Storing cells", writer.shards):
        writer.write(index, np.ascontiguousarray(images[rows]), [])
    tiles = cells.group_by(v.PLATE, v.WELL, v.TILE, maintain_order=True).agg(pl.len().alias("cells"))
    return writer.finish(tiles.with_row_index(TILE_INDEX))


def clip_limits(channel: np.ndarray, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Intensities at two percentiles: the smallest value that at least that share of pixels does not exceed.

    Integers are counted in a histogram, which is many times faster than sorting a tile.
    """
    if channel.dtype.kind != "u":
        low, high = np.percentile(channel, percentiles, method="inverted_cdf")
        return float(low), float(high)
    reached = np.cumsum(np.bincount(channel.ravel()))
    wanted = np.maximum(np.ceil(np.asarray(percentiles) / 100 * channel.size), 1)
    low, high = np.searchsorted(reached, wanted)
    return float(low), float(high)


def clean_tile(
    tile: np.ndarray, *, reference: int, clip_percentiles: tuple[float, float], max_shift: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A tile with intensities clipped and channels moved onto the reference channel.

    Args:
        tile: (C, H, W) pixels.
        reference: Index of the reference channel.
        clip_percentiles: Low and high.
        max_shift: Largest shift looked for; None leaves the channels where they are.

    Returns:
        The tile, (C, 2) shifts that were measured, (C, 2) clip limits. Pixels that a shift brings in from
        outside repeat the tile's edge.
    """
    limits = np.array([clip_limits(channel, clip_percentiles) for channel in tile])
    tile = np.stack([np.clip(c, *(c.dtype.type(x) for x in lim)) for c, lim in zip(tile, limits, strict=True)])
    if max_shift is None:
        return tile, np.zeros((len(tile), 2)), limits
    shifts = channel_shifts(tile, reference=reference, max_shift=max_shift)
    moved = [_moved(c, *np.rint(shift).astype(int)) for c, shift in zip(tile, shifts, strict=True)]
    return np.stack(moved), shifts, limits


def _moved(channel: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """The channel with what lay at (y + dy, x + dx) brought to (y, x)."""
    H, W = channel.shape
    rows, columns = np.arange(H) + dy, np.arange(W) + dx
    return channel[rows.clip(0, H - 1)[:, None], columns.clip(0, W - 1)]


def _corner(position: Any, size: int) -> Any:
    """First pixel of a window of ``size`` around a position: y = 10 lies at the centre of pixel 10."""
    return (position + 0.5).floor() - size // 2


def _cut(pixels: np.ndarray, cells: pl.DataFrame, size: int) -> np.ndarray:
    """(B, C, size, size) windows around the cells of one tile."""
    tops = cells.select(_corner(pl.col(v.Y), size).cast(pl.Int64)).to_series()
    lefts = cells.select(_corner(pl.col(v.X), size).cast(pl.Int64)).to_series()
    return np.stack([pixels[:, y : y + size, x : x + size] for y, x in zip(tops, lefts, strict=True)])


def _by_tile(cells: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    for (index,), part in cells.group_by(TILE_INDEX, maintain_order=True):
        yield int(index), part


class _TileCache:
    """The tile in hand: neighbouring shards ask for the same one."""

    def __init__(self, screen: Screen):
        self._screen, self._keys = screen, screen.keys()
        self._index: int | None = None
        self._pixels = np.empty(0)
        self.facts: dict[int, dict[str, Any]] = {}

    def pixels(self, index: int) -> np.ndarray:
        """(C, H, W) cleaned and aligned."""
        if index != self._index:
            settings = self._screen.settings
            names = settings.images.channel_names
            self._pixels, shifts, limits = clean_tile(
                _finite(self._screen.reader.read(self._keys[index]), self._keys[index]),
                reference=names.index(settings.images.reference_channel),
                clip_percentiles=settings.crop.clip_percentiles,
                max_shift=settings.images.max_shift if settings.images.align else None,
            )
            self._index, self.facts[index] = index, _tile_facts(index, names, shifts, limits)
        return self._pixels


def _finite(tile: np.ndarray, key: TileKey) -> np.ndarray:
    if tile.dtype.kind == "f" and (bad := int((~np.isfinite(tile)).sum())):
        raise TileError(
            f"The tile of {key} has {bad:,} pixels that are no finite number. Fill them, with 0 for instance, "
            f"where the tile was written."
        )
    return tile


def _tile_facts(index: int, names: list[str], shifts: np.ndarray, limits: np.ndarray) -> dict[str, Any]:
    facts: dict[str, Any] = {TILE_INDEX: index}
    for name, (dy, dx), (low, high) in zip(names, shifts.tolist(), limits.tolist(), strict=True):
        facts |= {f"shift_y {name}": round(dy, 4), f"shift_x {name}": round(dx, 4)}
        facts |= {f"clip_low {name}": low, f"clip_high {name}": high}
    return facts


def _refuse_one_sided(kept: pl.DataFrame, dropped: pl.DataFrame) -> None:
    controls = int(kept[v.CONTROL].sum())
    if 0 < controls < kept.height:
        return
    lacking = "control" if controls == 0 else "perturbed cell"
    raise TableError(
        f"No {lacking} is left: {kept.height:,} cells can be stored, {controls:,} of them controls"
        + "".join(f", {n:,} dropped: {reason}" for reason, n in dropped["reason"].value_counts().iter_rows())
        + ". Controls and perturbed cells were both needed. Check cells.control and crop.size."
    )


def _provenance(screen: Screen) -> dict[str, Any]:
    packages = ("contrascope", "numpy", "scipy", "tensorstore", "tifffile")
    settings = screen.settings.model_dump(mode="json", include={"name", "images", "cells", "crop"})
    return {"package": {name: version(name) for name in packages}, "settings": settings}


def _digests(images: np.ndarray, cells: pl.DataFrame) -> tuple[str, str]:
    """Of the pixels, and of the table with its columns' names and the order of its rows."""
    table = io.BytesIO()
    cells.write_ipc(table)
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(), hashlib.sha256(table.getvalue()).hexdigest()
