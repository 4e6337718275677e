"""From raw pixels to what a model sees: resize, arcsinh, normalise. Runs where the batch is.

    v = (arcsinh((pixel - offset) / cofactor) - center) / spread

``paper`` has offset 0, cofactor 1, center 7, spread 7, as the authors. ``measured`` takes all four per
channel from the store's controls: offset is the level that cells hardly go below, the cofactor sets where
arcsinh bends from linear to logarithmic (at the channel's median signal), center and spread bring the bulk
of the pixels into -0.9 ... 0.9, inside the reach of the decoder's tanh.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrascope.errors import StoreError
from contrascope.store.store import CropStore
from contrascope.vocabulary import Batch

_LOW, _HIGH = 0.5, 99.9
"""Percentiles of the controls' pixels that are brought to -0.9 and 0.9."""
_REACH = 0.9
_MEASURED_CELLS = 2000


class Transform(nn.Module):
    """Raw (B, C, H, W) pixels -> (B, C, size, size) float32, about -1 ... 1.

    Args:
        size: Pixels a side after resizing.
        offset, cofactor, center, spread: C values each.
    """

    offset: Tensor
    cofactor: Tensor
    center: Tensor
    spread: Tensor

    def __init__(
        self, size: int, *, offset: list[float], cofactor: list[float], center: list[float], spread: list[float]
    ):
        super().__init__()
        self.size = size
        for name, values in {"offset": offset, "cofactor": cofactor, "center": center, "spread": spread}.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Resized with anti-aliasing, then arcsinh, then normalised."""
        x = pixels.float()
        if x.shape[-2:] != (self.size, self.size):
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        x = (torch.asinh((x - self.offset) / self.cofactor) - self.center) / self.spread
        return x.contiguous(memory_format=torch.channels_last)

    def batch(self, batch: Batch) -> Batch:
        """The same batch with its images transformed."""
        return batch._replace(images=self(batch.images))

    def inverse(self, images: Tensor) -> Tensor:
        """(B, C, size, size) in the store's intensities, from a model's range."""
        return torch.sinh(images.float() * self.spread + self.center) * self.cofactor + self.offset

    def state(self) -> dict[str, Any]:
        """Its arguments, as JSON can hold them."""
        names = ("offset", "cofactor", "center", "spread")
        return {"size": self.size} | {name: getattr(self, name).flatten().tolist() for name in names}


def paper_transform(size: int, channels: int) -> Transform:
    """(arcsinh(v) - 7) / 7 for every channel: right for 16-bit counts around a thousand."""
    seven = [7.0] * channels
    return Transform(size, offset=[0.0] * channels, cofactor=[1.0] * channels, center=seven, spread=seven)


def measured_transform(store: CropStore, rows: np.ndarray, *, size: int, seed: int) -> Transform:
    """A transform fitted to the pixels of controls.

    Args:
        store: The cells.
        rows: Cells that may be looked at; controls among them are, at most 2,000.
        size: Pixels a side after resizing.
        seed: Of the choice of controls.

    Raises:
        StoreError: A channel is constant, or not all of its pixels are numbers.
    """
    controls = rows[store.labels[rows] == 0]
    chosen = np.random.default_rng(seed).permutation(controls)[:_MEASURED_CELLS]
    pixels = store.read(np.sort(chosen)).swapaxes(0, 1).reshape(len(store.channels), -1)
    _refuse_channels(store, ~np.isfinite(pixels).all(axis=1), "hold NaN or infinite pixels in")
    low, middle, high = np.percentile(pixels, [_LOW, 50, _HIGH], axis=1)
    _refuse_channels(store, high <= low, "are constant over")
    # A channel that is mostly empty has its median at the offset; a twentieth of its range bends it then.
    cofactor = np.maximum(middle - low, (high - low) / 20)
    top = np.arcsinh((high - low) / cofactor)
    spread = top / (2 * _REACH)
    return Transform(
        size,
        offset=low.tolist(),
        cofactor=cofactor.tolist(),
        center=(top / 2).tolist(),
        spread=spread.tolist(),
    )


def _refuse_channels(store: CropStore, wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        names = ", ".join(np.array(store.channels)[wrong])
        raise StoreError(f"The channels {names} {what} the controls. Leave them out of images.channels.")
