"""Real cells are shown from the stored pixels, at one contrast for all of a store, so that any two can be compared.

What a model sees is no picture for the eye: arcsinh lifts faint light, and a cell's surroundings with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contrascope.figures.composite import Images, Limits, limits_of
from contrascope.store.store import CropStore

_CELLS, _PIXELS = range(16, 513), 2**23
"""So many cells set the contrast, fewer of them where they are large: the sample is to take 64 MB at most."""
SHOWN_SIDE = 128
"""Pixels of a shown cell's longer side, at most: more than a page draws of it."""


def store_contrast(store: CropStore, *, seed: int = 0) -> Limits:
    """Black and white point of each channel, (C, 2), from cells chosen at random.

    Raises:
        StoreError: Cells of the sample cannot be read.
    """
    fitting = _PIXELS // (len(store.channels) * store.crop_size[0] * store.crop_size[1])
    count = min(max(fitting, _CELLS.start), _CELLS.stop - 1, len(store))
    rows = np.random.default_rng(seed).choice(len(store), count, replace=False)
    return limits_of(store.read(np.sort(rows)))


def shown_cells(store: CropStore, rows: NDArray[np.integer]) -> Images:
    """(B, C, H, W) stored pixels of cells to be drawn; of crops larger than ``SHOWN_SIDE``, means of squares of them.

    Raises:
        StoreError: Cells cannot be read.
    """
    images, side = store.read(rows), _square(store)
    if side == 1:
        return images
    B, C, H, W = images.shape
    whole = images[:, :, : H // side * side, : W // side * side]
    squares = whole.reshape(B, C, H // side, side, W // side, side)
    means: Images = squares.mean((3, 5), dtype=np.float32)
    return means


def shown_pixel_um(store: CropStore) -> float | None:
    """Width in micrometres of a pixel of ``shown_cells``, if known."""
    return None if store.pixel_size_um is None else store.pixel_size_um * _square(store)


def _square(store: CropStore) -> int:
    """Stored pixels along a side of a shown one."""
    return -(-max(store.crop_size) // SHOWN_SIDE)
