"""Tiles are measured before cells are cut; a tile that does not say takes what its plate says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
from scipy import ndimage

from contrascope.errors import TileError
from contrascope.screen.alignment import TRUSTED, agreed_shifts
from contrascope.screen.screen import Screen, open_screen
from contrascope.store.crops import BAD_TILE, NOT_SHOWN, extract_crops

WriteScreen = Callable[..., Path]


def test_a_tile_that_does_not_say_takes_the_median_of_its_plate() -> None:
    shifts = np.array(
        [[[0, 0], [1, 2]], [[0, 0], [3, 2]], [[0, 0], [2, 5]], [[0, 0], [30, -30]], [[0, 0], [9, 9]]], float
    )
    quality = np.array([[np.inf, 4], [np.inf, 3], [np.inf, 2], [np.inf, TRUSTED - 0.1], [np.inf, 5]])
    used, fallback, unaligned = agreed_shifts(shifts, quality, np.array(["P1"] * 4 + ["P2"]))
    assert used[3, 1].tolist() == [2, 2]
    assert not unaligned.any()
    assert fallback[:, 1].tolist() == [False, False, False, True, False]
    assert not fallback[:, 0].any()
    assert np.array_equal(used[[0, 1, 2, 4]], shifts[[0, 1, 2, 4]])


def test_a_plate_that_says_nothing_is_not_moved() -> None:
    used, fallback, unaligned = agreed_shifts(np.full((2, 1, 2), 7.0), np.ones((2, 1)), np.array(["P1", "P1"]))
    assert not used.any()
    assert fallback.all()
    assert unaligned.all()


def test_a_store_says_how_clear_each_shift_was_and_where_the_plate_stood_in(tiny_screen: Path, tmp_path: Path) -> None:
    tiles = extract_crops(open_screen(tiny_screen), tmp_path / "s.zarr").tiles
    for name in ("Tubulin", "gH2AX", "Phalloidin"):
        unclear = tiles.filter(pl.col(f"quality {name}") < TRUSTED)
        assert tiles[f"fallback {name}"].to_list() == (tiles[f"quality {name}"] < TRUSTED).to_list()
        assert unclear[f"shift_y {name}"].n_unique() <= 1  # one plate, one median
    assert tiles["quality DAPI"].null_count() == tiles.height


def test_all_bad_tiles_are_named_at_once(tmp_path: Path, write_screen: WriteScreen) -> None:
    screen = open_screen(write_screen(tmp_path))
    for key in screen.keys()[:2]:
        file = screen.reader._files[key][0]  # type: ignore[attr-defined]
        file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(TileError, match="2 of 4 tiles cannot be read") as error:
        extract_crops(screen, tmp_path / "s.zarr")
    assert all(str(key) in str(error.value) for key in screen.keys()[:2])


def test_bad_tiles_may_be_skipped_and_their_cells_are_counted(tmp_path: Path, write_screen: WriteScreen) -> None:
    screen = open_screen(write_screen(tmp_path), {"images.on_bad_tile": "skip"})
    file = screen.reader._files[screen.keys()[1]][0]  # type: ignore[attr-defined]
    file.write_bytes(file.read_bytes()[:700])
    store = extract_crops(screen, tmp_path / "s.zarr")
    whole = extract_crops(open_screen(write_screen(tmp_path)), tmp_path / "whole.zarr")
    lost = pl.read_parquet(tmp_path / "s.zarr/dropped.parquet").filter(pl.col("reason") == BAD_TILE)
    assert store.account.dropped[BAD_TILE] == lost.height == screen.tiles["cells"][1]
    assert store.tiles["readable"].to_list() == [True, False, True, True]
    kept = whole.cells["cell_id"].is_in(lost["cell_id"].to_list())
    assert np.array_equal(store.read(np.arange(len(store))), whole.read(np.flatnonzero(~kept.to_numpy())))


@pytest.mark.parametrize("damage", ["half of its channels", "no header"])
def test_a_tile_that_is_no_tile_can_be_skipped_before_it_is_read(
    damage: str, tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
) -> None:
    whole = extract_crops(open_screen(write_screen(tmp_path)), tmp_path / "whole.zarr")
    path, bad = write_screen(tmp_path), tmp_path / "tiles" / "P1_A1_1.tif"
    if damage == "no header":
        bad.write_bytes(b"II*")
    else:  # what is left of a file of several pages that was cut short
        tifffile.imwrite(bad, toy_tiles[bad.name][:1], photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(TileError, match=r"1 of 4 tiles .*plate P1 well A01 tile 1.*on_bad_tile"):
        open_screen(path)
    store = extract_crops(open_screen(path, {"images.on_bad_tile": "skip"}), tmp_path / "s.zarr")
    assert store.account.dropped[BAD_TILE] == 6
    assert store.tiles["readable"].to_list() == [True, False, True, True]
    kept = ~whole.cells["cell_id"].is_in(store.dropped["cell_id"].to_list())
    assert np.array_equal(store.read(np.arange(len(store))), whole.read(np.flatnonzero(kept.to_numpy())))


def test_with_no_tile_left_there_is_nothing_to_skip(tmp_path: Path, write_screen: WriteScreen) -> None:
    path = write_screen(tmp_path, images={"on_bad_tile": "skip"})
    for tile in (tmp_path / "tiles").iterdir():
        tile.write_bytes(b"II*")
    with pytest.raises(TileError, match="4 of 4 tiles cannot be read"):
        open_screen(path)


PLACES = [(0, 0), (1, -2), (30, 45), (33, 45)]
"""Where the two channels of each of two rounds lie: the second round some 30 rows and 45 columns away."""


def two_rounds(folder: Path, write_screen: WriteScreen, *, low: float, high: float) -> Screen:
    """A tile of 400 x 400 pixels imaged in two rounds, with 40 cells between two positions."""
    rng = np.random.default_rng(0)
    cells = pl.DataFrame(
        {
            "cell_id": [f"c{i}" for i in range(40)], "plate": "P1", "well": "A1", "tile": "0",
            "y": rng.uniform(low, high, 40), "x": rng.uniform(low, high, 40),
            "guide": [f"g{i % 4}" for i in range(40)], "perturbation": ["control", "GENE1"] * 20,
        }
    )  # fmt: skip
    light = ndimage.gaussian_filter(rng.random((2, 600, 600)), (0, 2, 2)) * 8000
    planes = [np.roll(light[k % 2] + light[0], shift, (0, 1))[100:-100, 100:-100] for k, shift in enumerate(PLACES)]
    images = {
        "channels": ["DNA", "GFP", "DNA2", "p53"],
        "align": True,
        "max_shift": 6,
        "max_round_shift": 60,
        "rounds": {
            "second": {"channels": ["p53", "DNA2"], "reference": "DNA2"},
            "first": {"channels": ["DNA", "GFP"], "reference": "DNA"},
        },
    }
    tiles = {"P1_A1_0.tif": rng.poisson(np.stack(planes)).astype(np.uint16)}
    return open_screen(write_screen(folder, cells=cells, tiles=tiles, images=images))


def test_a_store_of_two_rounds_has_both_rounds_in_place(tmp_path: Path, write_screen: WriteScreen) -> None:
    store = extract_crops(two_rounds(tmp_path, write_screen, low=80, high=300), tmp_path / "s")
    found = [store.tiles.select(f"shift_y {n}", f"shift_x {n}").row(0) for n in store.channels]
    assert np.abs(np.array(found) - PLACES).max() < 0.25
    assert len(store) == 40
    crops = store.read(np.arange(len(store))).astype(float)
    assert np.corrcoef(crops[:, 0].ravel(), crops[:, 2].ravel())[0, 1] > 0.95
    assert np.corrcoef(crops[:, 1].ravel(), crops[:, 3].ravel())[0, 1] > 0.95


def test_cells_that_a_round_does_not_wholly_show_are_dropped_and_counted(
    tmp_path: Path, write_screen: WriteScreen
) -> None:
    screen = two_rounds(tmp_path, write_screen, low=20, high=385)
    store = extract_crops(screen, tmp_path / "s")
    # The far end of a crop of 16 pixels, moved by the farthest channel, must lie in the tile.
    y, x = (np.floor(screen.cells[name].to_numpy() + 0.5) for name in ("y", "x"))
    shown = (y + 8 + 33 <= 400) & (x + 8 + 45 <= 400)
    assert 0 < shown.sum() < 40
    assert store.account.dropped == {NOT_SHOWN: int((~shown).sum())}
    assert sorted(store.cells["cell_id"]) == sorted(screen.cells["cell_id"].cast(pl.String).filter(pl.Series(shown)))
    assert (store.dropped["reason"] == NOT_SHOWN).all()


def test_pixels_that_are_no_number_are_told_once(
    tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
) -> None:
    tiles = {name: tile.astype(np.float32) for name, tile in toy_tiles.items()}
    for n, tile in enumerate(tiles.values(), 1):
        tile[0, 0, :n] = np.nan
    with pytest.raises(TileError, match=r"tile 1, .* and 1 more: some pixels are no finite number") as caught:
        extract_crops(open_screen(write_screen(tmp_path, tiles=tiles)), tmp_path / "s.zarr")
    assert str(caught.value).count("finite") == 1
