"""One contrast for all cells of a store: of a sample that the seed chooses, within memory."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope import contrast
from contrascope.contrast import shown_cells, shown_pixel_um, store_contrast
from contrascope.store.store import CropStore


def test_of_a_small_store_all_cells_set_the_contrast(tiny_store: CropStore) -> None:
    pixels = np.moveaxis(tiny_store.read(np.arange(len(tiny_store))), 1, 0).reshape(len(tiny_store.channels), -1)
    low, high = store_contrast(tiny_store).T
    below = [(channel < black).mean() for channel, black in zip(pixels, low, strict=True)]
    above = [(channel > white).mean() for channel, white in zip(pixels, high, strict=True)]
    assert max(below) < 0.02 and max(above) < 0.02


def test_the_seed_chooses_the_sample(tiny_store: CropStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrast, "_CELLS", range(2, 21))
    assert np.array_equal(store_contrast(tiny_store, seed=1), store_contrast(tiny_store, seed=1))
    assert not np.array_equal(store_contrast(tiny_store, seed=1), store_contrast(tiny_store, seed=2))


def test_large_crops_are_sampled_less(tiny_store: CropStore, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(type(tiny_store), "read", lambda self, rows: read.append(len(rows)) or np.ones((1, 1, 2, 2)))
    pixels = len(tiny_store.channels) * tiny_store.crop_size[0] * tiny_store.crop_size[1]
    monkeypatch.setattr(contrast, "_PIXELS", 20 * pixels)
    store_contrast(tiny_store)
    monkeypatch.setattr(contrast, "_PIXELS", pixels)
    store_contrast(tiny_store)
    assert read == [20, 16]


def test_cells_are_shown_as_they_are_stored(tiny_store: CropStore) -> None:
    rows = np.array([3, 1, 3])
    np.testing.assert_array_equal(shown_cells(tiny_store, rows), tiny_store.read(rows))
    assert shown_pixel_um(tiny_store) == tiny_store.pixel_size_um


def test_of_large_crops_means_of_squares_are_shown(tiny_store: CropStore, monkeypatch: pytest.MonkeyPatch) -> None:
    H, W = tiny_store.crop_size
    monkeypatch.setattr(contrast, "SHOWN_SIDE", -(-max(H, W) // 3))
    (stored,), (shown,) = tiny_store.read(np.array([5])), shown_cells(tiny_store, np.array([5]))
    assert shown.shape[1:] == (H // 3, W // 3)
    assert shown[1, 2, 4] == pytest.approx(stored[1, 6:9, 12:15].mean())
    assert tiny_store.pixel_size_um is not None
    assert shown_pixel_um(tiny_store) == pytest.approx(3 * tiny_store.pixel_size_um)
