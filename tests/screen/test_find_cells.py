"""Nuclei are found where they were planted, and where others found them on a real plate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from contrascope.errors import SettingsError, TileError
from contrascope.screen.find_cells import NucleusSettings, find_cells, image_settings, nuclei_of
from contrascope.screen.readers.tiff import TiffReader
from contrascope.screen.screen import open_screen
from contrascope.screen.tiles import TileKey, tiles_in_order

CLOSE = 6
"""Pixels within which two positions are those of one nucleus."""


def matched(found: pl.DataFrame, truth: pl.DataFrame) -> int:
    """Nuclei that can be paired one to one, none with one that is far."""
    pairs = 0
    for place, there in truth.group_by("well", "tile"):
        here = found.filter(pl.col("well") == place[0], pl.col("tile") == place[1])
        distance = cdist(there.select("y", "x").to_numpy(), here.select("y", "x").to_numpy())
        pairs += int((distance[linear_sum_assignment(np.minimum(distance, 2 * CLOSE))] <= CLOSE).sum())
    return pairs


@pytest.fixture(scope="module")
def found(tiny_screen: Path) -> pl.DataFrame:
    return find_cells(tiny_screen, channel="DAPI", diameter=18)


@pytest.mark.parametrize("threshold", ["otsu", "local"])
def test_planted_nuclei_are_found_and_little_else(threshold: str, tiny_screen: Path) -> None:
    cells, truth = (
        find_cells(tiny_screen, channel="DAPI", diameter=18, threshold=threshold),
        open_screen(tiny_screen).cells,
    )
    pairs = matched(cells, truth)
    assert pairs >= 0.9 * truth.height
    assert pairs >= 0.9 * cells.height


@pytest.mark.parametrize("numbers", ["*1", "*5", pytest.param("*", marks=pytest.mark.slow)])
def test_a_real_plate_has_the_nuclei_that_others_found(numbers: str, bbbc013: Path) -> None:
    """Wells whose number ends so: ten of the plate, spread over rows and doses; all 96 if there is time."""
    pattern = str(bbbc013 / f"images/Channel{{channel}}-{numbers}-{{row}}-{{column}}.tif")
    cells = find_cells(pattern, channel="DNA", channels={"DNA": "2", "GFP": "1"}, diameter=16)
    truth = pl.read_csv(bbbc013 / "cells.csv").with_columns(tile=pl.lit("1"))
    truth = truth.filter(pl.col("well").is_in(cells["well"].unique().to_list()))
    assert cells["well"].n_unique() in (9, 10, 96)
    assert matched(cells, truth) >= 0.9 * truth.height


def test_the_table_has_ids_places_areas_and_intensities(found: pl.DataFrame, tiny_screen: Path) -> None:
    assert found.columns[:7] == ["plate", "well", "tile", "cell_id", "y", "x", "area"]
    assert found.columns[7:] == ["mean_DAPI", "mean_Tubulin", "mean_gH2AX", "mean_Phalloidin"]
    assert found["cell_id"].n_unique() == found.height
    assert found.null_count().sum_horizontal().item() == 0
    smallest, largest = NucleusSettings(diameter=18).areas
    assert found["area"].is_between(smallest, largest).all()
    tile = tifffile.imread(tiny_screen.parent / "tiles" / "P1_A1_0.ome.tif")
    assert (found.filter(well="A01", tile="0")["mean_DAPI"] > np.median(tile[0])).all()


def test_found_twice_is_found_alike(found: pl.DataFrame, tiny_screen: Path) -> None:
    assert found.equals(find_cells(tiny_screen, channel="DAPI", diameter=18))


def test_discs_that_touch_are_parted_and_specks_left_out() -> None:
    y, x = np.mgrid[:80, :80]
    image = np.full((80, 80), 100, np.uint16)
    for cy, cx, radius in ((30, 24, 8), (30, 39, 8), (60, 60, 8), (10, 70, 1.5)):
        image[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = 3000
    labels = nuclei_of(image, NucleusSettings(diameter=16))
    assert labels.max() == 3
    assert len({labels[30, 24], labels[30, 39], labels[60, 60]} - {0}) == 3
    assert labels[10, 70] == 0


def test_an_empty_tile_has_no_nucleus() -> None:
    assert nuclei_of(np.full((40, 40), 7, np.uint16), NucleusSettings()).max() == 0


def test_a_pattern_alone_lists_its_tiles_in_order(tmp_path: Path) -> None:
    for name in ("A2_10", "A2_9", "A10_1"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((2, 8, 8), np.uint8), photometric="minisblack")
    with pytest.raises(TileError, match="No nucleus"):
        find_cells(tmp_path / "{well}_{tile}.tif", channel="a", channels=["a", "b"])
    keys = TiffReader.keys_found(image_settings(tmp_path / "{well}_{tile}.tif", "a", ["a", "b"]))
    assert keys == [TileKey("1", "A02", "9"), TileKey("1", "A02", "10"), TileKey("1", "A10", "1")]
    assert tiles_in_order([*keys, *keys]) == keys


def test_what_cannot_be_meant_is_refused(tiny_screen: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="diameter"):
        find_cells(tiny_screen, channel="DAPI", diameter=-1)
    with pytest.raises(SettingsError, match="size"):
        find_cells(tiny_screen, channel="DAPI", size=3)
    with pytest.raises(SettingsError, match="Hoechst"):
        find_cells(tiny_screen, channel="Hoechst")
    with pytest.raises(SettingsError, match="itself"):
        find_cells(tiny_screen, channel="DAPI", reader="ome-zarr")
    with pytest.raises(SettingsError, match="ome-zarr"):
        find_cells(tmp_path / "{well}.zarr", channel="DAPI", channels=["DAPI"], reader="zarr")
    with pytest.raises(SettingsError, match="channels"):
        find_cells(tmp_path / "{well}.tif", channel="DAPI")
