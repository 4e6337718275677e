"""Crops: each tile read, cleaned, aligned, and cut around its cells into the store.

A tile's intensities are clipped at two percentiles of each channel (a hot pixel must not set the scale),
its channels are moved onto the reference channel, by whole pixels or interpolated between them, and a window
of H x W pixels is cut around each cell. Cells whose window would leave the tile are dropped, and counted.

Two passes over the tiles: the first measures them (``measure.py``), the second cuts shards, each of them
by itself and in any order. Both can be shared among workers; the bytes are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.config import fingerprint
from contrascope.errors import TableError
from contrascope.screen.cells import as_text
from contrascope.screen.labels import notes_on_labels
from contrascope.screen.screen import TILE_INDEX, Screen, of_cells, open_screen
from contrascope.screen.tiles import TileKey, TileReader
from contrascope.store.files import write_parquet
from contrascope.store.measure import READABLE, Each, measured_tiles
from contrascope.store.notes import notes_on_places
from contrascope.store.parallel import calling
from contrascope.store.shards import write_shard
from contrascope.store.store import CropStore
from contrascope.store.windows import cleaned, windows
from contrascope.store.writer import StorePlan, StoreWriter, claim

TOO_CLOSE = "too close to the tile's edge for a whole crop"
NO_LABEL = "no guide or no perturbation in the table"
BAD_TILE = "the tile cannot be read"
NOT_SHOWN = "not wholly shown by every round of imaging"
_WHY = pl.Enum([TOO_CLOSE, NO_LABEL, BAD_TILE, NOT_SHOWN])
_DROPPED = (v.CELL_ID, v.PLATE, v.WELL, v.TILE, v.TILE_ROW, v.TILE_COLUMN, v.Y, v.X)
"""What is kept of a cell that is dropped, as far as the table has it."""
_SHARDS_A_TASK = 4
"""Shards that a worker of a cluster is given at a time."""


def extract_crops(
    screen: Screen | str | Path, out: str | Path, *, workers: int = 1, scheduler: str | None = None
) -> CropStore:
    """Cut every cell out of its tile into a crop store.

    Started again after a crash it goes on where it stopped. Over a finished store of the same inputs it
    checks every file, and makes again exactly those that are damaged.

    Args:
        screen: Tiles and cells, or the screen file that tells of them.
        out: The store's folder, ``NAME.zarr``.
        workers: Processes; 1 works in this one.
        scheduler: Address of a Dask scheduler, whose workers are used instead. Started with the variables
            ``MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=536870912 MALLOC_TRIM_THRESHOLD_=536870912``, as ours are, they
            have about half the work: see ``local_cluster``.

    Raises:
        SettingsError: ``out`` is a URL, or there is no such screen file.
        StoreError: ``out`` holds a store made from other inputs, or cannot be written.
        TileError: Tiles cannot be read.
    """
    screen, out = screen if isinstance(screen, Screen) else open_screen(screen), local_path(out)
    made_from = store_fingerprint(screen)
    if (finished := claim(out, made_from)) is not None:
        return finished
    with calling(workers, scheduler) as each:
        tiles = _tiles_once(screen, out, each)
        writer = StoreWriter(plan_store(screen, tiles), out)
        cut = _CutShards(screen.reader, out, writer.plan.shape[1], writer.plan.per_shard)
        # Neighbouring shards share a tile: cut by one worker, it is read once.
        at_once = 1 if workers == 1 and scheduler is None else _SHARDS_A_TASK
        tasks, total = _tasks(screen, writer, tiles, at_once), -(-writer.left // at_once)
        for _, shards in each(cut, tasks, total, "Cutting out cells"):
            for index, digest, size in shards:
                writer.record(index, digest, size)
    return writer.finish(tiles)


def store_fingerprint(screen: Screen) -> str:
    """What the store of a screen is known by: its inputs and the settings that cut cells."""
    return fingerprint([screen.fingerprint, screen.settings.crop.model_dump()])


def plan_store(screen: Screen, tiles: pl.DataFrame | None = None) -> StorePlan:
    """Which cells are stored, in which order, and which are dropped for which reason.

    Args:
        screen: Tiles and cells.
        tiles: The measured tiles: those not readable lose their cells, and so do crops that a shifted round does not
            show. None takes all for readable and in place.

    Raises:
        TableError: No cell is left, or none on one side of the comparison.
    """
    size, settings = screen.settings.crop.size, screen.settings
    reason = _reasons(screen, tiles, size)
    cells = as_text(screen.cells.with_columns(reason).lazy())
    told = [name for name in _DROPPED if name in screen.cells.columns]
    dropped = cells.filter(pl.col(reason.name).is_not_null()).select(*told, pl.col(reason.name).cast(pl.String))
    counts = dict(reason.drop_nulls().cast(pl.String).value_counts(sort=True).iter_rows())
    stored = reason.null_count()
    controls = int((screen.cells[v.CONTROL] & reason.is_null()).sum())
    refuse_one_sided(stored, controls, counts, besides=_unlabelled(screen.cells, control=controls == 0))
    facts = {
        "name": settings.name,
        "channels": settings.images.channel_names,
        "pixel_size_um": settings.images.pixel_size_um,
        "account": {"rows": len(reason), "stored": stored, "dropped": counts},
        "notes": [*notes_on_labels(screen.cells), *notes_on_places(screen.cells)],
        "fingerprint": store_fingerprint(screen),
        "provenance": _provenance(screen),
    }
    shape = (len(settings.images.channel_names), size, size)
    kept = cells.filter(pl.col(reason.name).is_null()).drop(reason.name)
    return StorePlan(facts, kept, dropped, shape, screen.dtype)


def _reasons(screen: Screen, tiles: pl.DataFrame | None, size: int) -> pl.Series:
    """Why each cell is left out; null where it is stored."""
    known = screen.tiles.select("height", "width").with_row_index(TILE_INDEX)
    known = known.with_columns(pl.col("height").is_not_null().alias(READABLE) if tiles is None else tiles[READABLE])
    known = known.with_columns(_reach(screen, tiles))
    top, left = _corner(pl.col(v.Y), size), _corner(pl.col(v.X), size)
    inside = _within(top, left, size)
    shown = _within(top + pl.col("up"), left + pl.col("left"), size)
    shown &= _within(top + pl.col("down"), left + pl.col("right"), size)
    reason = (
        pl.when(~pl.col(READABLE))
        .then(pl.lit(BAD_TILE, _WHY))
        .when(pl.col(v.GUIDE).is_null() | pl.col(v.PERTURBATION).is_null())
        .then(pl.lit(NO_LABEL, _WHY))
        .when(~inside)
        .then(pl.lit(TOO_CLOSE, _WHY))
        .when(~shown)
        .then(pl.lit(NOT_SHOWN, _WHY))
    )
    return of_cells(reason.alias("reason"), screen.cells, known, on=(TILE_INDEX,))


def _within(top: pl.Expr, left: pl.Expr, size: int) -> pl.Expr:
    """Whether a window lies in its tile."""
    return (top >= 0) & (left >= 0) & (top + size <= pl.col("height")) & (left + size <= pl.col("width"))


def _reach(screen: Screen, tiles: pl.DataFrame | None) -> list[pl.Series]:
    """How far each tile's channels move a window ``up left down right``, where several rounds may move it far.

    Within a round a few pixels of the tile's edge are repeated instead.
    """
    still = np.zeros((screen.tiles.height, 4), np.int64)
    columns = _shift_columns(screen)
    if screen.settings.images.rounds and tiles is not None and columns[0][0] in tiles.columns:
        shifts = np.nan_to_num(np.rint(_pairs(tiles, columns).astype(float)))
        still = np.concatenate([shifts.min(axis=1), shifts.max(axis=1)], axis=1).astype(np.int64)
    return [pl.Series(name, still[:, i]) for i, name in enumerate(("up", "left", "down", "right"))]


def _corner(position: Any, size: int) -> Any:
    """First pixel of a window of ``size`` around a position: y = 10 lies at the centre of pixel 10."""
    return (position + 0.5).floor() - size // 2


class _Piece(NamedTuple):
    """Cells of one tile that lie side by side in the store.

    Attributes:
        key: The tile.
        limits: C pairs of clip limits.
        shifts: C pairs of pixels to undo.
        corners: (B, 2) first row and column of each cell's window.
    """

    key: TileKey
    limits: tuple[tuple[float, float], ...]
    shifts: tuple[tuple[float, float], ...]
    corners: np.ndarray


@dataclass(frozen=True)
class _CutShards:
    """Cuts and writes a few neighbouring shards: a pure function of their pieces."""

    reader: TileReader
    path: Path
    size: int
    per_shard: int

    def __call__(self, task: list[tuple[int, list[_Piece]]]) -> list[tuple[int, str, int]]:
        return [(index, *write_shard(self.path, index, self._crops(pieces), self.per_shard)) for index, pieces in task]

    def _crops(self, pieces: list[_Piece]) -> np.ndarray:
        """(B, C, H, W) of the cells of all pieces."""
        cut = []
        for piece in pieces:
            tile, shifts = _tile_in_hand(self.reader, piece.key, piece.limits, piece.shifts)  # type: ignore[arg-type]
            cut.append(windows(tile, np.array(piece.limits), shifts, piece.corners, self.size))
        return cut[0] if len(cut) == 1 else np.concatenate(cut)


@lru_cache(maxsize=1)
def _tile_in_hand(
    reader: TileReader, key: TileKey, limits: tuple[tuple[float, float], ...], shifts: tuple[tuple[float, float], ...]
) -> tuple[np.ndarray, np.ndarray]:
    """A tile to cut from, and the whole pixels (C, 2) still to undo; neighbouring shards ask for the same one.

    Only what is interpolated is cleaned as a whole.
    """
    tile, undo = reader.read(key), np.array(shifts)
    if (undo == np.rint(undo)).all():
        return tile, undo.astype(int)
    return cleaned(tile, np.array(limits), undo), np.zeros(undo.shape, int)


def _tiles_once(screen: Screen, out: Path, each: Each) -> pl.DataFrame:
    """The measured tiles; a former sitting's if it got so far."""
    path = out / "tiles.parquet"
    if not path.is_file():
        wanted = plan_store(screen).cells.select(pl.col(TILE_INDEX).unique().sort()).collect().to_series().to_numpy()
        write_parquet(path, measured_tiles(screen, wanted, each))
    return pl.read_parquet(path, glob=False)


def _tasks(
    screen: Screen, writer: StoreWriter, tiles: pl.DataFrame, shards: int
) -> Iterator[list[tuple[int, list[_Piece]]]]:
    """Shards to do, so many at a time, with all that is needed to cut them."""
    todo, size = list(writer.todo()), writer.plan.shape[1]
    corners = [_corner(pl.col(name), size).cast(pl.Int32) for name in (v.Y, v.X)]
    places = writer.plan.cells.select(TILE_INDEX, *corners).collect()
    names, keys = screen.settings.images.channel_names, screen.keys()
    limits = _pairs(tiles, [(f"clip_low {n}", f"clip_high {n}") for n in names])
    shifts = _pairs(tiles, _shift_columns(screen))
    if screen.settings.images.resample == "whole":
        shifts = np.rint(shifts)
    for start in range(0, len(todo), shards):
        yield [(index, _pieces(places[rows], keys, limits, shifts)) for index, rows in todo[start : start + shards]]


def _shift_columns(screen: Screen) -> list[tuple[str, str]]:
    return [(f"shift_y {n}", f"shift_x {n}") for n in screen.settings.images.channel_names]


def _pairs(tiles: pl.DataFrame, columns: list[tuple[str, str]]) -> np.ndarray:
    """(T, C, 2) of two columns a channel."""
    return np.stack([tiles.select(pair).to_numpy() for pair in columns], axis=1)


def _pieces(places: pl.DataFrame, keys: list[TileKey], limits: np.ndarray, shifts: np.ndarray) -> list[_Piece]:
    """The cells of a shard by tile; they are in the order of their tiles."""
    corners, of_tile = places.select(v.Y, v.X).to_numpy(), places[TILE_INDEX].to_numpy()
    return [
        _Piece(
            keys[i],
            tuple((low, high) for low, high in limits[i].tolist()),
            tuple((dy, dx) for dy, dx in shifts[i].tolist()),
            corners[of_tile == i],
        )
        for i in np.unique(of_tile)
    ]


def refuse_one_sided(stored: int, controls: int, dropped: dict[str, int], *, besides: str = "") -> None:
    """Make sure that of the cells to store some are controls and some are not.

    Raises:
        TableError: One kind is missing; it says how many cells were dropped for which reason, and what else is known.
    """
    if 0 < controls < stored:
        return
    lacking = "control" if controls == 0 else "perturbed cell"
    raise TableError(
        f"No {lacking} is left: {stored:,} cells can be stored, {controls:,} of them controls"
        + "".join(f", {n:,} dropped: {reason}" for reason, n in dropped.items())
        + f".{besides} Controls and perturbed cells were both needed. Check cells.control and crop.size."
    )


def _unlabelled(cells: pl.DataFrame, *, control: bool) -> str:
    """A sentence on which label how many of the controls lack, or of the perturbed cells; blank if none does."""
    these = cells[v.CONTROL] if control else ~cells[v.CONTROL]
    counts = {name: int((these & cells[name].is_null()).sum()) for name in (v.GUIDE, v.PERTURBATION)}
    if not any(counts.values()):
        return ""
    lacking = " and ".join(f"{n:,} have no {name}" for name, n in counts.items() if n)
    return (
        f" Of {int(these.sum()):,} {'controls' if control else 'perturbed cells'} in the table {lacking}: fill the "
        f"columns that cells.columns makes them of."
    )


def _provenance(screen: Screen) -> dict[str, Any]:
    packages = ("contrascope", "numpy", "scipy", "tensorstore", "tifffile")
    settings = screen.settings.model_dump(mode="json", include={"name", "images", "cells", "crop"})
    return {"package": {name: version(name) for name in packages}, "settings": settings}
