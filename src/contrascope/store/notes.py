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
