"""From raw pixels to what a model sees: resize, arcsinh, normalise. Runs where the batch is.

    v = (arcsinh((pixel - offset) / cofactor) - center) / spread

``paper`` has offset 0, cofactor 1, center 7, spread 7, as the authors. ``measured`` takes all four per
channel from the store's controls: offset is the level that cells hardly go below, the cofactor sets where
arcsinh bends from linear to logarithmic (at the channel's median signal), center and spread bring the bulk
of the pixels into -0.9 ... 0.9, inside the reach of the decoder's tanh.

All four may be taken for each batch by itself, from its own controls: gain and offset of a well are then gone before a
model sees a cell.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from contrascope.errors import StoreError, first_few
from contrascope.sampling.loader import batches
from contrascope.sampling.percentiles import percentiles
from contrascope.sampling.resize import arcsinh, resized
from contrascope.sampling.slices import CELLS_AT_ONCE, slice_by_slice
from contrascope.store.store import CropStore
from contrascope.vocabulary import Batch

Values = list[float] | list[list[float]]

_LOW, _HIGH = 0.5, 99.9
"""Percentiles of the controls' pixels that are brought to -0.9 and 0.9."""
_REACH = 0.9
_MEASURED_CELLS, _FEWEST_OF_LEVEL = 100_000, 2_000
"""At most so many controls are looked at, in less than a minute; of each of many levels still as many as the latter."""
_PIXELS_AT_ONCE = 2**22
"""Pixels of all channels that are counted at a time."""
FEWEST_CONTROLS = 10
"""Of a batch whose pixels are to be normalised on its own controls."""


class Transform(nn.Module):
    """Raw (B, C, H, W) pixels -> (B, C, size, size) float32, about -1 ... 1.

    Args:
        size: Pixels a side after resizing.
        offset, cofactor, center, spread: C values each; or, with ``by``, C values for each of the levels.
        by: Column of the cell table whose levels have values of their own.
        levels: Names of the levels.
    """

    offset: Tensor
    cofactor: Tensor
    center: Tensor
    spread: Tensor
    level_of_row: Tensor | None

    def __init__(
        self,
        size: int,
        *,
        offset: Values,
        cofactor: Values,
        center: Values,
        spread: Values,
        by: str | None = None,
        levels: list[str] | None = None,
    ):
        super().__init__()
        self.size, self.by, self.levels = size, by, levels
        for name, values in {"offset": offset, "cofactor": cofactor, "center": center, "spread": spread}.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32)[..., None, None], persistent=False)
        self.register_buffer("level_of_row", None, persistent=False)

    def bound(self, store: CropStore) -> Transform:
        """The transform for the cells of a store; the same one where all cells are treated alike.

        Raises:
            StoreError: Cells of the store are of a batch that the transform knows nothing of.
        """
        if self.by is None:
            return self
        of_cells = store.column(self.by).cast(pl.String)
        if unknown := sorted(set(of_cells.unique()) - set(self.levels or [])):
            raise StoreError(
                f"Pixels were normalised by {self.by}, and the store {store.path} has {first_few(unknown)} which the "
                f"run was not trained on. Train on a store that has all, or with training.normalize_by: screen."
            )
        made = Transform(**self.state())
        code = {name: i for i, name in enumerate(self.levels or [])}
        made.level_of_row = torch.from_numpy(of_cells.replace_strict(code, return_dtype=pl.Int64).to_numpy().copy())
        return made

    def forward(self, pixels: Tensor, rows: Tensor | None = None, *, gain: Tensor | None = None) -> Tensor:
        """Resized with anti-aliasing, then arcsinh, then normalised.

        Args:
            pixels: (B, C, H, W).
            rows: (B,) rows of the cells in the store that the transform is bound to; needed with ``by`` only.
            gain: (B, C) what the light above the offset is multiplied with, to make cells brighter or dimmer.
        """
        if pixels.device.type != "cpu" or len(pixels) <= CELLS_AT_ONCE:
            return self._seen(pixels, rows, gain).contiguous(memory_format=torch.channels_last)
        shape = (*pixels.shape[:2], self.size, self.size)
        seen = torch.empty(shape, dtype=torch.float32, memory_format=torch.channels_last)

        def see(few: slice) -> None:
            seen[few] = self._seen(pixels[few], *(None if of is None else of[few] for of in (rows, gain)))

        slice_by_slice(see, len(pixels))
        return seen

    def _seen(self, pixels: Tensor, rows: Tensor | None, gain: Tensor | None) -> Tensor:
        offset, cofactor, center, spread = self._values(rows)
        light = (resized(pixels, self.size) - offset).div_(cofactor)
        if gain is not None:
            light = light * gain[..., None, None]
        return arcsinh(light).sub_(center).div_(spread)

    def batch(self, batch: Batch, *, gain: Tensor | None = None) -> Batch:
        """The same batch with its images transformed."""
        return batch._replace(images=self(batch.images, batch.rows, gain=gain))

    def inverse(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        """(B, C, size, size) in the store's intensities, from a model's range."""
        offset, cofactor, center, spread = self._values(rows)
        return torch.sinh(images.float() * spread + center) * cofactor + offset

    def state(self) -> dict[str, Any]:
        """Its arguments, as JSON can hold them."""
        names = ("offset", "cofactor", "center", "spread")
        values = {name: getattr(self, name)[..., 0, 0].tolist() for name in names}
        return {"size": self.size} | values | ({"by": self.by, "levels": self.levels} if self.by else {})

    def _values(self, rows: Tensor | None) -> list[Tensor]:
        """Offset, cofactor, center and spread: (C, 1, 1) each, or (B, C, 1, 1) for the cells of these rows."""
        values = [self.offset, self.cofactor, self.center, self.spread]
        if self.by is None:
            return values
        assert self.level_of_row is not None and rows is not None, "bind the transform to a store first"
        return [value[self.level_of_row[rows]] for value in values]


def paper_transform(size: int, channels: int) -> Transform:
    """(arcsinh(v) - 7) / 7 for every channel: right for 16-bit counts around a thousand."""
    seven = [7.0] * channels
    return Transform(size, offset=[0.0] * channels, cofactor=[1.0] * channels, center=seven, spread=seven)


def measured_transform(store: CropStore, rows: np.ndarray, *, size: int, seed: int, by: str | None = None) -> Transform:
    """A transform fitted to the pixels of controls.

    Args:
        store: The cells.
        rows: Cells that may be looked at; controls among them are, or 100,000 of them where they are more.
        size: Pixels a side after resizing.
        seed: Of the choice of controls.
        by: Fit the controls of each level of this column by themselves; the 100,000 are those of all levels together,
            but 2,000 of each may always be looked at.

    Raises:
        StoreError: A channel is constant, or not all of its pixels are numbers; or a level has too few controls.
    """
    controls = rows[store.labels[rows] == 0]
    if by is None:
        return Transform(size, **_fitted(store, controls, _MEASURED_CELLS, seed, "the controls"))
    column = store.column(by).cast(pl.String)
    levels, of_controls = column.unique().sort().to_list(), column.gather(controls)
    mine = {level: controls[(of_controls == level).to_numpy()] for level in levels}
    if few := [f"{level} ({len(found)})" for level, found in mine.items() if len(found) < FEWEST_CONTROLS]:
        raise StoreError(
            f"Pixels cannot be normalised by {by}: {first_few(few)} have fewer than {FEWEST_CONTROLS} controls to "
            f"train on. Use training.normalize_by: plate or screen; or name larger batches in the cell table "
            f"(cells.columns: {{batch: ...}}, a plate say); or leave those cells out."
        )
    most = max(_MEASURED_CELLS // len(levels), _FEWEST_OF_LEVEL)
    fitted = [_fitted(store, found, most, seed, f"the controls of {level}") for level, found in mine.items()]
    return Transform(size, **{name: [one[name] for one in fitted] for name in fitted[0]}, by=by, levels=levels)


def _fitted(store: CropStore, controls: np.ndarray, most: int, seed: int, whose: str) -> dict[str, Any]:
    """Offset, cofactor, center and spread of each channel, of at most so many controls."""
    chosen = np.sort(np.random.default_rng(seed).permutation(controls)[:most])
    at_once = max(1, _PIXELS_AT_ONCE // (len(store.channels) * math.prod(store.crop_size)))
    some = [chosen[start : start + at_once] for start in range(0, len(chosen), at_once)]
    found = percentiles(lambda: (batch.images.numpy() for batch in batches(store, some)), [_LOW, 50, _HIGH])
    _refuse_channels(store, np.isnan(found).any(axis=1), f"hold NaN or infinite pixels in {whose}")
    low, middle, high = found.T
    _refuse_channels(store, high <= low, f"are constant over {whose}")
    # A channel that is mostly empty has its median at the offset; a twentieth of its range bends it then.
    cofactor = np.maximum(middle - low, (high - low) / 20)
    top = np.arcsinh((high - low) / cofactor)
    fitted = {"offset": low, "cofactor": cofactor, "center": top / 2, "spread": top / (2 * _REACH)}
    return {name: values.tolist() for name, values in fitted.items()}


def _refuse_channels(store: CropStore, wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        names = ", ".join(np.array(store.channels)[wrong])
        raise StoreError(f"The channels {names} {what}. Leave them out of images.channels.")
