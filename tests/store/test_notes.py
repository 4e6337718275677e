"""What should be known of a store is said in sentences, and nothing is said where there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from typer.testing import CliRunner

from contrascope.cli import app
from contrascope.screen.screen import open_screen
from contrascope.store.crops import extract_crops
from contrascope.store.notes import notes_on_tiles
from contrascope.store.store import open_store


def test_channels_that_were_left_as_they_are_are_named_by_plate() -> None:
    tiles = pl.DataFrame(
        {
            "plate": ["P1", "P1", "P1", "P2"],
            "unaligned DNA": [False, False, None, False],
            "unaligned GFP": [True, False, None, True],
        }
    )
    (note,) = notes_on_tiles(tiles, ["DNA", "GFP"])
    assert "agreed: GFP in 1 of 2 tiles of plate P1, GFP in 1 of 1 tiles of plate P2." in note
    assert notes_on_tiles(tiles, ["DNA"]) == notes_on_tiles(tiles.drop("unaligned GFP"), ["DNA", "GFP"]) == []


def test_ingest_says_which_channels_it_left_as_they_are(tmp_path: Path, write_screen: Callable[..., Path]) -> None:
    """The toy tiles' channels are noise."""
    rng = np.random.default_rng(0)
    names = [f"P1_A{well}_{tile}.tif" for well in (1, 2) for tile in (0, 1)]
    noise = {name: rng.poisson(100, (2, 120, 120)).astype(np.uint16) for name in names}
    screen = str(write_screen(tmp_path, tiles=noise, images={"align": True}))
    told = CliRunner().invoke(app, ["ingest", screen, "--out", str(tmp_path / "s.zarr")])
    assert told.exit_code == 0, told.output
    assert "note: Channels were left as they are" in told.stdout
    assert "GFP in 4 of 4 tiles of plate P1" in " ".join(told.stdout.split())


def test_labels_that_look_alike_are_told_by_the_store(
    tmp_path: Path, write_screen: Callable[..., Path], toy_cells: pl.DataFrame
) -> None:
    alike = toy_cells.with_columns(
        perturbation=pl.when(pl.col("guide") == "g0").then(pl.lit("Control")).otherwise("perturbation")
    )
    store = extract_crops(open_screen(write_screen(tmp_path, cells=alike)), tmp_path / "s.zarr")
    (note,) = open_store(store.path).notes
    assert "'Control' (4 cells) and 'control' (4 cells, control)" in note


def test_cells_that_lie_where_another_one_lies_are_told(
    tmp_path: Path, write_screen: Callable[..., Path], toy_cells: pl.DataFrame
) -> None:
    again = toy_cells.head(3).with_columns(
        pl.format("again {}", "cell_id").alias("cell_id"), pl.col("well").str.replace("A", "a0")
    )
    store = extract_crops(open_screen(write_screen(tmp_path, cells=pl.concat([toy_cells, again]))), tmp_path / "s.zarr")
    (note,) = open_store(store.path).notes
    first = toy_cells["cell_id"][0]
    assert note.startswith(f"6 cells lie exactly where another one lies, again {first} and {first} for instance.")
