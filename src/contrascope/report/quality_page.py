"""Quality control in the report: which figures are worth drawing, and what is said of them.

A figure is left out where it could show nothing: a plate map of one well, tiles where there is one a well, or
saturation where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from matplotlib.figure import Figure

from contrascope import vocabulary as v
from contrascope.figures.drops import cells_by_well, drops_by_reason
from contrascope.figures.layout import layout_of, lie_on_a_plate
from contrascope.figures.plates import Shown, plate_maps
from contrascope.figures.shifts import channel_shifts
from contrascope.report.quality import (
    CELLS,
    FOCUS,
    INTENSITY,
    JUDGED,
    SATURATED,
    SATURATION,
    STICKS_OUT,
    STORED,
    UNALIGNED,
    Quality,
)
from contrascope.report.report import Block, Picture, Section, Table, Text

PLATES_SHOWN = 6
"""Plates drawn on maps: those with most tiles that stick out."""
LISTED = 20
"""Tiles named in the report; the table beside it has all of them."""
_PLATE_MAP = 12
"""Wells from which a map of them says more than bars."""
_FEW_TILES = 4
_PLACE = (v.PLATE, v.WELL, v.TILE, v.TILE_ROW, v.TILE_COLUMN)
_LABELS = {
    FOCUS: "focus (share of fine detail)",
    INTENSITY: "mean intensity (counts)",
    SATURATION: "saturated pixels (%)",
}
_CAPTIONS = {
    "cells_per_well": "Cells of each well that are stored, and those dropped. Look for empty wells, and for rows, "
    "columns or rims of the plate that hold fewer cells than the rest.",
    "cells_per_tile": "Cells of each tile in the cell table.",
    FOCUS: "Focus: the share of detail of 2.5 to 8 pixels in all structure of up to 40 pixels. Blur lowers it, "
    "brightness does not; the look of the cells changes it as well, so compare tiles of one channel and similar "
    "treatment. Grey: nothing but noise, or not measured.",
    INTENSITY: "Mean intensity of each tile as it was read. Look for gradients across the plate, and for wells that "
    "were stained or exposed unlike the others.",
    SATURATION: "Share of pixels at the highest value that the detector or the file can hold. What is saturated has "
    "lost its shape; up to 0.1 % of the pixels is clipped in any case.",
    "drops": "Cells that are not in the store, by reason.",
    "shifts": "Shift of each channel against the reference channel, a point a tile; undone in whole pixels, or "
    "between them where images.resample says subpixel. Crosses are medians of a plate, with the number of "
    "tiles whose own shift was unclear and that took the median; a tile that was left as it is lies at 0.",
}


def quality_figures(quality: Quality, moved: Sequence[str]) -> dict[str, tuple[Figure, pd.DataFrame]]:
    """Figures worth drawing, each with its numbers.

    Args:
        quality: Of the screen.
        moved: Channels that were shifted onto the reference channel.
    """
    figures = _of_wells(quality) | _of_tiles(quality)
    if len(quality.reasons) > 1:
        drops = quality.drops.to_pandas()
        figures["drops"] = drops_by_reason(drops), drops
    if moved and all(f"shift_y {name}" in quality.tiles.columns for name in moved):
        figures["shifts"] = _shifts(quality, moved)
    return figures


def quality_section(quality: Quality, figures: Path) -> Section:
    """What was found, in words; the tiles that stick out; the figures that were drawn."""
    blocks: list[Block] = [Text(_headline(quality)), Text(_meaning(quality)), *_listed(quality)]
    blocks += [Text(sentence) for sentence in _sentences(quality)]
    notes = _notes(quality)
    for name, caption in _CAPTIONS.items():
        if (path := figures / f"{name}.png").exists():
            blocks.append(Picture(path, f"{caption}{notes if name in ('cells_per_tile', *_LABELS) else ''}"))
    return Section("Quality control", blocks)


def _of_wells(quality: Quality) -> dict[str, tuple[Figure, pd.DataFrame]]:
    wells = quality.wells.to_pandas()
    if len(wells) < 2:
        return {}
    most = int(wells.groupby(v.PLATE, observed=True).size().max())
    if most < _PLATE_MAP or not lie_on_a_plate(wells[v.WELL].tolist()):
        return {"cells_per_well": (cells_by_well(wells, quality.reasons), wells)}
    here = wells[wells[v.PLATE].isin(_plates_shown(quality))]
    shown = {"stored": Shown(here[STORED].to_numpy(float), "cells stored", from_zero=True)}
    if quality.reasons:
        dropped = 100 * (1 - here[STORED] / here[CELLS].clip(lower=1)).to_numpy(float)
        shown["dropped"] = Shown(dropped, "cells dropped (% of the well's)", from_zero=True)
    return {"cells_per_well": (plate_maps(here, shown), wells)}


def _of_tiles(quality: Quality) -> dict[str, tuple[Figure, pd.DataFrame]]:
    tiles = quality.tiles.to_pandas()
    if len(tiles) < _FEW_TILES:
        return {}
    here = tiles[v.PLATE].isin(_plates_shown(quality)).to_numpy()
    place = [name for name in _PLACE if name in tiles.columns]
    figures = {}
    if len(tiles) > quality.wells.height:
        framed = quality.sticks_out(CELLS).to_numpy()[here]
        shown = {"": Shown(tiles[CELLS].to_numpy(float)[here], "cells in the table", framed, from_zero=True)}
        figures["cells_per_tile"] = plate_maps(tiles[here], shown), tiles[[*place, CELLS, STORED, *quality.reasons]]
    for look in _LABELS if quality.measured else ():
        columns = {name: f"{look} {name}" for name in quality.channels}
        worth = {name: column for name, column in columns.items() if _shows_something(tiles[column], look)}
        if worth:
            shown = {name: _shown(quality, look, name, tiles[column], here) for name, column in worth.items()}
            figures[look] = plate_maps(tiles[here], shown), tiles[[*place, *columns.values()]]
    return figures


def _shows_something(values: pd.Series, look: str) -> bool:
    values = values.astype(float)
    return bool(values.notna().any() and (look != SATURATION or values.max() > SATURATED / 10))


def _shown(quality: Quality, look: str, channel: str, values: pd.Series, here: np.ndarray) -> Shown:
    factor = 100.0 if look == SATURATION else 1.0
    return Shown(
        factor * values.to_numpy(float)[here],
        _LABELS[look],
        quality.sticks_out(look, channel).to_numpy()[here],
        from_zero=look == SATURATION,
    )


def _shifts(quality: Quality, moved: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    tiles, columns = quality.tiles, quality.tiles.columns
    places = [c for c in _PLACE if c in columns]
    facts = [f"{fact} {c}" for c in moved for fact in ("shift_y", "shift_x", "quality", "fallback", UNALIGNED)]
    shifts = {c: tiles.select(f"shift_y {c}", f"shift_x {c}").cast(pl.Float64).to_numpy() for c in moved}
    stood_in = {c: _fallback(quality, c).to_numpy() for c in moved}
    numbers = tiles.select(*places, *[fact for fact in facts if fact in columns]).to_pandas()
    return channel_shifts(shifts, stood_in=stood_in), numbers


def _fallback(quality: Quality, channel: str) -> pl.Series:
    """(T,) whether the plate's median stood in for a tile's own shift."""
    return _flag(quality, f"fallback {channel}") & ~_flag(quality, f"{UNALIGNED} {channel}")


def _flag(quality: Quality, name: str) -> pl.Series:
    """(T,) a column of truth; False where it is not known, as of tiles not read and in stores without it."""
    if name not in quality.tiles.columns:
        return pl.Series(name, [False]).new_from_index(0, quality.tiles.height)
    return quality.tiles[name].fill_null(value=False)


def _plates_shown(quality: Quality) -> list[str]:
    """As many plates as there is room for, those with most tiles that stick out."""
    plates = quality.tiles[v.PLATE].unique(maintain_order=True).to_list()
    bad = dict(quality.outliers()[v.PLATE].value_counts().iter_rows())
    chosen = sorted(plates, key=lambda plate: -bad.get(plate, 0))[:PLATES_SHOWN]
    return [plate for plate in plates if plate in chosen]


def _headline(quality: Quality) -> str:
    total, out = quality.tiles.height, quality.outliers()
    if out.is_empty():
        return f"None of {total:,} tiles sticks out."
    kinds = quality.signs.group_by("what").agg(pl.struct(v.PLATE, v.WELL, v.TILE).n_unique().alias("tiles"))
    kinds = kinds.sort("tiles", "what", descending=[True, False])
    listed = ", ".join(f"{n:,} {what}" for what, n in kinds.iter_rows())
    text = f"{out.height:,} of {total:,} tiles {'sticks' if out.height == 1 else 'stick'} out: {listed}."
    plate, well, n = out.group_by(v.PLATE, v.WELL).len("n").sort("n", descending=True).row(0)
    if n >= 3 and 2 * n >= out.height:
        text += f" {n:,} of them lie in well {well} of plate {plate}: look there first."
    return text


def _meaning(quality: Quality) -> str:
    text = (
        f"A tile sticks out where it lies more than {STICKS_OUT:g} robust standard deviations from the median of its "
        "plate in its number of cells, or in the intensity, saturation or focus of a channel. Look at such tiles "
        "before you trust their cells: what is wrong with a tile is shared by all cells in it."
    )
    few = quality.tiles[v.PLATE].value_counts().filter(pl.col("count") < JUDGED).height
    if few:
        text += f" {few:,} plate{'s' * (few > 1)} of fewer than {JUDGED} tiles cannot be judged this way."
    if not quality.measured:
        text += (
            " How the tiles look was not measured in this store, which is older than these measurements or made from "
            "ready crops: focus, intensity and saturation are not known. Delete it and extract the cells again to "
            "have them."
        )
    return text


def _listed(quality: Quality) -> list[Table]:
    out = quality.outliers()
    if out.is_empty():
        return []
    more = f"; {out.height - LISTED:,} more are in outliers.csv" if out.height > LISTED else ""
    caption = f"Tiles that stick out, and why, the clearest first{more}. z is in robust standard deviations."
    return [Table(out.head(LISTED).to_pandas(), caption, decimals=1)]


def _sentences(quality: Quality) -> list[str]:
    """What was found of cells, saturation, focus and shifts, a sentence each, and what the store says itself."""
    found = [_on_cells(quality)]
    if quality.measured:
        found += [_on_saturation(quality), *_on_noise(quality)]
    return [*found, *_on_shifts(quality), *quality.notes]


def _on_cells(quality: Quality) -> str:
    wells, rows = quality.wells, int(quality.tiles[CELLS].sum())
    text = ""
    if wells.height > 1:
        low, high = np.percentile(wells[STORED].to_numpy(), (0, 100))
        text = f"A well holds {low:,.0f} to {high:,.0f} stored cells. "
    lost = rows - int(quality.tiles[STORED].sum())
    if not lost:
        return f"{text}No cell was dropped."
    reasons = ", ".join(f"{why} ({n:,})" for why, n, _ in quality.drops.iter_rows())
    return f"{text}{lost:,} of {rows:,} cells ({lost / rows:.1%}) were dropped: {reasons}."


def _on_saturation(quality: Quality) -> str:
    parts = []
    for name in quality.channels:
        share = quality.tiles[f"{SATURATION} {name}"]
        if n := int((share > SATURATED).sum()):
            most = float(share.to_numpy()[share.is_not_null().to_numpy()].max())
            parts.append(f"in {n:,} of {share.count():,} tiles of {name} (at most {most:.1%})")
    if not parts:
        return f"No tile has more than {SATURATED:.1%} saturated pixels in any channel."
    return f"More than {SATURATED:.1%} of the pixels are saturated {'; '.join(parts)}."


def _on_noise(quality: Quality) -> list[str]:
    measured, found = quality.tiles[f"{INTENSITY} {quality.channels[0]}"].is_not_null(), []
    for name in quality.channels:
        if n := int((measured & quality.tiles[f"{FOCUS} {name}"].is_null()).sum()):
            found.append(f"{name} shows nothing but noise in {n:,} of {int(measured.sum()):,} tiles.")
    return found


def _on_shifts(quality: Quality) -> list[str]:
    measured = f"shift_y {quality.channels[0]}"
    if measured not in quality.tiles.columns:
        return []
    total = quality.tiles[measured].count()
    tiles = {name: int(_fallback(quality, name).sum()) for name in quality.channels}
    unclear = [f"{name} in {n:,} of {total:,}" for name, n in tiles.items() if n]
    if not unclear:
        return []
    return [
        f"In some tiles the shift of a channel was unclear, and the plate's median was taken: {', '.join(unclear)}."
    ]


def _notes(quality: Quality) -> str:
    """What else there is to know of maps of tiles."""
    text = " Framed: tiles that stick out."
    plates = quality.tiles[v.PLATE].n_unique()
    if plates > PLATES_SHOWN:
        text += f" {PLATES_SHOWN} of {plates:,} plates are shown, those with most tiles that stick out."
    layout = layout_of(quality.tiles.to_pandas())
    if layout.by_number:
        text += " Tiles of a well stand in the order of their numbers, as the table does not say where they lie."
    if (layout.place < 0).any():
        text += " Tiles without a stored cell are left white, as their place is not known."
    return text
