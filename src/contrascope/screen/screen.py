"""A screen that has been checked at the door: tiles that exist and fit, cells that lie in them.

Every later stage trusts what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contrascope import vocabulary as v
from contrascope.config import ImageSettings, ScreenSettings, fingerprint, load_screen_settings
from contrascope.errors import ScreenError, TableError, TileError, first_few
from contrascope.progress import track
from contrascope.registry import READERS
from contrascope.screen.cells import read_cells, with_canonical_places
from contrascope.screen.table_files import digest_of_table
from contrascope.screen.tiles import Bad, TileKey, TileReader, TileShape, bad_tiles
from contrascope.shown import html_of

TILE_INDEX = "tile_index"
_PLACE = (v.PLATE, v.WELL, v.TILE)
_ROWS = 1_000_000
"""Cells that are looked at together."""


@dataclass(frozen=True)
class Screen:
    """Tiles and the cells in them.

    Attributes:
        settings: The screen file.
        cells: One row a cell, sorted by tile, in the table's order within a tile; ``tile_index`` points
            into ``tiles``. Labels that cells share are categories.
        tiles: One row a tile: ``plate well tile height width cells``.
        reader: Reads a tile's pixels.
        dtype: Of the pixels, the same in all tiles.
    """

    settings: ScreenSettings
    cells: pl.DataFrame
    tiles: pl.DataFrame
    reader: TileReader
    dtype: np.dtype

    def keys(self) -> list[TileKey]:
        """Keys of the tiles, in their order."""
        return [TileKey(*row) for row in self.tiles.select(v.PLATE, v.WELL, v.TILE).iter_rows()]

    @cached_property
    def inputs(self) -> str:
        """Changes with the cell table's bytes, and with the tiles' names, sizes and a sample of their bytes."""
        return fingerprint([digest_of_table(self.settings.cells.table), self.reader.inventory()])

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the inputs, and with the settings that read them."""
        images = self.settings.images.model_dump(exclude={"pattern"})
        cells = self.settings.cells.model_dump(exclude={"table"})
        # The order of a mapping counts too: it is that of the channels.
        return fingerprint([self.inputs, self.settings.images.channel_names, images, cells])

    def __repr__(self) -> str:
        control = int(self.cells[v.CONTROL].sum())
        perturbations = self.cells.filter(~pl.col(v.CONTROL))[v.PERTURBATION].drop_nulls().n_unique()
        return (
            f"Screen '{self.settings.name}': {self.cells.height:,} cells ({control:,} controls), "
            f"{perturbations:,} perturbations, {self.tiles.height:,} tiles, "
            f"channels {', '.join(self.settings.images.channel_names)}"
        )

    def _repr_html_(self) -> str:
        return html_of(self, "screen")


def open_screen(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Screen:
    """A screen file, its cell table and its tiles' headers, checked against each other.

    Args:
        path: The screen file (YAML).
        overrides: Dotted setting -> value, on top of the file.

    Raises:
        SettingsError: The file is not a screen file.
        TableError: The cell table cannot be used.
        TileError: A tile is missing or has another number of channels.
        ScreenError: Cells lie outside their tile.
    """
    settings = load_screen_settings(Path(path), dict(overrides or {}))
    cells = with_canonical_places(read_cells(settings.cells))
    tiles = cells.lazy().group_by(_PLACE).agg(pl.len().alias("cells")).collect(engine="streaming")
    tiles = tiles.with_columns(pl.col(_PLACE).cast(pl.String)).sort(
        v.PLATE, v.WELL, pl.col(v.TILE).cast(pl.Int64, strict=False), v.TILE
    )
    keys = [TileKey(*row) for row in tiles.select(v.PLATE, v.WELL, v.TILE).iter_rows()]
    reader = READERS[settings.images.reader](settings.images, keys)
    tiles, dtype = _with_shapes(tiles, keys, reader, settings)
    cells = _placed(cells, tiles)
    _refuse_outside(cells, tiles, settings.cells.table)
    return Screen(settings, cells, tiles, reader, dtype)


def _with_shapes(
    tiles: pl.DataFrame, keys: list[TileKey], reader: TileReader, settings: ScreenSettings
) -> tuple[pl.DataFrame, np.dtype]:
    """Height and width of each tile, once channels and dtype are what they must be; null where it is to be skipped."""
    found = [_shape(reader, key) for key in track(keys, "Checking tiles", len(keys))]
    shapes = _without_bad(found, keys, settings.images)
    good = [s for s in shapes if s is not None]
    dtypes = sorted({str(s.dtype) for s in good})
    if len(dtypes) > 1:
        raise TileError(f"Tiles are of different types: {', '.join(dtypes)}. Write them all as one.")
    if dtypes[0] not in ("uint8", "uint16", "float32"):
        raise TileError(f"Tiles are of type {dtypes[0]}. We read uint8, uint16 and float32: convert them.")
    sizes = pl.DataFrame({side: [getattr(s, side, None) for s in shapes] for side in ("height", "width")})
    size, smallest = settings.crop.size, min(min(s.height, s.width) for s in good)
    if size > smallest:
        raise ScreenError(
            f"A crop of {size} x {size} pixels is larger than the smallest tile, whose shorter side is {smallest}. "
            f"Set crop.size to {smallest} or less."
        )
    return tiles.hstack(sizes), np.dtype(dtypes[0])


def _shape(reader: TileReader, key: TileKey) -> TileShape | Bad:
    """The shape of a tile, or why there is none."""
    try:
        return reader.shape(key)
    except TileError as error:
        return Bad.of(error)


def _without_bad(found: list[TileShape | Bad], keys: list[TileKey], images: ImageSettings) -> list[TileShape | None]:
    """Shapes of the tiles, None for one that cannot be used and may be skipped.

    Raises:
        TileError: Tiles cannot be used, and the screen does not say to skip them, or none can.
    """
    channels, skip = len(images.channel_names), images.on_bad_tile == "skip"
    shapes = [s if isinstance(s, TileShape) and s.channels == channels else None for s in found]
    if all(shapes) or (skip and any(shapes)):
        return shapes
    if unreadable := {key: s for key, s in zip(keys, found, strict=True) if isinstance(s, Bad)}:
        raise bad_tiles(unreadable, len(keys))
    counts = [(key, s.channels) for key, s in zip(keys, found, strict=True) if isinstance(s, TileShape)]
    wrong = [f"{key} has {n}" for key, n in counts if n != channels]
    raise TileError(
        f"{len(wrong):,} of {len(keys):,} tiles do not have the {channels} channels that the screen file names "
        f"({', '.join(images.channel_names)}): {first_few(wrong, 3)}. Name all channels under images.channels, in the "
        f"order of the planes; or, where files were cut short, see images.on_bad_tile."
    )


def _placed(cells: pl.DataFrame, tiles: pl.DataFrame) -> pl.DataFrame:
    """Cells in the order of their tiles, with the tile's index and the distance from its centre.

    The table that is given is put in order itself, column by column: two of them may be more than there is memory.
    """
    columns, places = cells.columns, tiles.select(pl.col(_PLACE).cast(pl.Categorical)).with_row_index(TILE_INDEX)
    index = of_cells(pl.col(TILE_INDEX), cells, places, on=_PLACE)
    for name in _PLACE:  # the index says it
        cells.drop_in_place(name)
    if not index.is_sorted():
        order = pl.Series(np.argsort(index.to_numpy(), kind="stable").astype(np.uint32))
        index = index.gather(order)
        for column in range(cells.width):
            cells.replace_column(column, cells.to_series(column).gather(order))
    cells = cells.with_columns(index, *[places[name].gather(index) for name in _PLACE]).select(*columns, TILE_INDEX)
    # Pixel centres run from 0 to H - 1; the border of the tile is half a pixel further.
    dy = ((pl.col(v.Y) + 0.5) / (pl.col("height") / 2) - 1).abs()
    dx = ((pl.col(v.X) + 0.5) / (pl.col("width") / 2) - 1).abs()
    distance = pl.max_horizontal(dy, dx).alias(v.FIELD_DISTANCE)
    sizes = tiles.select("height", "width").with_row_index(TILE_INDEX)
    return cells.hstack([of_cells(distance, cells, sizes, on=(TILE_INDEX,))])


def of_cells(what: pl.Expr, cells: pl.DataFrame, tiles: pl.DataFrame, *, on: tuple[str, ...]) -> pl.Series:
    """Something about each cell that depends on its tile.

    Only some cells at a time get their tile's columns. (Polars' streaming engine would do the same, but where an
    expression has a condition it may change the order of the rows.)

    Args:
        what: Of columns of both.
        cells: One row a cell.
        tiles: What is to be known of a tile.
        on: Columns of both that say which tile.
    """
    needed = [name for name in cells.columns if name in (*on, *what.meta.root_names())]
    # Not cells.select: where columns are in pieces of different lengths it copies all of them.
    parts = pl.DataFrame([cells[name] for name in needed]).iter_slices(_ROWS)
    return pl.concat(
        part.join(tiles, on=on, how="left", maintain_order="left").select(what) for part in parts
    ).to_series()


def _refuse_outside(cells: pl.DataFrame, tiles: pl.DataFrame, path: Path) -> None:
    outside = cells[v.FIELD_DISTANCE] > 1
    if not outside.any():
        return
    worst = cells.row(int(outside.arg_max() or 0), named=True)
    worst |= tiles.row(worst[TILE_INDEX], named=True)
    raise TableError(
        f"{int(outside.sum()):,} of {cells.height:,} cells of {path} lie outside their tile, the first at "
        f"y={worst[v.Y]:g}, x={worst[v.X]:g} in a tile of {worst['height']} x {worst['width']} pixels "
        f"(cell {worst[v.CELL_ID]}, well {worst[v.WELL]}, tile {worst[v.TILE]}). y is the row and x the column, in "
        f"pixels of the tile. Are they swapped, or in other units, or of the whole well? Correct cells.columns."
    )
