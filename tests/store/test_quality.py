"""How tiles look is measured so that blur, darkness and a full detector can be told apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import ndimage

from contrascope.screen.screen import open_screen
from contrascope.store.arrays import store_from_arrays
from contrascope.store.crops import extract_crops
from contrascope.store.measure import value_counts
from contrascope.store.quality import focus, looks_of, saturated_share

WriteScreen = Callable[..., Path]


@pytest.fixture(scope="module")
def light() -> np.ndarray:
    """Discs of 6 pixels radius, as cells are, blurred by the optics: expected photons of a tile."""
    rng = np.random.default_rng(0)
    centres = np.zeros((400, 440))
    centres[rng.integers(0, 400, 90), rng.integers(0, 440, 90)] = rng.uniform(50, 300, 90)
    y, x = np.mgrid[-6:7, -6:7]
    return 20 + ndimage.gaussian_filter(ndimage.convolve(centres, (y**2 + x**2 <= 36).astype(float)), 0.8)


def photographed(light: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(light).astype(np.uint16)


def saturation(channel: np.ndarray) -> float:
    return saturated_share(channel, value_counts(channel))


@pytest.mark.parametrize("sigma", [1, 2, 4])
def test_a_blurred_tile_scores_lower_than_the_same_tile_sharp(light: np.ndarray, sigma: float) -> None:
    sharp = focus(photographed(light))
    assert focus(photographed(ndimage.gaussian_filter(light, sigma))) < 0.6 * sharp  # blurred by the optics
    assert focus(ndimage.gaussian_filter(photographed(light).astype(np.float32), sigma)) < 0.6 * sharp  # or afterwards


def test_the_more_blur_the_lower(light: np.ndarray) -> None:
    scores = [focus(photographed(ndimage.gaussian_filter(light, sigma))) for sigma in (0.1, 0.7, 1.2, 2)]
    assert scores == sorted(scores, reverse=True)


def test_focus_knows_neither_gain_nor_offset(light: np.ndarray) -> None:
    tile = photographed(light)
    assert focus(2 * tile) == focus(tile)
    assert focus(tile + np.uint16(1000)) == pytest.approx(focus(tile), rel=1e-3)


def test_a_longer_exposure_does_not_look_sharper(light: np.ndarray) -> None:
    scores = [focus(photographed(light * exposure)) for exposure in (0.5, 1, 2, 8)]
    assert scores == pytest.approx([scores[-1]] * 4, rel=0.1)


def test_hot_pixels_are_no_detail(light: np.ndarray) -> None:
    hot = photographed(ndimage.gaussian_filter(light, 2))
    hot[np.random.default_rng(1).integers(0, 400, 40), np.random.default_rng(2).integers(0, 440, 40)] = 3000
    assert focus(hot) < 0.3 * focus(photographed(light))


def test_sharpness_is_no_matter_of_noise_alone() -> None:
    assert np.isnan(focus(photographed(np.full((400, 440), 50.0))))
    assert np.isnan(focus(np.full((64, 64), 7, np.uint8)))


def test_intensity_is_the_mean_of_all_pixels(light: np.ndarray) -> None:
    tile = np.stack([photographed(light), photographed(light * 2)])
    counted = looks_of(tile, [value_counts(channel) for channel in tile])
    assert counted.intensity == pytest.approx(tile.mean((1, 2)))
    floats = looks_of(tile.astype(np.float32), [None, None])
    assert floats.intensity == pytest.approx(counted.intensity)
    assert floats.focus == pytest.approx(counted.focus)


@pytest.mark.parametrize(
    ("top", "dtype"), [(255, np.uint8), (65535, np.uint16), (4095, np.uint16), (1.5, np.float32), (4080, np.uint16)]
)
def test_pixels_at_the_top_are_counted_wherever_the_top_is(light: np.ndarray, top: float, dtype: type) -> None:
    level = np.percentile(light, 99)
    tile = np.minimum(photographed(light) * (top / level), top).astype(dtype)
    assert saturation(tile) == pytest.approx(float((tile == tile.max()).mean()))
    assert 0.005 < saturation(tile) < 0.02


def test_a_tile_whose_light_ends_by_itself_is_not_saturated(light: np.ndarray) -> None:
    for seed in range(20):
        assert saturation(photographed(light, seed)) == 0
    assert saturation((photographed(light) // 8).astype(np.uint8)) == 0
    assert saturation(photographed(light).astype(np.float32)) == 0


def test_a_blank_channel_is_not_saturated_unless_it_is_full() -> None:
    assert saturation(np.full((50, 50), 700, np.uint16)) == 0
    assert saturation(np.full((50, 50), 700, np.float32)) == 0
    assert saturation(np.full((50, 50), 255, np.uint8)) == 1


def test_a_store_says_how_its_tiles_look(
    tmp_path: Path, write_screen: WriteScreen, toy_tiles: dict[str, np.ndarray]
) -> None:
    tiles = {name: tile.copy() for name, tile in toy_tiles.items()}
    tiles["P1_A1_1.tif"][1] = 0
    tiles["P1_A1_1.tif"][1, :4] = 65535
    screen = open_screen(write_screen(tmp_path, tiles=tiles))
    store = extract_crops(screen, tmp_path / "s.zarr")
    assert store.tiles["intensity DNA"].to_list() == pytest.approx([tile[0].mean() for tile in tiles.values()], 1e-6)
    assert store.tiles["saturated GFP"].to_list() == [0, 0.1, 0, 0]


def test_what_cannot_be_told_is_null_and_a_number_nonetheless(tmp_path: Path, write_screen: WriteScreen) -> None:
    blank = {f"P1_A{w}_{t}.tif": np.full((2, 40, 48), 9, np.uint16) for w in (1, 2) for t in (0, 1)}
    tiles = extract_crops(open_screen(write_screen(tmp_path, tiles=blank)), tmp_path / "s.zarr").tiles
    assert tiles.schema["focus GFP"] == pl.Float64
    assert tiles["focus GFP"].null_count() == 4


def test_crops_from_elsewhere_have_no_tiles_that_could_be_measured(tmp_path: Path) -> None:
    cells = pl.DataFrame({"guide": ["a", "b"], "perturbation": ["a", "b"], "control": [True, False]})
    store = store_from_arrays(np.zeros((2, 1, 8, 8), np.uint8), cells, tmp_path / "s.zarr", channels=["DNA"])
    assert not [name for name in store.tiles.columns if name.startswith("focus")]
