"""Mitotic cells: rounded, with a condensed plate or two, a spindle, and a bright ring of actin."""

from __future__ import annotations

import numpy as np

from contrascope.screen.simulation import shapes
from contrascope.screen.simulation.cells import Cells

ROUNDED = 0.72
"""Radius of a rounded cell as a share of its radius in interphase."""
ANAPHASE_SHARE = 0.3
STRANDS, STRAND_POINTS = 22, 24


def paint_mitotic(cells: Cells, rng: np.random.Generator) -> np.ndarray:
    """(B, C, PATCH, PATCH), each patch of sum 1."""
    B = len(cells)
    # Half the way between the two plates of anaphase in pixels, 0 in metaphase.
    apart = np.where(rng.random(B) < ANAPHASE_SHARE, rng.uniform(3.5, 6.5, B), 0).astype(np.float32)
    outline = shapes.outlines(cells.radius * ROUNDED, 1.05 + 0.04 * apart, cells.orientation, np.full(B, 0.02), rng)
    inside = shapes.depth(outline)
    body = shapes.soft(inside, 2)
    plates = _plates(cells, apart, rng)
    haze = body * (0.4 + np.clip(inside / np.float32(10), 0, 1))
    spindle = _spindle(cells, apart, rng) * body
    ring = shapes.ridge(inside, at=1.5, width=1.4) * body
    channels = [
        shapes.mixed((plates, 0.95), (haze, 0.05)),
        shapes.mixed((spindle, 0.33), (haze, 0.67)),
        shapes.mixed((plates, 0.5), (haze, 0.5)),
        shapes.mixed((ring, 0.35 + 0.5 * cells.cortex), (haze, 0.65 - 0.5 * cells.cortex)),
    ]
    return np.stack([shapes.shared(channel) for channel in channels], axis=1)


def _plates(cells: Cells, apart: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(B, PATCH, PATCH) condensed chromosomes; the spindle's axis is the cell's orientation."""
    along, across = _turned(cells.orientation)
    texture = shapes.noise(np.full(len(cells), 0.4), rng)
    bent = np.abs(along) - apart[:, None, None] * (1 - (across / 16) ** 2)
    distance = np.where(apart[:, None, None] > 0, bent, along) + 0.5 * texture
    half = (cells.radius * rng.uniform(0.34, 0.42, len(cells)) * np.where(apart > 0, 0.8, 1)).astype(np.float32)
    thick = rng.uniform(1.5, 2.1, len(cells)).astype(np.float32)[:, None, None]
    ends = shapes.soft(half[:, None, None] - np.abs(across) + 0.6 * texture, 2.5)
    return np.exp(-0.5 * (distance / thick) ** 2) * ends * np.exp(0.15 * texture)


def _turned(orientation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B, PATCH, PATCH) coordinates along and across an axis, in pixels."""
    sin, cos = (f(orientation).astype(np.float32)[:, None, None] for f in (np.sin, np.cos))
    y, x = shapes.AXIS[None, :, None], shapes.AXIS[None, None, :]
    return y * sin + x * cos, y * cos - x * sin


def _spindle(cells: Cells, apart: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(B, PATCH, PATCH) strands that bulge from two poles to the plates, and short ones around the poles."""
    B = len(cells)
    pole = (cells.radius * 0.42 + 0.5 * apart)[:, None, None] * np.repeat([-1.0, 1.0], STRANDS)[:, None]
    t = np.linspace(0, 1, STRAND_POINTS)
    spread = cells.radius[:, None, None] * rng.uniform(-0.36, 0.36, (B, 2 * STRANDS, 1))
    along, across = pole * (1 - t), spread * np.sin(t * np.pi / 2) ** 0.8
    # One strand in four belongs to the aster and points away from the plate.
    aster = (np.arange(2 * STRANDS) % 4 == 0)[:, None]
    along = np.where(aster, pole * (1 + 0.45 * t * rng.uniform(-1, 1, (B, 2 * STRANDS, 1))), along)
    sin, cos = (f(cells.orientation)[:, None, None] for f in (np.sin, np.cos))
    y, x = along * sin + across * cos, along * cos - across * sin
    weight = np.broadcast_to(np.where(aster, 0.5, 1 - 0.3 * t), y.shape)
    return shapes.drawn(y.reshape(B, -1), x.reshape(B, -1), weight.reshape(B, -1))
