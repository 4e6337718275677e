"""What a microscope does to light: it moves, blurs, dims and adds, by the amounts that are said."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope.screen.simulation import artifacts
from contrascope.screen.simulation.artifacts import Camera, WellOptics, photograph
from contrascope.screen.simulation.design import PRESETS

SIZE = PRESETS["tiny"].tile_size


def test_a_photograph_moves_brightens_and_adds() -> None:
    margin, size = 20, 64
    light = np.zeros((4, size + 2 * margin, size + 2 * margin), np.float32)
    light[:, 50, 52] = 20_000  # (30, 32) of the tile
    camera = Camera(np.zeros(4), np.zeros((4, 2)), np.array([[[5, 6, 900]]] * 4), size)
    optics = WellOptics(np.array([1.0, 2.0, 1.0, 1.0]), np.array([100.0, 100.0, 120.0, 100.0]))
    shift = np.array([[0, 0], [0, 0], [3.5, -2.25], [-6, 6]])
    tile = photograph(light, shift, camera, optics, np.random.default_rng(0)).astype(float)
    background = np.median(tile, axis=(1, 2))
    expected = optics.offset + optics.gain * np.array(artifacts.HAZE)
    np.testing.assert_allclose(background, expected, atol=2)
    assert (tile[:, 5, 6] - background > 800).all()
    above = (tile - background[:, None, None])[:, 20:45, 20:45]
    y, x = np.mgrid[20:45, 20:45]
    total = above.sum(axis=(1, 2))
    centre = np.stack([(above * axis).sum(axis=(1, 2)) / total for axis in (y, x)], axis=1)
    np.testing.assert_allclose(centre, np.array([30, 32]) + shift, atol=0.25)
    np.testing.assert_allclose(total / optics.gain, 20_000, rtol=0.03)


def test_light_falls_off_from_the_middle() -> None:
    camera = artifacts.draw_camera(SIZE, np.random.default_rng(0))
    middle = camera.illumination[:, SIZE // 3 : -SIZE // 3, SIZE // 3 : -SIZE // 3].mean(axis=(1, 2))
    corners = camera.illumination[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(axis=1)
    assert (corners < 0.87 * middle).all() and (corners > 0.4).all()


def test_noise_is_that_of_counted_light_and_of_the_camera() -> None:
    size, margin = 200, 10
    camera = Camera(np.zeros(4), np.zeros((4, 2)), np.zeros((4, 1, 3), int), size)
    light = np.multiply.outer(np.array([0, 200, 1000, 5000], np.float32), np.ones((size + 2 * margin,) * 2, np.float32))
    tile = photograph(
        light, np.zeros((4, 2)), camera, WellOptics(np.ones(4), np.full(4, 100.0)), np.random.default_rng(0)
    )
    counts = tile.reshape(4, -1).astype(float) - 100
    # Poisson: the variance is the mean; besides, 3 counts of reading and those of rounding, 1 / 12.
    np.testing.assert_allclose(counts.var(axis=1), counts.mean(axis=1) + 3**2 + 1 / 12, rtol=0.03)


def test_a_third_of_the_shifts_is_whole_and_dapi_stays() -> None:
    rng = np.random.default_rng(0)
    shifts = np.stack([artifacts.draw_shift(rng) for _ in range(2000)])
    assert not shifts[:, 0].any()
    moved = shifts[:, 1:]
    assert np.abs(moved).max() <= 6
    assert (moved == moved.round()).all(axis=2).mean() == pytest.approx(1 / 3, abs=0.03)
    assert np.abs(moved.mean(axis=(0, 1))).max() < 0.2


def test_optics_of_wells_vary_by_a_sixth_about_one() -> None:
    rng = np.random.default_rng(0)
    wells = [artifacts.draw_optics(rng) for _ in range(1000)]
    gains = np.log([well.gain for well in wells])
    assert gains.mean() == pytest.approx(0, abs=0.02)
    assert gains.std() == pytest.approx(0.16, abs=0.01)
    assert min(well.offset.min() for well in wells) > 0, "an offset of the camera is what darkness gives"
