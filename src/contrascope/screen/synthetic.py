"""A synthetic optical pooled screen on disk, as a microscope and an upstream pipeline would leave it.

What genes do, how cells vary and what the microscope adds are known, in ``truth.json`` and
``truth_cells.parquet``, so that every later stage can be held against the truth. A tile depends on the seed and
its place only, and equal seeds write equal bytes (on one machine: another may round differently).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from contrascope.addresses import local_path
from contrascope.screen.simulation import artifacts, shapes, truth, write
from contrascope.screen.simulation.cells import draw_cells, place_cells
from contrascope.screen.simulation.design import CHANNELS, NONTARGETING, Design, Preset, design_screen, preset_named
from contrascope.screen.simulation.render import paint_cells

RIM_DENSITY = 1.35
"""Cells per area in tiles at the rim of a well, relative to inner ones."""
BORDER = 22
"""Cells with centres up to so many pixels outside a tile reach into it; the table does not list them."""
MARGIN = BORDER + shapes.CENTRE + 1


class _Tile(NamedTuple):
    """A place in the screen, by name and by number."""

    plate: str
    well: str
    tile: int
    key: tuple[int, int, int]

    @property
    def well_name(self) -> str:
        return f"{self.plate}_{self.well}"

    @property
    def name(self) -> str:
        return f"{self.well_name}_{self.tile}"


def synthetic_screen(
    out: str | Path,
    *,
    preset: str = "small",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes a screen with planted truth and returns the path of its ``screen.yaml``.

    Args:
        out: A folder that is empty or does not exist.
        preset: ``tiny`` (about 400 cells that are not near an edge), ``small`` (10^4) or ``medium`` (10^5).
        seed: Equal seeds write equal bytes.
        progress: Called after each tile with tiles done and tiles in all.

    Raises:
        SettingsError: Unknown preset, or ``out`` is a URL.
        ScreenError: ``out`` is not empty.
    """
    chosen, out = preset_named(preset), local_path(out)
    write.prepare_folder(out)
    design = design_screen(chosen, np.random.default_rng([seed, 0]))
    microscope = _microscope(design, seed)
    tables, truths = [], []
    for done, place in enumerate(_tiles(design), start=1):
        table, hidden = _write_tile(out, design, place, microscope, seed)
        tables.append(table)
        truths.append(hidden)
        if progress:
            progress(done, chosen.n_tiles)
    cells = pl.concat(tables)
    cells.write_parquet(out / "cells.parquet")
    pl.concat(truths).write_parquet(out / "truth_cells.parquet")
    write.write_annotations(out, design)
    n_controls = int((cells["gene_symbol_0"] == NONTARGETING).sum())
    head = {"seed": seed, "preset": preset, "n_cells": len(cells), "n_controls": n_controls}
    planted = truth.of_artifacts(microscope.camera, microscope.optics, microscope.shifts, RIM_DENSITY)
    truth.write_json(out / "truth.json", head | truth.of_genes(design) | {"artefacts": planted})
    return write.write_screen_file(out, preset, seed)


class _Microscope(NamedTuple):
    """The camera, each well's optics and each tile's shift of channels."""

    camera: artifacts.Camera
    optics: dict[str, artifacts.WellOptics]
    shifts: dict[str, np.ndarray]


def _microscope(design: Design, seed: int) -> _Microscope:
    optics, shifts = {}, {}
    for place in _tiles(design):
        p, w, _ = place.key
        optics[place.well_name] = artifacts.draw_optics(np.random.default_rng([seed, 2, p, w]))
        shifts[place.name] = artifacts.draw_shift(np.random.default_rng([seed, 3, *place.key]))
    camera = artifacts.draw_camera(design.preset.tile_size, np.random.default_rng([seed, 1]))
    return _Microscope(camera, optics, shifts)


def _write_tile(
    out: Path, design: Design, place: _Tile, microscope: _Microscope, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Writes a tile; its cells and what is true of them."""
    rng = np.random.default_rng([seed, 4, *place.key])
    light, table, hidden = _grown(design, place, rng)
    optics, shift = microscope.optics[place.well_name], microscope.shifts[place.name]
    tile = artifacts.photograph(light, shift, microscope.camera, optics, rng)
    write.write_tile(out / "tiles" / f"{place.name}.ome.tif", tile)
    return table, hidden


def _tiles(design: Design) -> Iterator[_Tile]:
    for p, plate in enumerate(design.plates):
        for w, well in enumerate(design.wells):
            for tile in range(design.preset.grid**2):
                yield _Tile(plate, well, tile, (p, w, tile))


def _grown(design: Design, place: _Tile, rng: np.random.Generator) -> tuple[np.ndarray, pl.DataFrame, pl.DataFrame]:
    """The light of a tile's cells, (C, H + 2 MARGIN, W + 2 MARGIN), their table and their truth."""
    size = design.preset.tile_size
    rim = _at_rim(design.preset, place.tile)
    cells = draw_cells(design, rng.poisson(_expected_cells(design.preset, rim=rim)), rim=rim, rng=rng)
    places = place_cells(cells.radius, tile_size=size, border=BORDER, rng=rng)
    light = np.zeros((len(CHANNELS), size + 2 * MARGIN, size + 2 * MARGIN), np.float32)
    whole = np.rint(places).astype(int)
    for patch, (y, x) in zip(paint_cells(cells, rng), whole + MARGIN - shapes.CENTRE, strict=True):
        light[:, y : y + shapes.PATCH, x : x + shapes.PATCH] += patch
    # Cells are painted on whole pixels; what is left is the error of a pipeline that finds their centres.
    inside = np.flatnonzero(((places >= 0) & (places <= size - 1)).all(axis=1))
    table = write.cell_table(
        cells.take(inside), places[inside], design, plate=place.plate, well=place.well, tile=place.tile
    )
    return light, table, truth.of_cells(cells.take(inside), table["UID"])


def _at_rim(preset: Preset, tile: int) -> bool:
    row, column = divmod(tile, preset.grid)
    return min(row, column) == 0 or max(row, column) == preset.grid - 1


def _expected_cells(preset: Preset, *, rim: bool) -> float:
    """Cells of a tile and the border around it."""
    at_rim = sum(_at_rim(preset, tile) for tile in range(preset.grid**2)) / preset.grid**2
    inner = preset.cells_per_tile / (1 + (RIM_DENSITY - 1) * at_rim)
    border = ((preset.tile_size + 2 * BORDER) / preset.tile_size) ** 2
    return inner * border * (RIM_DENSITY if rim else 1.0)
