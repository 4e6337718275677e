"""A screen in a notebook: what is in it, and one tile where that is quickly read."""

from __future__ import annotations

from html import escape

import polars as pl

from contrascope import vocabulary as v
from contrascope.figures.composite import colour_key, composite
from contrascope.notebook.page import block, facts_table, folded, picture
from contrascope.screen.screen import Screen
from contrascope.shown import or_why

SIDE = 320
LARGEST = 1 << 25
"""Numbers in a tile, of all channels: more would take long to read."""


def screen_html(screen: Screen) -> str:
    """The screen as HTML."""
    settings = screen.settings.model_dump(mode="json", exclude_defaults=True)
    return block(
        f"Screen '{screen.settings.name}'",
        facts_table(_facts(screen)),
        or_why(lambda: _tile(screen), what="tile"),
        folded("settings", settings),
    )


def _facts(screen: Screen) -> dict[str, object]:
    cells, tiles = screen.cells, screen.tiles
    controls = int(cells[v.CONTROL].sum())
    wells = tiles.select(v.PLATE, v.WELL).n_unique()
    return {
        "cells": f"{cells.height:,}, of which {controls:,} are controls",
        "perturbations": f"{cells.filter(~pl.col(v.CONTROL))[v.PERTURBATION].n_unique():,}",
        "guides": f"{cells[v.GUIDE].n_unique():,}",
        "tiles": f"{tiles.height:,} in {wells:,} wells of {tiles[v.PLATE].n_unique():,} plates, {screen.dtype}",
        "channels": ", ".join(screen.settings.images.channel_names),
        "crop": f"{screen.settings.crop.size} pixels",
        "cell table": screen.settings.cells.table,
    }


def _tile(screen: Screen) -> str:
    """The first tile that can be used, every so-many-th pixel of it; nothing where it is large."""
    channels = screen.settings.images.channel_names
    shape = pl.col("height") * pl.col("width") * len(channels)
    small = screen.tiles.with_row_index().filter(shape <= LARGEST)  # null where a tile is skipped
    if small.is_empty():
        return ""
    key = screen.keys()[int(small["index"][0])]
    pixels = screen.reader.read(key)
    every = max(1, max(pixels.shape[1:]) // SIDE)
    colour = composite(pixels[None, :, ::every, ::every])[0]
    return f"{picture(colour, str(key), side=SIDE)}<p>{escape(f'{key}. Colours: {colour_key(channels)}.')}</p>"
