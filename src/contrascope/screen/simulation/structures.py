"""Structures that controls never have; each acts on the channels of the cells that carry it, in place.

A structure is made of what the cell has: its light is taken from the channel's other parts, and the channel's
contrast (its sum of squares, as the microscope blurs it) ends where it was. So neither the mean nor the spread
of a channel's intensities gives the structure away; its form does.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from contrascope.screen.simulation import shapes
from contrascope.screen.simulation.anatomy import Anatomy
from contrascope.screen.simulation.cells import Cells
from contrascope.screen.simulation.design import CHANNELS, STRUCTURES

DNA, TUBULIN, DAMAGE, ACTIN = range(len(CHANNELS))


def add_structures(channels: list[np.ndarray], cells: Cells, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Draws each cell's structure into its channels.

    Args:
        channels: C pictures (B, PATCH, PATCH), each of sum 1 per cell; changed in place.
    """
    for kind, add in enumerate((_cage, _micronuclei, _aggregates, _vacuoles), start=1):
        rows = np.flatnonzero(cells.structure == kind)
        if len(rows):
            before = [channel[rows] for channel in channels]
            add(channels, cells, anatomy, rows, rng)
            for channel, old in zip(channels, before, strict=True):
                channel[rows] = _contrast_of(shapes.shared(old), shapes.shared(channel[rows]))
    assert len(STRUCTURES) == 5


def _replace(channel: np.ndarray, rows: np.ndarray, part: np.ndarray, share: np.ndarray) -> None:
    """Gives a share of the channel's light to ``part``."""
    channel[rows] = shapes.mixed((channel[rows], 1 - share), (part, share))


def _contrast_of(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """``new`` raised to the power at which its contrast is that of ``old``; both have sums of 1.

    The logarithm of contrast is nearly a line in the power, so two points of it suffice.
    """
    wanted, now = _log_contrast(old), _log_contrast(new)
    tried = np.float32(0.8)
    slope = (now - _log_contrast(shapes.shared(new**tried))) / (1 - tried)
    power = np.clip(1 + (wanted - now) / np.maximum(slope, 1e-3), 0.55, 1.6)
    return shapes.shared(new ** power[:, None, None])


def _log_contrast(image: np.ndarray) -> np.ndarray:
    """(B,) logarithm of the sum of squares, after a blur like the microscope's."""
    blurred = ndimage.gaussian_filter(image, (0, 0.85, 0.85), truncate=3)
    return np.log(np.maximum(np.square(blurred).sum(axis=(1, 2)), np.float32(1e-12)))


def _dissolved(channel: np.ndarray, anatomy: Anatomy, rows: np.ndarray, share: float) -> np.ndarray:
    """(B, PATCH, PATCH) the channel with a share of its light as haze: the structure has used up what was sharp."""
    return shapes.mixed((channel[rows], 1 - share), (anatomy.haze[rows], share))


def _cage(
    channels: list[np.ndarray], cells: Cells, anatomy: Anatomy, rows: np.ndarray, rng: np.random.Generator
) -> None:
    """Tubulin bundled into a ring around the nucleus, with bars over it."""
    rim = anatomy.inside_nucleus[rows]
    beads = np.exp(0.3 * shapes.noise(np.full(len(rows), 0.5), rng))
    ring = shapes.ridge(rim, at=-1.8, width=1.7) * beads * anatomy.body[rows]
    channels[TUBULIN][rows] = _dissolved(channels[TUBULIN], anatomy, rows, 0.45)
    _replace(channels[TUBULIN], rows, ring, np.clip(0.55 * cells.strength[rows], 0, 0.75))


def _micronuclei(
    channels: list[np.ndarray], cells: Cells, anatomy: Anatomy, rows: np.ndarray, rng: np.random.Generator
) -> None:
    """The nucleus in lobes with dark clefts, and small round pieces around it."""
    B, M = len(rows), 6
    strength = cells.strength[rows]
    radius = cells.nucleus_radius[rows, None]
    lobes = shapes.spots(
        cells.nucleus_offset[rows, None] + _ring_points(B, 4, rng) * radius[:, :, None] * 0.66,
        radius * rng.uniform(0.2, 0.32, (B, 4)), np.full((B, 4), 3.0),
    )  # fmt: skip
    apart = rng.uniform(1.2, 1.8, (B, M, 1)) * radius[:, :, None]
    present = rng.random((B, M)) < 0.15 + 0.45 * strength[:, None]
    pieces = shapes.spots(
        cells.nucleus_offset[rows, None] + _ring_points(B, M, rng, jitter=0.9) * apart,
        rng.uniform(0.9, 1.9, (B, M)), present * 2.5,
    )  # fmt: skip
    broken = (np.minimum(lobes, 1) + np.minimum(pieces, 1)) * anatomy.body[rows]
    texture = channels[DNA][rows] / np.maximum(anatomy.nucleus[rows], np.float32(0.05))
    grain = np.clip(texture / np.maximum(texture.max(axis=(1, 2), keepdims=True), np.float32(1e-9)), 0.3, 1)
    share = np.clip(0.9 * strength, 0, 0.95)
    _replace(channels[DNA], rows, broken * grain, share)
    _replace(channels[DAMAGE], rows, broken, 0.5 * share)


def _ring_points(B: int, n: int, rng: np.random.Generator, *, jitter: float = 0.3) -> np.ndarray:
    """(B, n, 2) points on a circle of radius 1, even but for a jitter in steps between neighbours."""
    steps = np.arange(n) + rng.uniform(-jitter, jitter, (B, n))
    angle = rng.uniform(0, 2 * np.pi, (B, 1)) + steps * 2 * np.pi / n
    return np.stack([np.sin(angle), np.cos(angle)], axis=2)


def _aggregates(
    channels: list[np.ndarray], cells: Cells, anatomy: Anatomy, rows: np.ndarray, rng: np.random.Generator
) -> None:
    """Clumps of actin, huddled on one side of the nucleus."""
    M = 7
    side = _cytoplasm_points(anatomy, cells, rows, 1, 0.45, rng)
    centre = side + rng.normal(0, 3.2, (len(rows), M, 2))
    clumps = shapes.spots(centre, rng.uniform(1.4, 2.6, centre.shape[:2]), rng.lognormal(0, 0.3, centre.shape[:2]))
    channels[ACTIN][rows] = _dissolved(channels[ACTIN], anatomy, rows, 0.5)
    _replace(channels[ACTIN], rows, clumps * anatomy.body[rows], np.clip(0.4 * cells.strength[rows], 0, 0.6))


def _vacuoles(
    channels: list[np.ndarray], cells: Cells, anatomy: Anatomy, rows: np.ndarray, rng: np.random.Generator
) -> None:
    """Round holes in tubulin and actin, with a thin coat of actin."""
    M = 5
    centre = _cytoplasm_points(anatomy, cells, rows, M, rng.uniform(0.25, 0.72, (len(rows), M)), rng)
    present = rng.random((len(rows), M)) < 0.3 + 0.5 * cells.strength[rows, None]
    field = shapes.spots(centre, rng.uniform(2.2, 3.8, (len(rows), M)), present * 1.0)
    hole = np.clip((field - 0.3) * 4, 0, 1)
    coat = np.exp(-0.5 * ((field - 0.22) / 0.09) ** 2) * anatomy.body[rows]
    kept = 1 - np.minimum(0.92, 0.95 * cells.strength[rows, None, None]).astype(np.float32) * hole
    for channel in (TUBULIN, ACTIN):
        channels[channel][rows] = shapes.shared(channels[channel][rows] * kept)
    _replace(channels[ACTIN], rows, coat, np.full(len(rows), 0.08))


def _cytoplasm_points(
    anatomy: Anatomy, cells: Cells, rows: np.ndarray, n: int, depth: float | np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(B, n, 2) points at a share of the way from the nucleus's rim (0) to the outline (1)."""
    step = rng.integers(0, shapes.ANGLES, (len(rows), 1)) + np.arange(n) * shapes.ANGLES // n
    step = (step + rng.integers(-16, 17, step.shape)) % shapes.ANGLES
    angle = step * (2 * np.pi / shapes.ANGLES)
    direction = np.stack([np.sin(angle), np.cos(angle)], axis=2)
    inner = cells.nucleus_offset[rows, None] + direction * anatomy.nuclear_outline[rows[:, None], step][..., None]
    outer = direction * anatomy.outline[rows[:, None], step][..., None]
    share = np.broadcast_to(depth, step.shape)[..., None]
    return inner * (1 - share) + outer * share
