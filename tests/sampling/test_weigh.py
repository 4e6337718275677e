"""Weighed sums of rows and columns are what a slow loop makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.sampling.resize import _weights
from contrascope.sampling.weigh import weighed


def slowly(image: np.ndarray, size: int) -> np.ndarray:
    """(size, size) by the formula R_H image R_W^T, pixel by pixel in double precision."""
    (rows, of_rows), (columns, of_columns) = (_weights(side, size) for side in image.shape)
    out = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            for k, a in enumerate(of_rows[i]):
                for m, b in enumerate(of_columns[j]):
                    out[i, j] += float(a) * float(b) * float(image[rows[i] + k, columns[j] + m])
    return out


@given(st.integers(5, 40), st.integers(5, 40), st.sampled_from([4, 8, 13, 24]), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_every_pixel_is_the_weighted_sum_of_its_neighbours(H: int, W: int, size: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 2**16, (2, H, W)).astype(np.uint16)
    out = np.full((2, size, size), np.nan, np.float32)
    weighed(images, *_weights(H, size), *_weights(W, size), out)
    np.testing.assert_allclose(out, [slowly(image, size) for image in images], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_flat_image_stays_flat_in_any_type(dtype: type) -> None:
    out = np.empty((3, 16, 16), np.float32)
    weighed(np.full((3, 30, 50), 200, dtype), *_weights(30, 16), *_weights(50, 16), out)
    np.testing.assert_allclose(out, 200, rtol=1e-6)


def test_weights_are_few_and_make_one_in_sum() -> None:
    for before, after in [(100, 64), (9, 64), (128, 8), (65, 64), (2, 5)]:
        first, weights = _weights(before, after)
        assert (first >= 0).all() and (first + weights.shape[1] <= before).all()
        assert weights.shape[1] <= min(before, 2 * np.ceil(max(1, before / after)) + 1)
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)


def test_a_pixel_that_is_no_number_spoils_what_it_is_a_part_of_and_no_more() -> None:
    image = np.ones((1, 40, 40), np.float32)
    image[0, 20, 20] = np.nan
    out = np.empty((1, 20, 20), np.float32)
    weighed(image, *_weights(40, 20), *_weights(40, 20), out)
    assert 1 <= np.isnan(out).sum() <= 9 and np.isnan(out[0, 10, 10])
