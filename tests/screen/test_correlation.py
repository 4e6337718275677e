"""What two channels share is found where it was planted, however bright it is and whichever sign it has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from contrascope.screen.correlation import correlations, exact_place, highest_peak, reversed_correlation

SIDE = 192
NOWHERE = np.zeros((1, 2), int)


def field(seed: int, side: int = SIDE) -> np.ndarray:
    """Blobs of a few pixels, periodic, so that they can be shifted without a rim."""
    white = np.random.default_rng(seed).normal(size=(side, side))
    return ndimage.gaussian_filter(white, 2, mode="wrap") * 1000


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    return image + np.random.default_rng(seed).normal(0, 0.2 * image.std(), image.shape)


def correlation(first: np.ndarray, second: np.ndarray, max_shift: int = 10) -> np.ndarray:
    return correlations(np.stack([first, second]), [(0, 1)], max_shift=max_shift)[0, 1]


def peak(of: np.ndarray, reach: int) -> tuple[list[int], float]:
    found = highest_peak([of], NOWHERE, np.array([reach]))
    return found.place.tolist(), found.quality


@settings(max_examples=15)
@given(dy=st.integers(-12, 12), dx=st.integers(-12, 12), seed=st.integers(0, 99), sign=st.sampled_from([1, -1]))
def test_the_peak_lies_at_the_planted_shift_and_its_sign_does_not_matter(
    dy: int, dx: int, seed: int, sign: int
) -> None:
    image = field(seed)
    found = correlation(noisy(image, 1), noisy(sign * np.roll(image, (dy, dx), (0, 1)), 2))
    place, quality = peak(found, 14)
    assert place == [dy, dx]
    assert quality > 1.5
    assert np.sign(found[dy, dx]) == sign


def test_brightness_and_contrast_of_a_channel_change_nothing() -> None:
    image = field(0)
    moved = noisy(np.roll(image, (3, -5), (0, 1)), 2)
    once, brighter = (correlation(noisy(image, 1), other) for other in (moved, 20_000 + 40 * moved))
    np.testing.assert_allclose(brighter, once, atol=0.01 * np.abs(once).max())


def test_the_correlation_of_the_second_against_the_first_is_the_same_backwards() -> None:
    tile = np.stack([noisy(field(0), 1), noisy(np.roll(field(0), (4, 1), (0, 1)), 2)])
    both = correlations(tile, [(0, 1), (1, 0)], max_shift=10)
    np.testing.assert_allclose(reversed_correlation(both[0, 1]), both[1, 0], atol=1e-3)


def test_content_in_a_corner_of_a_large_tile_is_heard() -> None:
    rng = np.random.default_rng(0)
    for corner in ((0, 0), (0, 1150), (1150, 0), (1150, 1150)):
        tile = rng.normal(0, 10, (2, 1300, 1300))
        inside = np.s_[corner[0] : corner[0] + 150, corner[1] : corner[1] + 150]
        light = field(3)
        tile[0][inside] += light[:150, :150]
        tile[1][inside] += np.roll(light, (2, -3), (0, 1))[:150, :150]
        assert peak(correlation(tile[0], tile[1]), 8)[0] == [2, -3]


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), pairs=st.integers(1, 3))
def test_the_highest_peak_is_that_of_a_loop_over_all_shifts_in_reach(seed: int, pairs: int) -> None:
    rng = np.random.default_rng(seed)
    maps = [ndimage.gaussian_filter(rng.normal(size=(40, 36)), 1, mode="wrap") for _ in range(pairs)]
    offsets, reaches = rng.integers(-2, 3, (pairs, 2)), rng.integers(6, 9, pairs)
    together = {
        (dy, dx): sum(m[(dy + oy) % 40, (dx + ox) % 36] ** 2 for m, (oy, ox) in zip(maps, offsets, strict=True))
        for dy in range(-12, 13)
        for dx in range(-12, 13)
        if all((abs(np.array([dy, dx]) + o) <= reach).all() for o, reach in zip(offsets, reaches, strict=True))
    }
    found = highest_peak(maps, offsets, reaches)
    assert tuple(found.place) == max(together, key=lambda shift: together[shift])
    assert found.quality >= 1


def test_a_blank_channel_has_no_peak() -> None:
    found = correlation(noisy(field(0), 1), np.zeros((SIDE, SIDE)))
    assert np.isfinite(found).all()
    assert peak(found, 10) == ([0, 0], 1.0)


def test_a_slope_of_what_lies_out_of_reach_is_not_trusted() -> None:
    image = field(0)
    assert peak(correlation(image, np.roll(image, (0, 7), (0, 1))), 6)[1] == 1.0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (2.3, -1.75), (-4.5, 0.4)])
def test_the_exact_place_is_the_planted_one_to_a_tenth_of_a_pixel(shift: tuple[float, float], sign: int) -> None:
    image = field(1)
    moved = np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(image), shift)).real
    found = exact_place(correlation(noisy(image, 1), noisy(sign * moved, 2)), np.rint(shift))
    np.testing.assert_allclose(found.place, shift, atol=0.1)
    assert (found.precision > 0).all()


def test_less_noise_is_more_precise_and_noise_alone_is_not_precise_at_all() -> None:
    image, rng = field(1), np.random.default_rng(0)
    clear = exact_place(correlation(noisy(image, 1), noisy(image, 2)), np.zeros(2))
    dim = exact_place(correlation(noisy(image, 1), image + rng.normal(0, 2 * image.std(), image.shape)), np.zeros(2))
    assert (clear.precision > 2 * dim.precision).all()
    nothing = exact_place(np.zeros((SIDE, SIDE)), np.array([1, 2]))
    assert nothing.place.tolist() == [1, 2]
    assert not nothing.precision.any()
