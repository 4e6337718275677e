"""What whoever uses a store should know of it, in sentences: said when it is made, and in the report."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from contrascope import vocabulary as v
from contrascope.errors import first_few

UNALIGNED = "unaligned"
"""What its columns in the table of tiles are called, before the channel."""


def notes_on_tiles(tiles: pl.DataFrame, channels: Sequence[str]) -> list[str]:
    """Which channels of which plates were left as they are, since too few of the plate's tiles agree how they lie.

    Args:
        tiles: The store's table of tiles.
        channels: Their names.
    """
    left = []
    for name in channels:
        if (column := f"{UNALIGNED} {name}") in tiles.columns:
            counts = tiles.group_by(v.PLATE, maintain_order=True).agg(
                pl.col(column).sum(), pl.col(column).count().alias("of")
            )
            left += [f"{name} in {n:,} of {of:,} tiles of plate {plate}" for plate, n, of in counts.iter_rows() if n]
    if not left:
        return []
    return [
        f"Channels were left as they are, not shifted onto the reference channel, where a tile did not say clearly how "
        f"they lie and too few others of its plate agreed: {first_few(left, 8)}. Look whether they fit on each other "
        f"there; where they show next to nothing this is as it should be."
    ]


def notes_on_places(cells: pl.DataFrame) -> list[str]:
    """How many cells lie exactly where another one does, which a table exported twice does to all of them.

    Args:
        cells: With the columns cell_id, plate, well and tile, in one spelling, y and x.
    """
    place = cells.select(v.PLATE, v.WELL, v.TILE, v.Y, v.X)
    hashes = place.hash_rows().sort()
    if not (hashes[1:] == hashes[:-1]).any():
        return []
    again = cells.filter(place.is_duplicated()).sort(v.PLATE, v.WELL, v.TILE, v.Y, v.X, v.CELL_ID)
    return [
        f"{again.height:,} cells lie exactly where another one lies, {' and '.join(again[v.CELL_ID][:2])} for "
        f"instance. If they are the same cells under other ids, each counts more than once: take the repeated rows out "
        f"of the table."
    ]
