"""Where the parts of a cell in interphase lie: its outline, its nucleus, its thickness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrascope.screen.simulation import shapes
from contrascope.screen.simulation.cells import Cells


@dataclass
class Anatomy:
    """Where the parts of interphase cells lie.

    Attributes:
        outline, nuclear_outline: (B, ANGLES) radii in pixels.
        inside, inside_nucleus: (B, PATCH, PATCH) depth in pixels, negative outside.
        body, nucleus: (B, PATCH, PATCH) the same as shares from 0 to 1.
        haze: (B, PATCH, PATCH) thickness of the cell, most at the nucleus.
    """

    outline: np.ndarray
    nuclear_outline: np.ndarray
    inside: np.ndarray
    inside_nucleus: np.ndarray
    body: np.ndarray
    nucleus: np.ndarray
    haze: np.ndarray


def anatomy_of(cells: Cells, rng: np.random.Generator) -> Anatomy:
    """Outlines of cells and nuclei, and what follows from them.

    A longer cell is also a more irregular one: what rounds up becomes smooth.
    """
    rough, smooth = 0.05 + 0.16 * (cells.elongation - 1), np.full(len(cells), 0.035)
    outline = shapes.outlines(cells.radius, cells.elongation, cells.orientation, rough, rng)
    outline = np.minimum(outline, shapes.CENTRE - 3)
    rounder = 1 + 0.5 * (cells.elongation - 1)
    nuclear = shapes.outlines(cells.nucleus_radius, rounder, cells.orientation, smooth, rng)
    inside = shapes.depth(outline)
    inside_nucleus = shapes.depth_about(nuclear, cells.nucleus_offset)
    body = shapes.soft(inside, 2.5)
    slope = np.clip(inside / np.float32(12), 0, 1)
    haze = body * (0.25 + slope + 0.6 * shapes.soft(inside_nucleus + 2, 8))
    return Anatomy(outline, nuclear, inside, inside_nucleus, body, shapes.soft(inside_nucleus, 2), haze)
