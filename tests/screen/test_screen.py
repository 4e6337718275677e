"""At the door a screen is checked whole; behind it everything fits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tifffile

from contrascope.errors import ContrascopeError, ScreenError, SettingsError, TableError, TileError
from contrascope.screen.screen import open_screen
from contrascope.store.crops import extract_crops, plan_store

WriteScreen = Callable[..., Path]


def test_cells_lie_in_the_order_of_their_tiles_and_of_the_table(tiny_screen: Path) -> None:
    screen = open_screen(tiny_screen)
    assert screen.cells["tile_index"].is_sorted()
    assert screen.tiles["cells"].sum() == screen.cells.height
    table = pl.read_parquet(tiny_screen.parent / "cells.parquet")
    for index, part in screen.cells.group_by("tile_index", maintain_order=True):
        key = screen.keys()[int(index[0])]
        there = table.filter((pl.col("tile") == int(key.tile)) & (pl.col("well") == part["well"][0].replace("A0", "A")))
        assert part["cell_id"].to_list() == there["UID"].to_list()


@pytest.mark.parametrize("at_once", [5, 1000])
def test_a_table_in_any_order_is_planned_as_a_slow_and_readable_loop_plans_it(
    at_once: int, tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several times: what is done by many threads must not depend on which of them is first."""
    monkeypatch.setattr("contrascope.screen.screen._ROWS", at_once)
    cells = toy_cells.sample(fraction=1, shuffle=True, seed=3)
    path = write_screen(tmp_path, cells=cells, table="cells.csv")
    by_tile = sorted(cells.iter_rows(named=True), key=lambda cell: (cell["well"], cell["tile"]))
    whole = [c["cell_id"] for c in by_tile if 8 <= c["y"] + 0.5 < 33 and 8 <= c["x"] + 0.5 < 41]
    for _ in range(10):
        screen = open_screen(path)
        assert screen.cells["cell_id"].to_list() == [cell["cell_id"] for cell in by_tile]
        assert [screen.keys()[i].tile for i in screen.cells["tile_index"]] == [str(cell["tile"]) for cell in by_tile]
        distance = [max(abs((c["y"] + 0.5) / 20 - 1), abs((c["x"] + 0.5) / 24 - 1)) for c in by_tile]
        assert screen.cells["field_distance"].to_list() == pytest.approx(distance)
        assert plan_store(screen).cells.collect()["cell_id"].to_list() == whole


def test_tiles_are_in_the_order_of_their_numbers(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame
) -> None:
    numbers = [0, 2, 10, 9]
    cells = pl.concat([toy_cells.with_columns(pl.lit(n).alias("tile"), pl.col("cell_id") + f"_{n}") for n in numbers])
    tiles = {f"P1_A{w}_{n}.tif": np.ones((2, 40, 48), np.uint8) for w in (1, 2) for n in numbers}
    screen = open_screen(write_screen(tmp_path, cells=cells, tiles=tiles))
    assert screen.tiles["tile"].to_list()[:4] == ["0", "2", "9", "10"]


def test_the_distance_from_the_fields_centre_runs_from_0_to_1(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame
) -> None:
    places = {"c00": (19.5, 23.5), "c01": (-0.5, 23.5), "c02": (39.5, 47.5), "c03": (19.5, 47.5), "c04": (29.5, 23.5)}
    cells = toy_cells.with_columns(
        pl.col("cell_id").replace_strict({k: p[i] for k, p in places.items()}, default=20.0).alias(name)
        for i, name in enumerate(("y", "x"))
    )
    distance = dict(open_screen(write_screen(tmp_path, cells=cells)).cells["cell_id", "field_distance"].iter_rows())
    assert [distance[f"c0{i}"] for i in range(5)] == [0, 1, 1, 1, 0.5]


@pytest.mark.parametrize(("y", "x"), [(-0.51, 5), (39.51, 5), (5, -1), (5, 48), (1e308, 5), (5, -1e308)])
def test_a_cell_outside_its_tile_is_refused(
    y: float, x: float, tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame
) -> None:
    at = pl.col("cell_id") == "c09"
    cells = toy_cells.with_columns(
        pl.when(at).then(float(y)).otherwise("y").alias("y"), pl.when(at).then(float(x)).otherwise("x").alias("x")
    )
    with pytest.raises(TableError, match=r"1 of 24 cells.*c09.*swapped"):
        open_screen(write_screen(tmp_path, cells=cells))


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"images": {"channels": ["DNA", "GFP", "RFP"]}}, TileError, "3 channels"),
        ({"images": {"channels": ["DNA"]}}, TileError, "has 2"),
        ({"images": {"pattern": "tiles/{plate}_{well}.tif"}}, TileError, "{tile}"),
        ({"images": {"pattern": "elsewhere/{plate}_{well}_{tile}.tif"}}, TileError, "finds no file"),
        ({"images": {"reader": "czi"}}, SettingsError, "tiff"),
        ({"crop": {"size": 41}}, ScreenError, "Set crop.size to 40 or less"),
        ({"cells": {"table": "nowhere.csv"}}, TableError, "no cell table"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_paragraph(
    changes: dict[str, Any], kind: type[ContrascopeError], words: str, tmp_path: Path, write_screen: WriteScreen
) -> None:
    path = write_screen(tmp_path)
    overrides = {f"{section}.{key}": x for section, values in changes.items() for key, x in values.items()}
    with pytest.raises(kind) as caught:
        open_screen(path, overrides)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.float64, np.int8])
def test_tiles_of_a_type_that_is_not_stored_are_refused(
    dtype: Any, tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
) -> None:
    tiles = {name: tile.astype(dtype) for name, tile in toy_tiles.items()}
    with pytest.raises(TileError, match=np.dtype(dtype).name):
        open_screen(write_screen(tmp_path, tiles=tiles))


def test_tiles_of_two_types_are_refused(
    tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
) -> None:
    tiles = toy_tiles | {"P1_A1_0.tif": toy_tiles["P1_A1_0.tif"].astype(np.uint8)}
    with pytest.raises(TileError, match="uint16, uint8"):
        open_screen(write_screen(tmp_path, tiles=tiles))


def test_a_missing_tile_is_named(tmp_path: Path, write_screen: WriteScreen) -> None:
    path = write_screen(tmp_path)
    (tmp_path / "tiles" / "P1_A2_1.tif").unlink()
    with pytest.raises(TileError, match=r"1 of the 4 tiles.*plate P1 well A02 tile 1"):
        open_screen(path)


def test_spelling_of_wells_and_numbers_in_table_and_files_may_differ(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame, toy_tiles: dict[str, np.ndarray]
) -> None:
    cells = toy_cells.with_columns(pl.lit("007").alias("plate"), pl.col("well").str.replace("A", "a00"))
    tiles = {name.replace("P1_A", "7_A0").replace("_1.tif", "_0001.tif"): tile for name, tile in toy_tiles.items()}
    for file in ("cells.parquet", "cells.csv"):
        screen = open_screen(write_screen(tmp_path, cells=cells, tiles=tiles, table=file))
        assert screen.tiles["plate"].unique().to_list() == ["7"]
        assert screen.tiles["well"].to_list() == ["A01", "A01", "A02", "A02"]


def test_names_of_plates_wells_and_folders_may_be_of_any_script(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame, toy_tiles: dict[str, np.ndarray]
) -> None:
    folder = tmp_path / "плата [1] 100% :dog:"
    folder.mkdir()
    cells = toy_cells.with_columns(pl.lit("π").alias("plate"), pl.col("well").str.replace("A", "Mulde "))
    tiles = {name.replace("P1_A", "π_Mulde "): tile for name, tile in toy_tiles.items()}
    store = extract_crops(open_screen(write_screen(folder, cells=cells, tiles=tiles)), folder / "crops [2].zarr")
    assert store.cells["well"].unique().sort().to_list() == ["Mulde 1", "Mulde 2"]
    assert store.read(np.arange(len(store))).shape == (len(store), 2, 16, 16)


def test_tiles_of_different_sizes_make_one_screen(
    tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
) -> None:
    tiles = toy_tiles | {"P1_A1_0.tif": np.pad(toy_tiles["P1_A1_0.tif"], ((0, 0), (0, 20), (0, 9)))}
    screen = open_screen(write_screen(tmp_path, tiles=tiles))
    assert screen.tiles["height"].to_list() == [60, 40, 40, 40]
    assert screen.tiles["width"].to_list() == [57, 48, 48, 48]


def test_a_screen_may_be_one_tile(tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame) -> None:
    cells = toy_cells.filter((pl.col("well") == "A1") & (pl.col("tile") == 0))
    tiles = {"only.tif": np.random.default_rng(0).integers(0, 99, (2, 40, 48)).astype(np.uint8)}
    path = write_screen(tmp_path, cells=cells, tiles=tiles, images={"pattern": "tiles/only.tif"})
    assert len(extract_crops(open_screen(path), tmp_path / "s.zarr")) == 5


class TestFingerprint:
    """The name of a screen's contents changes with them, and with nothing else."""

    @pytest.fixture
    def path(self, tmp_path: Path, write_screen: WriteScreen) -> Path:
        (tmp_path / "one").mkdir()
        return write_screen(tmp_path / "one")

    def test_it_is_the_same_wherever_the_folder_lies(self, path: Path, tmp_path: Path) -> None:
        shutil.copytree(path.parent, tmp_path / "two")
        assert open_screen(path).fingerprint == open_screen(tmp_path / "two/screen.yaml").fingerprint

    def test_it_changes_with_a_pixel_of_a_tile_of_the_same_name_and_size(self, path: Path) -> None:
        before, file = open_screen(path).inputs, path.parent / "tiles/P1_A1_0.tif"
        size, tile = file.stat().st_size, tifffile.imread(file)
        tifffile.imwrite(file, tile[:, ::-1], photometric="minisblack", metadata={"axes": "CYX"})
        assert file.stat().st_size == size
        assert open_screen(path).inputs != before

    def test_it_changes_when_two_tiles_change_places(
        self, tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
    ) -> None:
        prints = []
        for order in (1, -1):
            folder = tmp_path / f"order{order}"
            folder.mkdir()
            names = [f"{w}/{t}.tif" for w in ("A1", "A2") for t in (0, 1)]
            tiles = dict(zip(names, list(toy_tiles.values())[::order], strict=True))
            path = write_screen(folder, tiles=tiles, images={"pattern": "tiles/{well}/{tile}.tif"})
            prints.append(open_screen(path).inputs)
        assert prints[0] != prints[1]

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("images.reference_channel", "GFP"),
            ("images.align", True),
            ("images.channels", ["GFP", "DNA"]),
            ("cells.columns", {"guide": "perturbation"}),
            ("cells.control", "GENE1"),
        ],
    )
    def test_it_changes_with_a_setting_that_matters(self, path: Path, key: str, value: Any) -> None:
        changed = open_screen(path, {key: value})
        assert changed.fingerprint != open_screen(path).fingerprint
        assert changed.inputs == open_screen(path).inputs

    def test_it_changes_with_the_order_of_channels_in_a_mapping(
        self, tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
    ) -> None:
        tiles = {f"{c}-{n}": tile[c] for n, tile in toy_tiles.items() for c in (0, 1)}
        (tmp_path / "m").mkdir()
        path = write_screen(
            tmp_path / "m", tiles=tiles, images={"pattern": "tiles/{channel}-{plate}_{well}_{tile}.tif"}
        )
        orders = [{"DNA": 0, "GFP": 1}, {"GFP": 1, "DNA": 0}]
        one, two = (open_screen(path, {"images.channels": order}) for order in orders)
        assert one.fingerprint != two.fingerprint

    def test_it_does_not_change_with_what_comes_later(self, path: Path) -> None:
        later = open_screen(path, {"training.epochs": 3, "model": "vae", "name": "other", "crop.size": 20})
        assert later.fingerprint == open_screen(path).fingerprint


def test_a_fault_that_many_tiles_have_is_told_once(
    tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
) -> None:
    screen = write_screen(tmp_path)
    for name in toy_tiles:
        (tmp_path / "tiles" / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(TileError) as caught:
        open_screen(screen)
    said = str(caught.value)
    assert said.startswith("4 of 4 tiles cannot be read: plate P1 well A01 tile 0, plate P1 well A01 tile 1, ")
    assert "and 1 more: " in said
    assert "P1_A1_0.tif (the first) is no TIFF. TIFF and OME-TIFF are read; with images.reader: ome-zarr" in said
    assert len(said) < 700


def test_no_more_than_three_faults_are_told(
    tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
) -> None:
    screen = write_screen(tmp_path)
    for size, name in enumerate(toy_tiles, 2):
        tifffile.imwrite(tmp_path / "tiles" / name, np.zeros((size, 2, 40, 48), np.uint16), metadata={"axes": "ZCYX"})
    with pytest.raises(TileError, match=r"Of 1 more tiles other things are wrong\. Restore them") as caught:
        open_screen(screen)
    assert str(caught.value).count("has axes ZCYX") == 3
    assert "(the first)" not in str(caught.value)


def test_controls_that_all_lack_a_label_are_told_with_what_they_lack(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame
) -> None:
    kind, guide = pl.col("perturbation") == "control", pl.col("guide")
    cells = toy_cells.with_columns(pl.when(~kind).then(guide).alias("guide"))
    screen = write_screen(tmp_path, cells=cells)
    with pytest.raises(TableError, match=r"No control is left: .*\. Of 8 controls in the table 8 have no guide: fill"):
        plan_store(open_screen(screen))
