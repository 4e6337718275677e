"""Windows are what a tile shows once it is clipped and its channels are moved, and moving undoes a shift."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from contrascope.store.windows import cleaned, windows


@settings(max_examples=30, deadline=None)
@given(dy=st.floats(-9, 9), dx=st.floats(-9, 9), seed=st.integers(0, 99))
def test_a_fraction_of_a_pixel_is_undone_as_a_fourier_shift_would(dy: float, dx: float, seed: int) -> None:
    """Blurred noise is back where it was, and where scipy's spline puts it, to 3 % of its spread."""
    light = 1000 * ndimage.gaussian_filter(np.random.default_rng(seed).random((64, 64)), 1.5, mode="wrap") - 400
    moved = np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(light), (dy, dx))).real.astype(np.float32)
    limits, inside = np.array([[-1e6, 1e6]]), slice(14, -14)
    undone = cleaned(moved[None], limits, np.array([[dy, dx]]))[0]
    spline = ndimage.shift(moved, (-dy, -dx), order=3, mode="nearest")
    assert (undone - light)[inside, inside].std() < 0.03 * light.std()
    assert (undone - spline)[inside, inside].std() < 0.03 * light.std()
    whole = cleaned(moved[None], limits, np.rint([[dy, dx]]))[0]
    assert np.array_equal(
        whole[inside, inside], np.roll(moved, np.rint((-dy, -dx)).astype(int), (0, 1))[inside, inside]
    )


@given(data=st.data(), seed=st.integers(0, 99), size=st.integers(1, 9))
def test_windows_are_what_the_whole_cleaned_tile_shows(data: st.DataObject, seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    tile = rng.integers(0, 65_536, (3, 11, 13)).astype(np.uint16)
    limits = np.sort(rng.uniform(0, 65_535, (3, 2)), axis=1).round()
    shifts = data.draw(hnp.arrays(np.int64, (3, 2), elements=st.integers(-30, 30)))
    corners = rng.integers(0, (12 - size, 14 - size), (5, 2))
    whole = cleaned(tile, limits, shifts)
    expected = [whole[:, y : y + size, x : x + size] for y, x in corners]
    np.testing.assert_array_equal(windows(tile, limits, shifts, corners, size), expected)


def test_interpolation_keeps_the_type_and_makes_no_value_outside_the_range() -> None:
    tile = np.random.default_rng(0).integers(0, 65_536, (2, 30, 30)).astype(np.uint16)
    tile[0, 10:20] = 65_535
    limits = np.array([[300.0, 60_000.0], [0.0, 65_535.0]])
    undone = cleaned(tile, limits, np.array([[0.5, -3.3], [0.0, 0.0]]))
    assert undone.dtype == np.uint16
    assert undone[0].min() >= 300
    assert undone[0].max() <= 60_000
    assert np.array_equal(undone[1], tile[1])
