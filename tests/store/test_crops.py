"""Each stored crop is the window of its tile around its cell, clipped and aligned, and every cell is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contrascope.errors import StoreError, TableError, TileError
from contrascope.screen.screen import open_screen
from contrascope.store.crops import (
    NO_LABEL,
    TOO_CLOSE,
    extract_crops,
    plan_store,
)
from contrascope.store.measure import Recipe, clip_limits, measure_tile, value_counts
from contrascope.store.store import CropStore
from contrascope.store.windows import cleaned

WriteScreen = Callable[..., Path]


def test_crops_equal_windows_cut_by_a_slow_and_readable_loop(tiny_screen: Path, tmp_path: Path) -> None:
    overrides = {"images.align": False, "crop.size": 40, "crop.clip_percentiles": [0, 100]}
    store = extract_crops(open_screen(tiny_screen, overrides), tmp_path / "cells.zarr")
    images = store.read(np.arange(len(store)))
    table = pl.read_parquet(tiny_screen.parent / "cells.parquet").sort("well", "tile", maintain_order=True)
    stored = 0
    for cell in table.iter_rows(named=True):
        tile = tifffile.imread(tiny_screen.parent / "tiles" / f"{cell['plate']}_{cell['well']}_{cell['tile']}.ome.tif")
        y, x = int(np.floor(cell["cell_i"] + 0.5)), int(np.floor(cell["cell_j"] + 0.5))
        window = tile[:, max(y - 20, 0) : y + 20, max(x - 20, 0) : x + 20]
        if window.shape == (4, 40, 40):
            assert store.cells["cell_id"][stored] == cell["UID"]
            assert np.array_equal(images[stored], window)
            stored += 1
    assert stored == len(store) > 400


def test_a_crop_of_an_odd_size_has_its_cell_in_the_middle(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame, toy_tiles: dict[str, np.ndarray]
) -> None:
    cells = toy_cells.with_columns(pl.lit(20.4).alias("y"), pl.lit(21.6).alias("x"))
    path = write_screen(tmp_path, cells=cells, crop={"size": 9, "clip_percentiles": [0, 100]})
    store = extract_crops(open_screen(path), tmp_path / "s.zarr")
    assert np.array_equal(store.read(np.array([0]))[0, :, 4, 4], toy_tiles["P1_A1_0.tif"][:, 20, 22])


def test_a_cell_is_dropped_exactly_where_its_window_would_leave_the_tile(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame
) -> None:
    """Tiles are 40 high and crops 16: rows 8 to 32 are whole, with 31.49 the last that rounds to 31 or less."""
    fits = {7.49: False, 7.5: True, 8.0: True, 32.0: True, 32.49: True, 32.5: False, 33.0: False, -0.5: False}
    y = [*fits, *[20.0] * (24 - len(fits))]
    path = write_screen(tmp_path, cells=toy_cells.with_columns(pl.Series("y", y), pl.lit(20.0).alias("x")))
    store = extract_crops(open_screen(path), tmp_path / "s.zarr")
    kept = set(store.cells["cell_id"])
    assert {value: f"c{i:02d}" in kept for i, value in enumerate(fits)} == fits


def test_rows_in_are_rows_stored_and_rows_dropped_by_reason(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame
) -> None:
    number = pl.int_range(pl.len())
    cells = toy_cells.with_columns(
        pl.when(number == 1).then(None).otherwise("guide").alias("guide"),
        pl.when(number == 2).then(None).otherwise("perturbation").alias("perturbation"),
        pl.when(number == 0).then(None).otherwise("x").fill_null(20.0).alias("x"),
    )
    for file in ("cells.parquet", "cells.csv"):
        out = tmp_path / file.replace("cells.", "s.")
        store = extract_crops(open_screen(write_screen(tmp_path, cells=cells, table=file)), out)
        assert store.account.dropped == {NO_LABEL: 2, TOO_CLOSE: 4}
        assert (store.account.rows, store.account.stored, len(store), store.cells.height) == (24, 18, 18, 18)
        dropped = pl.read_parquet(out / "dropped.parquet")
        assert Counter(dropped["reason"]) == {NO_LABEL: 2, TOO_CLOSE: 4}
        assert {*dropped["cell_id"], *store.cells["cell_id"]} == set(cells["cell_id"])


def test_a_store_keeps_the_whole_table_and_says_what_was_done_to_each_tile(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame, toy_tiles: dict[str, np.ndarray]
) -> None:
    cells = toy_cells.with_columns(pl.Series("area", np.arange(24.0)))
    store = extract_crops(open_screen(write_screen(tmp_path, cells=cells)), tmp_path / "s.zarr")
    merged = store.cells.join(cells, on="cell_id", suffix="_given")
    assert merged["area"].equals(merged["area_given"], check_names=False)
    assert store.tiles["cells"].to_list() == [6] * 4
    limits = store.tiles.select("clip_low DNA", "clip_high DNA", "clip_low GFP", "clip_high GFP").row(0)
    expected = [np.percentile(c, (0.1, 99.9), method="inverted_cdf") for c in toy_tiles["P1_A1_0.tif"]]
    assert limits == tuple(float(x) for pair in expected for x in pair)


def test_a_tile_of_which_no_cell_is_left_has_a_row_without_measurements(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame
) -> None:
    here = (pl.col("well") == "A1") & (pl.col("tile") == 0)
    cells = toy_cells.with_columns(pl.when(here).then(0.0).otherwise("y").alias("y"))
    store = extract_crops(open_screen(write_screen(tmp_path, cells=cells)), tmp_path / "s.zarr")
    assert store.tiles["clip_low DNA"].is_null().to_list() == [True, False, False, False]


def test_a_dropped_cell_keeps_its_tiles_place_in_the_well_where_the_table_has_one(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame
) -> None:
    cells = toy_cells.with_columns(tile_row=pl.col("tile") + 3, tile_column=pl.lit(8))
    for name, table in (("with", cells), ("without", toy_cells)):
        (tmp_path / name).mkdir()
        dropped = plan_store(open_screen(write_screen(tmp_path / name, cells=table))).dropped.collect()
        assert dropped.height == 4
        assert ("tile_row" in dropped.columns) == (name == "with")
        if name == "with":
            assert dropped["tile_row"].to_list() == [int(tile) + 3 for tile in dropped["tile"]]
            assert set(dropped["tile_column"]) == {8}


@settings(max_examples=60, deadline=None)
@given(
    channel=st.sampled_from(["uint8", "uint16"]).flatmap(
        lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=2, max_dims=2))
    )
    | hnp.arrays("float32", (4, 5), elements=st.floats(-1e6, 1e6, width=32)),
    percentiles=st.sampled_from([(0.1, 99.9), (0, 100), (1, 99), (50, 75), (0.0, 0.1)]),
)
def test_clip_limits_are_numpys_percentiles(channel: np.ndarray, percentiles: tuple[float, float]) -> None:
    assert clip_limits(channel, percentiles, value_counts(channel)) == tuple(
        np.percentile(channel, percentiles, method="inverted_cdf")
    )


def test_clip_limits_of_a_whole_tile_are_numpys_percentiles(tiny_screen: Path) -> None:
    for channel in tifffile.imread(tiny_screen.parent / "tiles/P1_A1_0.ome.tif"):
        assert clip_limits(channel, (0.1, 99.9), value_counts(channel)) == tuple(
            np.percentile(channel, (0.1, 99.9), method="inverted_cdf")
        )


def test_a_hot_pixel_does_not_set_the_scale(toy_tiles: dict[str, np.ndarray]) -> None:
    tile = toy_tiles["P1_A1_0.tif"].copy()
    tile[0, 3, 4] = 65_535
    limits, shifts, *_ = measure_tile(tile, Recipe(reference=0, clip_percentiles=(0.1, 99.9), max_shift=None))
    clean = cleaned(tile, limits, np.rint(shifts).astype(int))
    assert clean.max() < 4000
    assert limits[0, 1] < 4000
    assert not shifts.any()
    inside = (tile >= limits[:, :1, None]) & (tile <= limits[:, 1:, None])
    assert np.array_equal(clean[inside], tile[inside])
    assert clean.dtype == tile.dtype


def test_a_store_resampled_between_pixels_differs_only_where_a_shift_has_a_fraction(
    tiny_screen: Path, tiny_store: CropStore, tmp_path: Path
) -> None:
    store = extract_crops(open_screen(tiny_screen, {"images.resample": "subpixel"}), tmp_path / "s.zarr")
    rows = np.arange(0, len(store), 40)
    whole, between = tiny_store.read(rows).astype(float), store.read(rows).astype(float)
    assert store.tiles.equals(tiny_store.tiles)
    assert np.array_equal(whole[:, 0], between[:, 0])
    assert (whole[:, 1:] != between[:, 1:]).any(axis=(2, 3)).mean() > 0.9
    assert np.corrcoef(whole[:, 1:].ravel(), between[:, 1:].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_tile_with_pixels_that_are_no_number_is_refused(
    value: float, tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
) -> None:
    tiles = {name: tile.astype(np.float32) for name, tile in toy_tiles.items()}
    assert len(extract_crops(open_screen(write_screen(tmp_path, tiles=tiles)), tmp_path / "sound.zarr")) == 20
    tiles["P1_A2_0.tif"][1, 2, 3] = value
    with pytest.raises(TileError, match="plate P1 well A02 tile 0: some pixels are no finite number"):
        extract_crops(open_screen(write_screen(tmp_path, tiles=tiles)), tmp_path / "s.zarr")


@pytest.mark.parametrize(("gone", "words"), [("control", "No control"), ("GENE", "No perturbed cell")])
def test_a_screen_of_which_one_side_is_lost_at_the_edge_is_refused(
    gone: str, words: str, tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame
) -> None:
    lost = pl.col("perturbation").str.starts_with(gone)
    cells = toy_cells.with_columns(pl.when(lost).then(0.0).otherwise(20.0).alias("y"))
    with pytest.raises(TableError, match=words):
        plan_store(open_screen(write_screen(tmp_path, cells=cells)))


def test_equal_inputs_make_equal_bytes(
    tiny_screen: Path, tiny_store: CropStore, tmp_path: Path, bytes_of: Callable[[Path], dict[str, bytes]]
) -> None:
    again = extract_crops(open_screen(tiny_screen), tmp_path / "again.zarr")
    assert bytes_of(again.path) == bytes_of(tiny_store.path)


def test_a_finished_store_is_opened_and_not_written_again(
    tiny_screen: Path, tiny_store: CropStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p: p.stat().st_mtime_ns for p in tiny_store.path.rglob("*")}
    again = extract_crops(open_screen(tiny_screen), tiny_store.path)
    assert again.fingerprint == tiny_store.fingerprint
    assert {p: p.stat().st_mtime_ns for p in tiny_store.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("key", "value"),
    [("crop.size", 20), ("crop.clip_percentiles", [1, 99]), ("images.align", True), ("cells.control", "GENE1")],
)
def test_a_folder_made_from_other_inputs_is_refused_and_left_untouched(
    key: str, value: Any, tmp_path: Path, write_screen: WriteScreen, bytes_of: Callable[[Path], dict[str, bytes]]
) -> None:
    path, out = write_screen(tmp_path), tmp_path / "s.zarr"
    extract_crops(open_screen(path), out)
    before = bytes_of(out)
    with pytest.raises(StoreError, match="other inputs"):
        extract_crops(open_screen(path, {key: value}), out)
    assert bytes_of(out) == before


def test_a_folder_of_somebody_else_and_a_file_are_refused_and_left_untouched(
    tmp_path: Path, write_screen: WriteScreen
) -> None:
    screen = open_screen(write_screen(tmp_path))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.txt").write_text("words")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    (tmp_path / "file.zarr").write_text("words")
    for name in ("thesis", "foreign", "file.zarr", "file.zarr/below"):
        with pytest.raises(StoreError, match=name):
            extract_crops(screen, tmp_path / name)
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]
    assert [p.name for p in (tmp_path / "foreign").iterdir()] == ["zarr.json"]
