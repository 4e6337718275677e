"""A card's pictures: what stands for a perturbation, row upon row, as one sheet for each channel and one of colours.

    cells            as the model sees them
    matched          for each the control that is nearest in the background
    other            a control drawn at random
    decoded          the cells as the model draws them                          \\
    without          the same without their salient part                         } of models with a salient space
    difference       decoded - without, amplified; not on the sheet of colours  /

A sheet is pixels and nothing else: what its rows are is written beside it by whoever shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrascope.figures.composite import Images, Limits, composite, scaled
from contrascope.figures.gallery import amplification, as_colour, bar_length, diverging

COMPOSITE = "composite"
CELLS, MATCHED, OTHER, DECODED, WITHOUT, DIFFERENCE = (
    "cells", "matched", "other", "decoded", "without", "difference",
)  # fmt: skip
GAP, PART_GAP = 2, 10
"""White pixels between pictures, and between the two kinds of cells."""
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Sheet:
    """One sheet.

    Attributes:
        view: A channel, or ``composite``.
        rows: What each row shows.
        picture: (height, width, 3) uint8.
        amplification: How many times the difference is drawn; 0 without one.
    """

    view: str
    rows: tuple[str, ...]
    picture: Picture
    amplification: float = 0


def sheets(
    images: dict[str, Images],
    *,
    channels: Sequence[str],
    limits: Limits,
    first_part: int,
    pixel_size_um: float | None = None,
) -> list[Sheet]:
    """The sheet of colours, then one of each channel; of a single channel that alone.

    Args:
        images: What a row shows -> (B, C, H, W), all alike; "decoded" and "without" give the difference as well.
        channels: C names.
        limits: (C, 2) black and white points, the same for all cards that are compared.
        first_part: So many of the B columns belong together, and the others.
        pixel_size_um: Width of a pixel in micrometres; with it there is a scale bar.
    """
    names = tuple(images)
    layout = _Layout(first_part, pixel_size_um)
    colours = [composite(rows, limits=limits) for rows in images.values()]
    found = [Sheet(COMPOSITE, names, layout.of(colours))] if len(channels) > 1 else []
    grey = {name: scaled(rows, limits) for name, rows in images.items()}
    for c, channel in enumerate(channels):
        rows, times = [as_colour(values[:, c]) for values in grey.values()], 0.0
        if DECODED in images and WITHOUT in images:
            decoded, without = (np.asarray(images[row][:, c], dtype=np.float64) for row in (DECODED, WITHOUT))
            difference = (decoded - without) / _width(limits[c])
            times = amplification(difference)
            rows.append(diverging(times * difference))
        found.append(Sheet(channel, names + (DIFFERENCE,) * bool(times), layout.of(rows), times))
    return found


@dataclass(frozen=True)
class _Layout:
    """How pictures lie on a sheet."""

    first_part: int
    pixel_size_um: float | None

    def of(self, rows: Sequence[NDArray[np.float64]]) -> Picture:
        """One picture of rows of pictures (B, H, W, 3) in 0 to 1."""
        count, height, width, _ = rows[0].shape
        left = [k * (width + GAP) + (PART_GAP - GAP) * (k >= self.first_part) for k in range(count)]
        canvas = np.ones((len(rows) * (height + GAP) - GAP, left[-1] + width, 3))
        for place, row in enumerate(rows):
            top = place * (height + GAP)
            for x, picture in zip(left, row, strict=True):
                canvas[top : top + height, x : x + width] = picture
        if self.pixel_size_um is not None:
            _draw_bar(canvas, height, width, self.pixel_size_um)
        return np.round(255 * canvas).astype(np.uint8)


def _draw_bar(canvas: NDArray[np.float64], height: int, width: int, pixel_size_um: float) -> None:
    """A white bar into the lower left corner of the first picture."""
    length = round(bar_length(width, pixel_size_um) / pixel_size_um)
    margin, thickness = max(1, round(0.06 * width)), max(1, round(0.03 * width))
    canvas[height - margin - thickness : height - margin, margin : margin + length] = 1


def _width(limits: NDArray[np.float64]) -> float:
    return float(limits[1] - limits[0]) if limits[1] > limits[0] else 1.0
