"""The command that finds nuclei writes a table that makes a screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
import zarr

from contrascope.commands.find_cells import find_cells as command
from contrascope.errors import SettingsError


def test_the_command_writes_a_table_that_makes_a_screen(tiny_screen: Path, tmp_path: Path) -> None:
    facts, text = command(str(tiny_screen), channel="DAPI", out=tmp_path / "new" / "cells.csv", diameter=18)
    assert facts["tiles"] == 18
    assert f"{facts['n']:,} cells in 18 tiles" in text
    assert pl.read_csv(tmp_path / "new" / "cells.csv").height == facts["n"]


def test_a_plate_of_ome_zarr_is_searched_by_its_pattern_alone(tmp_path: Path) -> None:
    y, x = np.mgrid[:60, :60]
    disc = np.where((y - 25) ** 2 + (x - 40) ** 2 <= 64, 3000, 100).astype(np.uint16)
    plate = zarr.create_group(tmp_path / "P7.zarr", attributes={"ome": {"plate": {"wells": [{"path": "C/4"}]}}})
    plate.create_group("C/4", attributes={"ome": {"well": {"images": [{"path": "2"}]}}})
    scales = {"axes": [{"name": axis} for axis in "cyx"], "datasets": [{"path": "0"}]}
    image = plate.create_group("C/4/2", attributes={"ome": {"multiscales": [scales]}})
    image.create_array("0", data=np.stack([disc[::-1], disc]))
    facts, _ = command(
        str(tmp_path / "{plate}.zarr"), channel="DNA", channels="GFP,DNA", reader="ome-zarr", out=tmp_path / "c.parquet"
    )
    (cell,) = pl.read_parquet(facts["cells"]).iter_rows(named=True)
    assert (cell["plate"], cell["well"], cell["tile"]) == ("P7", "C04", "2")
    assert (cell["y"], cell["x"]) == pytest.approx((25, 40), abs=0.5)


def test_an_ending_that_is_not_written_is_refused_before_the_work(tiny_screen: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.parquet or \.csv"):
        command(str(tiny_screen), channel="DAPI", out=tmp_path / "cells.xlsx")


@pytest.mark.parametrize("channels", ["DNA,GFP", "DNA=w1,GFP=w2"])
def test_channels_are_named_in_the_order_of_planes_or_as_names_of_files_spell_them(
    channels: str, tmp_path: Path
) -> None:
    y, x = np.mgrid[:60, :60]
    nucleus, blank = np.where((y - 20) ** 2 + (x - 30) ** 2 <= 64, 3000, 100).astype(np.uint16), np.full((60, 60), 100)
    if "=" in channels:
        tifffile.imwrite(tmp_path / "A1_w1.tif", nucleus)
        tifffile.imwrite(tmp_path / "A1_w2.tif", blank.astype(np.uint16))
        pattern = "{well}_{channel}.tif"
    else:
        both = np.stack([nucleus, blank]).astype(np.uint16)
        tifffile.imwrite(tmp_path / "A1.tif", both, photometric="minisblack", metadata={"axes": "CYX"})
        pattern = "{well}.tif"
    facts, said = command(str(tmp_path / pattern), channel="DNA", channels=channels, out=tmp_path / "cells.parquet")
    (cell,) = pl.read_parquet(tmp_path / "cells.parquet").iter_rows(named=True)
    assert (cell["y"], cell["x"]) == pytest.approx((20, 30), abs=0.5)
    assert cell["mean_DNA"] > 2000 > cell["mean_GFP"]
    assert facts["median_area"] == cell["area"]
    assert "1 cells in 1 tiles" in said
