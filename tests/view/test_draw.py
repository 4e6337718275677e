"""A picture is the cell: every pixel as the figures draw it, at one contrast for the whole store."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from contrascope.figures.gallery import composite, limits_of
from contrascope.store.arrays import store_from_arrays
from contrascope.view.draw import CellPictures


@pytest.fixture(scope="module")
def pictures(tiny_store) -> CellPictures:
    return CellPictures(tiny_store)


def pixels_of(webp: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(webp)) as picture:
        assert picture.format == "WEBP"
        return np.asarray(picture.convert("RGB"))


def test_a_composite_is_that_of_the_figures(tiny_store, pictures) -> None:
    for row in (0, 11, len(tiny_store) - 1):
        drawn = composite(tiny_store.read(np.array([row])), limits=pictures.limits)[0]
        assert np.abs(pixels_of(pictures.webp(row)) / 255 - drawn).max() <= 0.5 / 255 + 1e-9


def test_a_channel_is_grey_from_its_black_to_its_white_point(tiny_store, pictures) -> None:
    image = tiny_store.read(np.array([5]))[0].astype(float)
    for channel, (low, high) in enumerate(pictures.limits):
        grey = np.clip((image[channel] - low) / (high - low), 0, 1)
        drawn = pixels_of(pictures.webp(5, channel=channel)) / 255
        assert np.abs(drawn - grey[..., None]).max() <= 0.5 / 255 + 1e-9


def test_the_contrast_is_that_of_the_store_and_the_same_every_time(tiny_store, pictures) -> None:
    assert np.array_equal(pictures.limits, CellPictures(tiny_store).limits)
    everyone = limits_of(tiny_store.read(np.arange(len(tiny_store))))
    assert pictures.limits[:, 1] == pytest.approx(everyone[:, 1], rel=0.15)


@pytest.mark.parametrize(("size", "shape"), [(16, (8, 16)), (24, (12, 24)), (96, (48, 96)), (1024, (512, 1024))])
def test_a_size_is_that_of_the_longer_side(tmp_path, size, shape) -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 2, 12, 24), np.uint8)
    cells = pl.DataFrame({"guide": ["a", "b"] * 2, "perturbation": ["nt", "G"] * 2, "control": [True, False] * 2})
    pictures = CellPictures(store_from_arrays(images, cells, tmp_path / "c.zarr", channels=["A", "B"]))
    assert pixels_of(pictures.webp(1, size=size)).shape == (*shape, 3)
    same = pixels_of(pictures.webp(1))
    assert same.shape == (12, 24, 3)
    assert np.array_equal(pixels_of(pictures.webp(1, size=96))[::4, ::4], same)  # pixels are repeated, not smoothed
