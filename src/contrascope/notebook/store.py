"""A store in a notebook: what it holds, where it came from, and some of its cells."""

from __future__ import annotations

from html import escape

from contrascope import vocabulary as v
from contrascope.figures.composite import colour_key, composite
from contrascope.notebook.page import block, chosen_rows, facts_table, folded, strip
from contrascope.shown import or_why
from contrascope.store.store import CropStore

CELLS = 8
COUNTED = 2_000_000
"""Cells whose perturbations are read to be counted; of more, it would take seconds."""


def store_html(store: CropStore) -> str:
    """The store as HTML."""
    return block(
        f"Store '{store.name}'",
        or_why(lambda: facts_table(_facts(store)), what="table of facts"),
        or_why(lambda: _cells(store), what="strip of cells"),
        folded("provenance", {"fingerprint": store.fingerprint} | store.provenance),
    )


def names_of(store: CropStore, rows: list[int]) -> list[str]:
    """Perturbations of some cells; their rows, where a column would be long to read."""
    if len(store) > COUNTED:
        return [f"row {row:,}" for row in rows]
    return [str(name) for name in store.column(v.PERTURBATION).gather(rows)]


def _facts(store: CropStore) -> dict[str, object]:
    H, W = store.crop_size
    many = len(store) > COUNTED
    return {
        "cells": str(store.account),
        "a cell": f"{len(store.channels)} channels x {H} x {W} pixels, {store.dtype}",
        "pixel": None if store.pixel_size_um is None else f"{store.pixel_size_um:g} µm",
        "channels": ", ".join(store.channels),
        "perturbations": "not counted, as the cells are many" if many else f"{len(store.perturbations):,}",
        "path": store.path,
    }


def _cells(store: CropStore) -> str:
    rows = chosen_rows(len(store), most=CELLS)
    shown = strip(composite(store.read(rows)), names_of(store, rows.tolist()))
    return f"{shown}<p>Drawn at random. Colours: {escape(colour_key(store.channels))}.</p>"
