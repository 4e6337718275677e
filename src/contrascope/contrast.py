"""One contrast for all pictures of a store's cells, so that any two of them can be compared."""

from __future__ import annotations

import numpy as np

from contrascope.figures.composite import Limits, limits_of
from contrascope.store.store import CropStore

_CELLS, _PIXELS = range(16, 513), 2**23
"""So many cells set the contrast, fewer of them where they are large: the sample is to take 64 MB at most."""


def store_contrast(store: CropStore, *, seed: int = 0) -> Limits:
    """Black and white point of each channel, (C, 2), from cells chosen at random.

    Raises:
        StoreError: Cells of the sample cannot be read.
    """
    fitting = _PIXELS // (len(store.channels) * store.crop_size[0] * store.crop_size[1])
    count = min(max(fitting, _CELLS.start), _CELLS.stop - 1, len(store))
    rows = np.random.default_rng(seed).choice(len(store), count, replace=False)
    return limits_of(store.read(np.sort(rows)))
