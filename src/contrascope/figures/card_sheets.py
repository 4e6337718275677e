"""A card's pictures: what stands for a perturbation, row upon row, as one sheet for each channel and one of colours.

    cells            stored pixels
    matched          for each the control that is nearest in the background
    decoded          the cells as the model draws them            \\
    without          the same without their salient part           \\ of models with a salient space,
    control          nor what is shifted in the background         / not in colours
    difference       decoded - control, amplified                 /

    random           cells of the perturbation that nobody chose
    other            controls that nobody chose

The four that are decoded are left out of a channel in which they would look alike: where the difference had to be
drawn ``FAINT`` times as strong, or more. Real cells share one contrast, in the store's unit. What is decoded is in the
model's range, where colours would be others, and has a contrast of its own.

A sheet is pixels and nothing else: what its rows are is written beside it by whoever shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrascope.figures.composite import Images, Limits, composite, scaled
from contrascope.figures.gallery import amplification, as_colour, bar_length, diverging

COMPOSITE = "composite"
CELLS, MATCHED, DECODED, WITHOUT, AS_CONTROL, DIFFERENCE, RANDOM, OTHER = (
    "cells", "matched", "decoded", "without", "control", "difference", "random", "other",
)  # fmt: skip
UNCHOSEN = (RANDOM, OTHER)
"""Rows whose columns have nothing to do with those of the rows above them."""
FAINT = 10
GAP, PART_GAP = 2, 10
"""White pixels between pictures; and between the two kinds of cells, and above the cells that nobody chose."""
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Sheet:
    """One sheet.

    Attributes:
        view: A channel, or ``composite``.
        rows: What each row shows.
        picture: (height, width, 3) uint8.
        amplification: How many times the difference is drawn, or had to be, where it is too faint; 0 without one.
    """

    view: str
    rows: tuple[str, ...]
    picture: Picture
    amplification: float = 0


@dataclass(frozen=True)
class Decoded:
    """What a model draws of the B cells.

    Attributes:
        actual: (B, C, S, S) with their salient part, in the model's range; the sheet brings them to the cells' size.
        without: (B, C, S, S) without.
        control: (B, C, S, S) also without what their perturbation shifts in the background.
        limits: (C, 2) black and white points in the model's range, the same for all cards that are compared.
    """

    actual: Images
    without: Images
    control: Images
    limits: Limits

    def rows_of(self, channel: int) -> tuple[dict[str, NDArray[np.float64]], float]:
        """(B, S, S, 3) colours of the rows of a channel, and how many times the difference is drawn."""
        limits = self.limits[[channel]]
        drawn = {DECODED: self.actual, WITHOUT: self.without, AS_CONTROL: self.control}
        rows = {name: as_colour(scaled(images[:, [channel]], limits)[:, 0]) for name, images in drawn.items()}
        actual, control = (images[:, channel].astype(np.float64) for images in (self.actual, self.control))
        change = (actual - control) / _width(limits[0])
        times = amplification(change)
        return rows | {DIFFERENCE: diverging(times * change)}, times


def sheets(
    cells: Mapping[str, Images],
    *,
    channels: Sequence[str],
    limits: Limits,
    first_part: int,
    decoded: Decoded | None = None,
    pixel_size_um: float | None = None,
) -> list[Sheet]:
    """The sheet of colours, then one of each channel; of a single channel that alone.

    Args:
        cells: What a row shows -> (B, C, H, W), all alike, in the store's unit.
        channels: C names.
        limits: (C, 2) black and white points of the cells, the same for all cards that are compared.
        first_part: So many of the B columns belong together, and the others.
        decoded: What a model draws of the cells.
        pixel_size_um: Width of a cell's pixel in micrometres; with it there is a scale bar.
    """
    layout = _Layout(first_part, pixel_size_um)
    colours = {name: composite(rows, limits=limits) for name, rows in cells.items()}
    found = [Sheet(COMPOSITE, tuple(cells), layout.of(colours))] if len(channels) > 1 else []
    grey = {name: scaled(rows, limits) for name, rows in cells.items()}
    for c, channel in enumerate(channels):
        drawn, times = ({}, 0.0) if decoded is None else decoded.rows_of(c)
        rows = {name: as_colour(values[:, c]) for name, values in grey.items()} | (drawn if times < FAINT else {})
        rows = dict(sorted(rows.items(), key=lambda row: row[0] in UNCHOSEN))
        found.append(Sheet(channel, tuple(rows), layout.of(rows), times))
    return found


@dataclass(frozen=True)
class _Layout:
    """How pictures lie on a sheet."""

    first_part: int
    pixel_size_um: float | None

    def of(self, rows: Mapping[str, NDArray[np.float64]]) -> Picture:
        """One picture of rows of pictures (B, H, W, 3) in 0 to 1, of the size of those in the first row."""
        count, height, width, _ = next(iter(rows.values())).shape
        apart = PART_GAP - GAP
        chosen = [name not in UNCHOSEN for name in rows]
        lower = apart * (any(chosen) and not all(chosen))
        close = [k * (width + GAP) for k in range(count)]
        parted = [x + apart * (k >= self.first_part) for k, x in enumerate(close)]
        canvas = np.ones((len(rows) * (height + GAP) - GAP + lower, parted[-1] + width, 3))
        for place, (name, row) in enumerate(rows.items()):
            top = place * (height + GAP) + lower * (name in UNCHOSEN)
            left = close if name in UNCHOSEN else parted
            for x, picture in zip(left, _fitted(row, height, width), strict=True):
                canvas[top : top + height, x : x + width] = picture
        if self.pixel_size_um is not None:
            _draw_bar(canvas, height, width, self.pixel_size_um)
        return np.round(255 * canvas).astype(np.uint8)


def _fitted(pictures: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Pictures (B, h, w, 3) as (B, height, width, 3), the nearest pixel taken for each."""
    _, h, w, _ = pictures.shape
    down, across = np.arange(height) * h // height, np.arange(width) * w // width
    return pictures if (h, w) == (height, width) else pictures[:, down][:, :, across]


def _draw_bar(canvas: NDArray[np.float64], height: int, width: int, pixel_size_um: float) -> None:
    """A white bar into the lower left corner of the first picture."""
    length = round(bar_length(width, pixel_size_um) / pixel_size_um)
    margin, thickness = max(1, round(0.06 * width)), max(1, round(0.03 * width))
    canvas[height - margin - thickness : height - margin, margin : margin + length] = 1


def _width(limits: NDArray[np.float64]) -> float:
    return float(limits[1] - limits[0]) if limits[1] > limits[0] else 1.0
