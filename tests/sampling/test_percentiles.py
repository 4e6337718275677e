"""Percentiles by counting, against numpy's by sorting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contrascope.sampling.percentiles import percentiles

WANTED = (0, 0.5, 37, 50, 99.9, 100)


def by_sorting(images: np.ndarray) -> np.ndarray:
    return np.stack([np.percentile(channel.astype(np.float64), WANTED) for channel in images.swapaxes(0, 1)])


def in_parts(images: np.ndarray, parts: int) -> Iterator[np.ndarray]:
    yield from np.array_split(images, min(parts, len(images)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@given(data=st.data(), parts=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_they_are_numpys_however_the_pixels_come(dtype: str, data: st.DataObject, parts: int) -> None:
    finite = st.floats(-(2.0**100), 2.0**100, width=32) if dtype == "float32" else None
    images = data.draw(
        hnp.arrays(dtype, st.tuples(st.integers(1, 6), st.just(2), st.just(3), st.just(2)), elements=finite)
    )
    found = percentiles(lambda: in_parts(images, parts), WANTED)
    largest = float(np.abs(images.astype(np.float64)).max())
    np.testing.assert_allclose(found, by_sorting(images), rtol=1e-12, atol=1e-12 * largest)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_they_are_numpys_of_pixels_as_a_microscope_takes_them(dtype: str) -> None:
    images = (100 + np.random.default_rng(0).gamma(2.0, 300.0, (50, 3, 20, 20))).astype(dtype)
    found = percentiles(lambda: in_parts(images, 7), WANTED)
    np.testing.assert_allclose(found, by_sorting(images), rtol=1e-12)


def test_the_brightest_pixel_there_can_be_is_counted() -> None:
    images = np.array([[[[0, 65_535]]]], np.uint16)
    assert percentiles(lambda: [images], [100]).item() == 65_535


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_channel_with_what_is_no_number_has_none(wrong: float) -> None:
    images = np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype(np.float32)
    images[2, 1, 0, 0] = wrong
    found = percentiles(lambda: in_parts(images, 2), WANTED)
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[:1], by_sorting(images[:, :1]), rtol=1e-12)
