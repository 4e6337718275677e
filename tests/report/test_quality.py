"""A tile that was spoilt is named with its reason, and nothing else is."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
from scipy import ndimage

from contrascope.report.quality import JUDGED, STICKS_OUT, judge_quality
from contrascope.screen.screen import open_screen
from contrascope.store.crops import extract_crops
from contrascope.store.store import CropStore

PLACE = ("plate", "well", "tile")


def tables(seed: int = 0, tiles_of_plate: int = 40) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Two plates of tiles with 60 cells or so, stored or dropped for two reasons, and how they look in one channel."""
    rng = np.random.default_rng(seed)
    keys = [(plate, f"A{1 + t % 4:02d}", str(t)) for plate in ("P1", "P2") for t in range(tiles_of_plate)]
    T = len(keys)
    tiles = pl.DataFrame(keys, schema=list(PLACE), orient="row").with_columns(
        pl.lit(value=True).alias("readable"),
        pl.Series("intensity DNA", rng.normal(200, 12, T)),
        pl.Series("saturated DNA", np.zeros(T)),
        pl.Series("focus DNA", rng.normal(0.05, 0.005, T)),
    )
    cells = pl.DataFrame([key for key in keys for _ in range(rng.poisson(60))], schema=list(PLACE), orient="row")
    fate = pl.Series("reason", rng.choice(["stored", "at the edge", "no label"], cells.height, p=[0.8, 0.15, 0.05]))
    cells = cells.with_columns(fate)
    stored = cells.filter(pl.col("reason") == "stored").drop("reason")
    return tiles, stored, cells.filter(pl.col("reason") != "stored")


def with_value(tiles: pl.DataFrame, row: int, column: str, value: float | None) -> pl.DataFrame:
    values = tiles[column].to_list()
    values[row] = value
    return tiles.with_columns(pl.Series(column, values, dtype=tiles.schema[column]))


def test_counts_are_those_of_a_slow_loop() -> None:
    tiles, cells, dropped = tables()
    quality = judge_quality(tiles, cells, dropped, ["DNA"])
    of_tile, of_well = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    rows = [(*row, "stored") for row in cells.iter_rows()] + list(dropped.iter_rows())
    for plate, well, tile, fate in rows:
        of_tile[plate, well, tile, fate] += 1
        of_well[plate, well, fate] += 1
    for fate in ("stored", "at the edge", "no label"):
        found = {tuple(row[name] for name in PLACE): row[fate] for row in quality.tiles.iter_rows(named=True)}
        assert found == {key: of_tile[*key, fate] for key in found}
        wells = {(row["plate"], row["well"]): row[fate] for row in quality.wells.iter_rows(named=True)}
        assert wells == {key: of_well[*key, fate] for key in wells}
    assert quality.tiles["cells"].sum() == quality.wells["cells"].sum() == len(rows)
    drops = Counter(dropped["reason"])
    expected = [(why, n, pytest.approx(n / len(rows))) for why, n in drops.most_common()]
    assert quality.drops.rows() == expected


def test_a_tile_of_which_no_cell_is_stored_has_its_place_in_the_well_all_the_same() -> None:
    tiles, cells, dropped = tables()
    place = [
        (pl.col("tile").cast(pl.Int64) // 7).alias("tile_row"),
        (pl.col("tile").cast(pl.Int64) % 7).alias("tile_column"),
    ]
    lost = cells.filter(pl.col("tile") == "11").with_columns(pl.lit("at the edge").alias("reason"))
    kept, dropped = cells.filter(pl.col("tile") != "11"), pl.concat([dropped, lost])
    shown = judge_quality(tiles, kept.with_columns(place), dropped.with_columns(place), ["DNA"]).tiles
    assert shown["tile_row"].to_list() == [int(tile) // 7 for tile in tiles["tile"]]
    assert shown["tile_column"].to_list() == [int(tile) % 7 for tile in tiles["tile"]]
    assert shown.columns[-3:] == ["at the edge", "no label", "cells"]
    older = judge_quality(tiles, kept.with_columns(place), dropped, ["DNA"]).tiles
    assert older["tile_row"].null_count() == 2


@pytest.mark.parametrize("seed", range(5))
def test_tiles_that_differ_by_chance_do_not_stick_out(seed: int) -> None:
    assert judge_quality(*tables(seed), ["DNA"]).outliers().is_empty()


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("focus DNA", 0.004, "DNA blurred (0.004; plate 0.05"),
        ("intensity DNA", 30.0, "DNA dim (30; plate "),
        ("intensity DNA", 900.0, "DNA bright (900; plate "),
        ("saturated DNA", 0.03, "DNA saturated (3.00%; plate 0.00%)"),
        ("focus DNA", None, "DNA nothing but noise"),
    ],
)
def test_a_tile_unlike_its_plate_is_named_with_the_reason(column: str, value: float | None, why: str) -> None:
    tiles, cells, dropped = tables()
    quality = judge_quality(with_value(tiles, 17, column, value), cells, dropped, ["DNA"])
    out = quality.outliers()
    assert out.select(*PLACE).rows() == [("P1", "A02", "17")]
    assert out["why"][0].startswith(why)
    assert np.flatnonzero(quality.sticks_out(column.split()[0], "DNA")).tolist() == [17]


def test_a_tile_is_judged_against_its_own_plate_by_median_and_median_deviation() -> None:
    tiles, cells, dropped = tables()
    brighter = tiles["intensity DNA"] * (1 + (tiles["plate"] == "P2").cast(pl.Int64))
    tiles = with_value(tiles.with_columns(brighter), 50, "intensity DNA", 200.0)
    signs = judge_quality(tiles, cells, dropped, ["DNA"]).signs
    log = np.log(tiles.filter(pl.col("plate") == "P2")["intensity DNA"].to_numpy())
    spread = 1.4826 * np.median(np.abs(log - np.median(log)))
    assert signs["tile"].to_list() == ["10"]
    assert signs["z"][0] == pytest.approx((np.log(200) - np.median(log)) / spread)
    assert signs["z"][0] < -STICKS_OUT


def test_a_tile_of_few_cells_is_named() -> None:
    tiles, cells, dropped = tables()
    here = (pl.col("plate") == "P2") & (pl.col("tile") == "7")
    cells = pl.concat([cells.filter(~here), cells.filter(here).head(3)])
    out = judge_quality(tiles, cells, dropped.filter(~here), ["DNA"]).outliers()
    assert out.select("plate", "tile", "cells").rows() == [("P2", "7", 3)]
    assert out["why"][0].startswith("few cells (3; plate ")


def test_tiles_without_cells_and_tiles_that_cannot_be_read_come_first() -> None:
    tiles, cells, dropped = tables()
    lost = pl.col("tile").is_in(["3", "4"]) & (pl.col("plate") == "P1")
    dropped = pl.concat([dropped, cells.filter(lost).with_columns(reason=pl.lit("at the edge"))])
    readable = [not (plate == "P1" and tile == "4") for plate, tile in tiles.select("plate", "tile").iter_rows()]
    tiles = with_value(tiles.with_columns(readable=pl.Series(readable)), 20, "saturated DNA", 0.5)
    out = judge_quality(tiles, cells.filter(~lost), dropped, ["DNA"]).outliers()
    assert out["why"].to_list()[:2] == ["no cell stored", "cannot be read"]
    assert out["tile"].to_list() == ["3", "4", "20"]
    assert out["largest |z|"].null_count() == 2


def test_a_plate_of_a_handful_of_tiles_is_not_judged() -> None:
    tiles, cells, dropped = tables(tiles_of_plate=JUDGED - 1)
    assert judge_quality(with_value(tiles, 3, "focus DNA", 0.001), cells, dropped, ["DNA"]).outliers().is_empty()


def test_a_channel_that_is_blank_everywhere_makes_no_tile_stick_out() -> None:
    tiles, cells, dropped = tables()
    blank = tiles.with_columns(pl.lit(None, dtype=pl.Float64).alias("focus DNA"))
    assert judge_quality(blank, cells, dropped, ["DNA"]).outliers().is_empty()


def test_a_store_without_measurements_is_counted_only() -> None:
    tiles, cells, dropped = tables()
    quality = judge_quality(tiles.select(PLACE), cells, dropped, ["DNA"])
    assert not quality.measured
    assert quality.tiles["cells"].sum() == cells.height + dropped.height
    assert judge_quality(tiles, cells, dropped, ["DNA"]).measured


@pytest.fixture(scope="module")
def spoilt(tiny_screen: Path, tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    """The tiny screen with tile 2 of its first well out of focus, tile 5 saturated, and tile 7 empty."""
    folder = tmp_path_factory.mktemp("spoilt")
    screen = open_screen(Path(shutil.copytree(tiny_screen.parent, folder / "screen")) / "screen.yaml")
    files = {key.tile: screen.reader._files[key][0] for key in screen.keys()[:9]}  # type: ignore[attr-defined]
    pixels = {tile: tifffile.imread(files[tile]) for tile in "257"}
    noise = np.random.default_rng(0).normal(0, 1, pixels["2"].shape)
    dull = ndimage.gaussian_filter(pixels["2"].astype(float), (0, 2, 2))
    pixels["2"] = np.rint(dull + noise * np.sqrt(dull)).astype(np.uint16)
    pixels["5"][1] = np.minimum(pixels["5"][1], np.percentile(pixels["5"][1], 98))
    for tile, new in pixels.items():
        tifffile.imwrite(files[tile], new, photometric="minisblack")
    table = pl.read_parquet(screen.settings.cells.table)
    there = (pl.col("well") == table["well"].min()) & (pl.col("tile").cast(pl.String) == "7")
    middle = table.filter(there & pl.col("cell_i").is_between(40, 280) & pl.col("cell_j").is_between(40, 280)).head(1)
    pl.concat([table.filter(~there), middle]).write_parquet(screen.settings.cells.table)
    return extract_crops(open_screen(folder / "screen" / "screen.yaml"), folder / "cells.zarr")


def test_a_blurred_a_saturated_and_an_empty_tile_are_found_in_their_pixels_and_nothing_else(spoilt: CropStore) -> None:
    out = judge_quality(spoilt.tiles, spoilt.cells, spoilt.dropped, spoilt.channels).outliers()
    why = dict(zip(out["tile"], out["why"], strict=True))
    assert out["well"].unique().to_list() == ["A01"]
    assert sorted(why) == ["2", "5", "7"]
    assert why["2"].count("blurred") == 4
    assert why["5"].startswith("Tubulin saturated (2.")
    assert why["7"].startswith("few cells (1; ")
