"""The files that a microscope and an upstream pipeline leave: tiles, the cell table, annotations, the screen file."""

from __future__ import annotations

import csv
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tifffile
import yaml

from contrascope.errors import ScreenError
from contrascope.litter import is_bare
from contrascope.screen.simulation.cells import Cells
from contrascope.screen.simulation.design import CHANNELS, CROP_SIZE, NONTARGETING, PHENOTYPES, PIXEL_SIZE_UM, Design


def prepare_folder(out: Path) -> None:
    """Makes an empty folder for a screen.

    Raises:
        ScreenError: There is something at ``out`` already.
    """
    if out.exists() and not is_bare(out):
        raise ScreenError(
            f"{out} is not an empty folder, and a synthetic screen is not written over what is there. "
            f"Name a folder that does not exist yet, or empty this one."
        )
    (out / "tiles").mkdir(parents=True, exist_ok=True)


def write_tile(path: Path, tile: np.ndarray) -> None:
    """A tile (C, H, W) as OME-TIFF; equal pixels under an equal name give equal bytes."""
    metadata = {
        "axes": "CYX",
        "Channel": {"Name": list(CHANNELS)},
        "PhysicalSizeX": PIXEL_SIZE_UM,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": PIXEL_SIZE_UM,
        "PhysicalSizeYUnit": "µm",
        # OME wants an identifier; a random one would make equal screens differ.
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_URL, path.name)),
    }
    # Level 1 with differences of neighbours takes 0.25 ms a cell and 57 % of the space.
    options: dict[str, Any] = {"compression": "zlib", "compressionargs": {"level": 1}, "predictor": 2}
    tifffile.imwrite(
        path, tile, photometric="minisblack", ome=True, metadata=metadata, maxworkers=1, **options
    )  # fmt: skip


def cell_table(cells: Cells, places: np.ndarray, design: Design, *, plate: str, well: str, tile: int) -> pl.DataFrame:
    """The cells of a tile as an upstream pipeline lists them.

    Args:
        places: (N, 2) of the centres, y and x in pixels of the tile.
    """
    row, column = divmod(tile, design.preset.grid)
    guides = [design.guides[i] for i in cells.guide]
    return pl.DataFrame(
        {
            "UID": [f"{plate}_{well}_{tile:03d}_{i:04d}" for i in range(len(cells))],
            "plate": [plate] * len(cells),
            "well": [well] * len(cells),
            "tile": np.full(len(cells), tile),
            "tile_row": np.full(len(cells), row),
            "tile_column": np.full(len(cells), column),
            "cell_i": places[:, 0],
            "cell_j": places[:, 1],
            "sgRNA_0": [guide.name for guide in guides],
            "gene_symbol_0": [guide.label for guide in guides],
            "stage": np.where(cells.mitotic, "mitotic", "interphase").tolist(),
        },
        schema_overrides={"plate": pl.String, "well": pl.String, "tile": pl.Int64},
    )


def write_annotations(out: Path, design: Design) -> None:
    """``complexes.gmt``, ``planted.gmt`` with the kind of each in its name, and ``gene_functions.csv``."""
    members = {name: [g.name for g in design.genes if g.complex == name] for name in PHENOTYPES}
    lines = ["\t".join([name, PHENOTYPES[name].words, *genes]) for name, genes in members.items()]
    (out / "complexes.gmt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = ["\t".join([f"{name} ({PHENOTYPES[name].kind})", "", *genes]) for name, genes in members.items()]
    (out / "planted.gmt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (out / "gene_functions.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["gene", "function"])
        rows.writerows((g.name, g.phenotype.function if g.phenotype else "none known") for g in design.genes)


def screen_file(preset: str, seed: int) -> dict[str, Any]:
    """What ``screen.yaml`` says."""
    # What was planted: complexes that shift what controls show too, and those that make something new.
    kinds = {name: p.kind for name, p in PHENOTYPES.items()}
    # So that the report says in CellProfiler's words what a perturbation alters; tiny is there to be quick.
    rival = {} if preset == "tiny" else {"features": {"features": "fast"}}
    return {
        "name": f"synthetic screen, {preset}, seed {seed}",
        "images": {
            "pattern": "tiles/{plate}_{well}_{tile}.ome.tif",
            "channels": list(CHANNELS),
            "reference_channel": CHANNELS[0],
            "pixel_size_um": PIXEL_SIZE_UM,
        },
        "cells": {"table": "cells.parquet", "preset": "funk2022", "control": NONTARGETING},
        "crop": {"size": CROP_SIZE},
        **rival,
        "annotations": {"complexes": "complexes.gmt", "functions": "planted.gmt"},
        "benchmarks": {
            "complexes": {"groups": kinds},
            "novelty": {"annotations": "complexes.gmt", "groups": kinds},
            "explained": {"annotations": "planted.gmt"},
            "mitosis": {"genes": "complexes.gmt", "sets": "beta"},
        },
    }


def write_screen_file(out: Path, preset: str, seed: int) -> Path:
    """``screen.yaml``. It comes last: a folder without it is not a screen."""
    path = out / "screen.yaml"
    path.write_text(yaml.safe_dump(screen_file(preset, seed), sort_keys=False), encoding="utf-8")
    return path
