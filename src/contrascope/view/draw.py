"""One cell as a picture: all channels in colour, or one in grey.

The contrast is that of the whole store, as in the report (``contrast.py``). They are WebP without loss: on the way to a
browser of the same machine, bytes are cheaper than colours that are not the cell's.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from contrascope.contrast import store_contrast
from contrascope.figures.composite import composite, scaled
from contrascope.store.store import CropStore


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
        self.limits = store_contrast(store, seed=seed)

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
            shown = scaled(images[:, [channel]], self.limits[[channel]])[0, 0]
        picture = Image.fromarray(np.rint(255 * shown).astype(np.uint8))
        file = io.BytesIO()
        (picture if size is None else _resized(picture, size)).save(file, "WEBP", lossless=True, method=0, quality=50)
        return file.getvalue()


def _resized(picture: Image.Image, size: int) -> Image.Image:
    """The picture with a longer side of so many pixels: made smaller by averaging, larger by repeating pixels."""
    longer = max(picture.size)
    shape = (max(1, round(picture.width * size / longer)), max(1, round(picture.height * size / longer)))
    return picture.resize(shape, Image.Resampling.BOX if size < longer else Image.Resampling.NEAREST)
