"""Which tiles of a screen stick out, and what became of the cells of each tile and well.

A tile is judged against its plate: z is its distance from the plate's median in robust standard deviations,
1.4826 times the median absolute deviation, which a few bad tiles do not move. Where all tiles are nearly
equal a trifle would stand out, so each measure has a spread that is no news: for a count of cells that of
chance, its square root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from contrascope import vocabulary as v

STICKS_OUT = 5.0
"""Robust standard deviations from the plate's median."""
JUDGED = 12
"""Tiles a plate needs for its median and its spread to mean anything."""
SATURATED = 0.001
"""Share of saturated pixels that is worth a word; as many are clipped by default."""
CELLS, STORED, REASON, SHARE = "cells", "stored", "reason", "share"
INTENSITY, SATURATION, FOCUS, UNALIGNED = "intensity", "saturated", "focus", "unaligned"
"""What the store measures of each tile and channel, before the channel's name; see store/FORMAT.md."""
_LOOKS = (INTENSITY, SATURATION, FOCUS)
_PLACE = (v.PLATE, v.WELL, v.TILE)
_READABLE = "readable"
_OF_DROPPED = " of dropped cells"


class Scale(NamedTuple):
    """How tiles are compared in a measure.

    Attributes:
        even: Of a value, something that varies alike wherever it lies.
        spread: Standard deviation of it that is no news.
        low, high: What a tile is called that lies far below or above; empty where that is no fault.
        shown: How the value is written.
    """

    even: pl.Expr
    spread: float
    low: str
    high: str
    shown: str


_value = pl.col("value")
_SCALES = {
    CELLS: Scale(2 * _value.sqrt(), 1.0, "few cells", "many cells", "{:,.0f}"),
    INTENSITY: Scale(_value.clip(1e-30).log(), 0.05, "dim", "bright", "{:,.4g}"),
    SATURATION: Scale(_value, SATURATED / STICKS_OUT, "", "saturated", "{:.2%}"),
    # Blur divides, and a thousandth is as good as nothing.
    FOCUS: Scale(_value.clip(1e-3).log(), 0.1, "blurred", "unusually detailed", "{:.3f}"),
}
_SIGNS: dict[str, pl.DataType] = {
    **dict.fromkeys((*_PLACE, "measure", "channel", "what"), pl.String()),
    **dict.fromkeys(("value", "plate_median", "z"), pl.Float64()),
    REASON: pl.String(),
}


@dataclass(frozen=True)
class Quality:
    """What a screen's quality is judged by.

    Attributes:
        channels: Names of the channels.
        tiles: One row a tile: what the store measured, ``cells`` in the table, ``stored``, and a column for each
            reason why cells were dropped.
        wells: The same counts, one row a well.
        drops: One row a reason: ``reason cells share``, the most frequent first.
        signs: One row a tile and thing in which it sticks out: ``plate well tile measure channel what value
            plate_median z reason``, the clearest first. z is null where there is nothing to compare.
        notes: What the store says should be known of it.
    """

    channels: list[str]
    tiles: pl.DataFrame
    wells: pl.DataFrame
    drops: pl.DataFrame
    signs: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether the store holds how its tiles look."""
        return all(f"{look} {name}" in self.tiles.columns for look in _LOOKS for name in self.channels)

    @property
    def reasons(self) -> list[str]:
        """Why cells were dropped."""
        return self.drops[REASON].to_list()

    def outliers(self) -> pl.DataFrame:
        """One row a tile that sticks out, the clearest first: ``plate well tile cells stored z why``."""
        why = self.signs.group_by(_PLACE, maintain_order=True).agg(
            pl.col("z").abs().max().alias("largest |z|"), pl.col(REASON).str.join("; ").alias("why")
        )
        counted = why.join(self.tiles.select(*_PLACE, CELLS, STORED), on=_PLACE, how="left", maintain_order="left")
        return counted.select(*_PLACE, CELLS, STORED, "largest |z|", "why")

    def sticks_out(self, measure: str, channel: str = "") -> pl.Series:
        """(T,) whether each tile sticks out in this measure."""
        mine = (pl.col("measure") == measure) & (pl.col("channel") == channel)
        found = self.signs.filter(mine).select(*_PLACE, pl.lit(value=True).alias("found"))
        return self.tiles.join(found, on=_PLACE, how="left", maintain_order="left")["found"].fill_null(value=False)


def judge_quality(
    tiles: pl.DataFrame,
    cells: pl.DataFrame,
    dropped: pl.DataFrame,
    channels: Sequence[str],
    *,
    notes: Sequence[str] = (),
) -> Quality:
    """Counts by tile, well and reason, and the tiles that stick out.

    Args:
        tiles: The store's table of tiles; one made before tiles were measured lacks columns, and is counted only.
        cells: The store's cells: ``plate well tile``, and ``tile_row tile_column`` if the screen knows them.
        dropped: The cells that are not stored: ``plate well tile reason``, and a place in the grid as above.
        channels: Names of the channels.
        notes: What the store says should be known of it.
    """
    drops = dropped.group_by(REASON).agg(pl.len().alias(CELLS)).sort(CELLS, REASON, descending=[True, False])
    drops = drops.with_columns((pl.col(CELLS) / max(1, cells.height + dropped.height)).alias(SHARE))
    table = _counted(tiles, cells, dropped, drops[REASON].to_list())
    counts = [CELLS, STORED, *drops[REASON].to_list()]
    wells = table.group_by(v.PLATE, v.WELL, maintain_order=True).agg(pl.col(counts).sum())
    return Quality(list(channels), table, wells, drops, _signs(table, channels), tuple(notes))


def _counted(tiles: pl.DataFrame, cells: pl.DataFrame, dropped: pl.DataFrame, reasons: list[str]) -> pl.DataFrame:
    """The table of tiles with the cells stored and dropped in each, and its place in the well's grid."""
    grid = [name for name in (v.TILE_ROW, v.TILE_COLUMN) if name in cells.columns]
    stored = cells.group_by(_PLACE).agg(pl.len().alias(STORED), pl.col(grid).first())
    # A tile of which no cell is stored has its place from those that were dropped.
    known = [name for name in grid if name in dropped.columns]
    counts = [(pl.col(REASON) == why).sum().alias(why) for why in reasons]
    lost = dropped.group_by(_PLACE).agg(*counts, pl.col(known).first().name.suffix(_OF_DROPPED))
    table = tiles.drop(CELLS, strict=False).join(stored, on=_PLACE, how="left", maintain_order="left")
    table = table.join(lost, on=_PLACE, how="left", maintain_order="left")
    table = table.with_columns(pl.coalesce(name, name + _OF_DROPPED) for name in known)
    table = table.drop(name + _OF_DROPPED for name in known)
    table = table.with_columns(pl.col(STORED, *reasons).fill_null(0).cast(pl.Int64))
    return table.with_columns(pl.sum_horizontal(STORED, *reasons).alias(CELLS))


def _signs(tiles: pl.DataFrame, channels: Sequence[str]) -> pl.DataFrame:
    """In what each tile sticks out, the clearest first."""
    asked = [(CELLS, "", CELLS), *((look, name, f"{look} {name}") for name in channels for look in _LOOKS)]
    found = [_unread(tiles)]
    for measure, channel, column in asked:
        if column in tiles.columns:
            values = tiles.select(*_PLACE, pl.col(column).cast(pl.Float64).alias("value"))
            found.append(_far_off(values, measure, channel))
        if measure == FOCUS and column in tiles.columns:
            found.append(_without_structure(tiles, channel))
    signs = pl.concat(found)
    return signs.sort(pl.col("z").abs(), descending=True, nulls_last=False, maintain_order=True)


def _far_off(values: pl.DataFrame, measure: str, channel: str) -> pl.DataFrame:
    """Tiles that lie far from their plate's median in one measure."""
    scale = _SCALES[measure]
    even = values.with_columns(scale.even.alias("even")).with_columns(
        _value.median().over(v.PLATE).alias("plate_median"),
        (pl.col("even") - pl.col("even").median().over(v.PLATE)).alias("off"),
        _value.count().over(v.PLATE).alias("judged"),
    )
    spread = (1.4826 * pl.col("off").abs().median().over(v.PLATE)).clip(scale.spread)
    far = even.with_columns((pl.col("off") / spread).alias("z")).filter(
        pl.col("judged") >= JUDGED, pl.col("z").abs() > STICKS_OUT
    )
    rows = []
    for row in far.iter_rows(named=True):
        if what := scale.high if row["z"] > 0 else scale.low:
            here, there = scale.shown.format(row["value"]), scale.shown.format(row["plate_median"])
            reason = f"{channel} {what} ({here}; plate {there})".strip()
            rows.append(row | {"measure": measure, "channel": channel, "what": what, REASON: reason})
    return _as_signs(rows)


def _without_structure(tiles: pl.DataFrame, channel: str) -> pl.DataFrame:
    """Tiles with nothing but noise in a channel that shows structure in most tiles of the plate."""
    focus, measured = pl.col(f"{FOCUS} {channel}"), pl.col(f"{INTENSITY} {channel}").is_not_null()
    told = (focus.count() * 2 > measured.sum()).over(v.PLATE)
    empty = tiles.filter(measured & focus.is_null() & told & (measured.sum().over(v.PLATE) >= JUDGED))
    what = "nothing but noise"
    facts = {"measure": FOCUS, "channel": channel, "what": what, REASON: f"{channel} {what}"}
    return _as_signs([row | facts for row in empty.select(_PLACE).iter_rows(named=True)])


def _unread(tiles: pl.DataFrame) -> pl.DataFrame:
    """Tiles that could not be read, or of which no cell is stored."""
    readable = pl.col(_READABLE) if _READABLE in tiles.columns else pl.lit(value=True)
    rows = []
    for row in tiles.select(*_PLACE, STORED, readable.alias(_READABLE)).iter_rows(named=True):
        if not row[_READABLE] or not row[STORED]:
            what = "no cell stored" if row[_READABLE] else "cannot be read"
            rows.append({name: row[name] for name in _PLACE} | {"measure": STORED, "what": what, REASON: what})
    return _as_signs(rows)


def _as_signs(rows: list[dict[str, object]]) -> pl.DataFrame:
    filled = [{"channel": "", "value": None, "plate_median": None, "z": None} | row for row in rows]
    return pl.DataFrame([{name: row[name] for name in _SIGNS} for row in filled], schema=_SIGNS)
