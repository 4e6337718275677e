"""One cell as a picture: all channels in colour, or one in grey.

The contrast is that of the whole store, from a sample of its cells, so that any two pictures can be compared. They are
WebP without loss: on the way to a browser of the same machine, bytes are cheaper than colours that are not the cell's.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from contrascope.figures.gallery import composite, greys, limits_of
from contrascope.store.store import CropStore

_SAMPLE_CELLS, _SAMPLE_PIXELS = range(16, 257), 2**23
"""So many cells set the contrast, fewer of them where they are large: the sample is to take 64 MB at most."""


class CellPictures:
    """Pictures of a store's cells.

    Args:
        store: The cells.
        seed: Of the sample that sets the contrast.

    Raises:
        StoreError: Cells of the sample cannot be read.
    """

    def __init__(self, store: CropStore, *, seed: int = 0):
        self._store = store
        fitting = _SAMPLE_PIXELS // (len(store.channels) * store.crop_size[0] * store.crop_size[1])
        count = min(max(fitting, _SAMPLE_CELLS.start), _SAMPLE_CELLS.stop - 1, len(store))
        rows = np.sort(np.random.default_rng(seed).choice(len(store), count, replace=False))
        self.limits = limits_of(store.read(rows))

    def webp(self, row: int, *, channel: int | None = None, size: int | None = None) -> bytes:
        """The picture of the cell in this row.

        Args:
            row: In the store.
            channel: The one to show in grey; None shows all in colour.
            size: Pixels of the longer side; None takes those of the crop.

        Raises:
            StoreError: The cell's shard is damaged.
        """
        images = self._store.read(np.array([row]))
        if channel is None:
            shown = composite(images, limits=self.limits)[0]
        else:
            shown = greys(images[:, [channel]], limits=self.limits[[channel]])[0, 0]
        picture = Image.fromarray(np.rint(255 * shown).astype(np.uint8))
        file = io.BytesIO()
        (picture if size is None else _resized(picture, size)).save(file, "WEBP", lossless=True, method=0, quality=50)
        return file.getvalue()


def _resized(picture: Image.Image, size: int) -> Image.Image:
    """The picture with a longer side of so many pixels: made smaller by averaging, larger by repeating pixels."""
    longer = max(picture.size)
    shape = (max(1, round(picture.width * size / longer)), max(1, round(picture.height * size / longer)))
    return picture.resize(shape, Image.Resampling.BOX if size < longer else Image.Resampling.NEAREST)
