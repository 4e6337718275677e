"""The planted truth of a screen: of each cell, of genes and guides, and of the microscope."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contrascope.screen.simulation.artifacts import HAZE, READ_NOISE, Camera, WellOptics
from contrascope.screen.simulation.cells import PHASES, RIM_SIZE, Cells
from contrascope.screen.simulation.design import CHANNELS, GENES_PER_COMPLEX, PHENOTYPES, STRUCTURES, Design


def of_cells(cells: Cells, uid: pl.Series) -> pl.DataFrame:
    """One row a cell, to be joined with the cell table by ``UID``; lengths in pixels, light in counts."""
    columns = {
        "UID": uid,
        "penetrant": cells.penetrant,
        "phase": [PHASES[i] for i in cells.phase],
        "dna": cells.dna,
        "radius": cells.radius,
        "elongation": cells.elongation,
        "orientation": cells.orientation,
        "nucleus_radius": cells.nucleus_radius,
        "nucleus_offset_y": cells.nucleus_offset[:, 0],
        "nucleus_offset_x": cells.nucleus_offset[:, 1],
        "texture_amplitude": cells.texture_amplitude,
        "texture_scale": cells.texture_scale,
        "foci": cells.foci,
        "bundles": cells.bundles,
        "fibres": cells.fibres,
        "cortex": cells.cortex,
        "structure": [STRUCTURES[i] for i in cells.structure],
        "structure_strength": cells.strength,
    }
    return pl.DataFrame(columns | {f"light_{name}": cells.light[:, c] for c, name in enumerate(CHANNELS)})


def of_genes(design: Design) -> dict[str, Any]:
    """What was planted on purpose: complexes, genes and guides."""
    inert = {"kind": "inert", "phenotype": "none"}
    return {
        "complexes": {
            name: {"kind": p.kind, "phenotype": p.words, "function": p.function, "n_genes": GENES_PER_COMPLEX}
            for name, p in PHENOTYPES.items()
        },
        "genes": {
            g.name: {"complex": g.complex, "strength": g.strength}
            | ({"kind": g.phenotype.kind, "phenotype": g.phenotype.words} if g.phenotype else inert)
            for g in design.genes
        },
        "guides": {g.name: {"gene": g.label, "penetrance": g.penetrance} for g in design.guides},
    }


def of_artifacts(
    camera: Camera, optics: dict[str, WellOptics], shifts: dict[str, np.ndarray], rim_density: float
) -> dict[str, Any]:
    """What was planted as by accident.

    Args:
        optics: ``plate_well`` -> its gains and offsets.
        shifts: ``plate_well_tile`` -> (C, 2) relative to DAPI.
        rim_density: Cells per area in tiles at the rim of a well, relative to inner ones.
    """
    return {
        "wells": {well: {"gain": _by_channel(o.gain), "offset": _by_channel(o.offset)} for well, o in optics.items()},
        "illumination": {
            name: {"falloff": falloff, "middle": middle}
            for name, falloff, middle in zip(CHANNELS, camera.falloff.tolist(), camera.middle.tolist(), strict=True)
        },
        "shift": {tile: _by_channel(shift) for tile, shift in shifts.items()},
        "hot_pixels": _by_channel(camera.hot),
        "haze": dict(zip(CHANNELS, HAZE, strict=True)),
        "read_noise": READ_NOISE,
        "well_rim": {"density": rim_density, "radius": RIM_SIZE},
    }


def _by_channel(values: np.ndarray) -> dict[str, Any]:
    return dict(zip(CHANNELS, values.tolist(), strict=True))


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Values as JSON; lists of numbers stay on one line for the reader's sake."""
    path.write_text("\n".join(_json_lines(values)) + "\n", encoding="utf-8")


def _json_lines(value: Any, indent: str = "", key: str | None = None, end: str = "") -> Iterator[str]:
    head = indent + ("" if key is None else f"{json.dumps(key)}: ")
    nested = isinstance(value, dict) and any(isinstance(v, dict) for v in value.values())
    if not nested:
        yield head + json.dumps(value, ensure_ascii=False) + end
        return
    yield head + "{"
    for i, (name, item) in enumerate(value.items(), start=1):
        yield from _json_lines(item, indent + " ", name, "," if i < len(value) else "")
    yield indent + "}" + end
