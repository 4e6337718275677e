"""Cells as pictures: a patch of every channel for each cell, in counts before the microscope.

Each channel is a mixture of parts (filaments, haze, a cortex ...), every part scaled to a sum of 1 and then
weighted by its share, so that a cell's total light is what ``Cells.light`` says whatever its form.
"""

from __future__ import annotations

import numpy as np

from contrascope.screen.simulation import shapes
from contrascope.screen.simulation.anatomy import Anatomy, anatomy_of
from contrascope.screen.simulation.cells import Cells
from contrascope.screen.simulation.design import CHANNELS
from contrascope.screen.simulation.mitosis import paint_mitotic
from contrascope.screen.simulation.structures import add_structures

BATCH = 24
"""Cells painted at once; their patches fit into the processor's cache."""
FILAMENTS, FILAMENT_POINTS, FILAMENT_STEP = 84, 42, 0.9
FIBRES, FIBRE_POINTS = 11, 64


def paint_cells(cells: Cells, rng: np.random.Generator) -> np.ndarray:
    """(N, C, PATCH, PATCH) float32 counts of light, without offset or noise."""
    patches = np.empty((len(cells), len(CHANNELS), shapes.PATCH, shapes.PATCH), np.float32)
    for paint, chosen in ((_paint_interphase, ~cells.mitotic), (paint_mitotic, cells.mitotic)):
        rows = np.flatnonzero(chosen)
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            patches[batch] = paint(cells.take(batch), rng)
    patches *= cells.light.astype(np.float32)[:, :, None, None]
    return patches


def _paint_interphase(cells: Cells, rng: np.random.Generator) -> np.ndarray:
    """(B, C, PATCH, PATCH), each patch of sum 1."""
    anatomy = anatomy_of(cells, rng)
    channels = [
        _paint_dna(cells, anatomy, rng),
        _paint_tubulin(cells, anatomy, rng),
        _paint_damage(cells, anatomy, rng),
        _paint_actin(cells, anatomy, rng),
    ]
    add_structures(channels, cells, anatomy, rng)
    return np.stack([shapes.shared(channel) for channel in channels], axis=1)


def _paint_dna(cells: Cells, anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """A textured nucleus with dark nucleoli, and a trace of cytoplasm."""
    texture = shapes.noise(cells.texture_scale, rng) * cells.texture_amplitude[:, None, None].astype(np.float32)
    nucleoli = shapes.spots(*_within_nucleus(cells, 4, rng, reach=0.55), rng.uniform(0.2, 0.6, (len(cells), 4)))
    rim = shapes.ridge(anatomy.inside_nucleus, at=1.5, width=1.2)
    nucleus = anatomy.nucleus * np.exp(texture) * (1 + 0.2 * rim) * (1 - np.minimum(nucleoli, 0.75))
    return shapes.mixed((nucleus, 0.95), (anatomy.haze, 0.05))


def _paint_tubulin(cells: Cells, anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """Curved filaments that radiate from a centre beside the nucleus, in a haze."""
    filaments = _filaments(cells, anatomy, rng) * anatomy.body * (1 - 0.45 * anatomy.nucleus)
    haze = anatomy.haze * (1 - 0.4 * anatomy.nucleus) * (1 + 0.12 * shapes.noise(np.ones(len(cells)), rng))
    return shapes.mixed((filaments, cells.bundles), (haze, 1 - cells.bundles))


def _filaments(cells: Cells, anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """(B, PATCH, PATCH) microtubules."""
    B = len(cells)
    toward = rng.integers(0, shapes.ANGLES, B)
    reach = anatomy.nuclear_outline[np.arange(B), toward] * 0.9
    angle = toward * (2 * np.pi / shapes.ANGLES)
    start = cells.nucleus_offset + reach[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    along = np.arange(FILAMENT_POINTS, dtype=np.float32) * np.float32(FILAMENT_STEP)
    heading = rng.uniform(0, 2 * np.pi, (B, FILAMENTS, 1)).astype(np.float32)
    curve = rng.normal(0, 0.03, (B, FILAMENTS, 1)).astype(np.float32)
    wave = rng.uniform(0, 2 * np.pi, (B, FILAMENTS, 1)).astype(np.float32)
    heading = heading + curve * along + np.float32(0.35) * np.sin(along * np.float32(0.25) + wave)
    # A third starts away from the centre, or the middle of the cell would be all there is to see.
    begin = start[:, None] + _scattered(cells, FILAMENTS, rng) * (rng.random((B, FILAMENTS, 1)) < 0.45)
    y = begin[:, :, 0, None] + np.cumsum(np.sin(heading), axis=2) * np.float32(FILAMENT_STEP)
    x = begin[:, :, 1, None] + np.cumsum(np.cos(heading), axis=2) * np.float32(FILAMENT_STEP)
    weight = np.broadcast_to(rng.uniform(0.4, 1, (B, FILAMENTS, 1)) * np.minimum(1, 0.3 + along / 10), y.shape)
    return shapes.drawn(y.reshape(B, -1), x.reshape(B, -1), weight.reshape(B, -1))


def _scattered(cells: Cells, n: int, rng: np.random.Generator) -> np.ndarray:
    """(B, n, 2) random displacements of about half a cell's radius."""
    return rng.normal(0, 0.5, (len(cells), n, 2)) * cells.radius[:, None, None]


def _paint_damage(cells: Cells, anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """gH2AX: a few foci in a dim nucleus."""
    M = max(1, int(cells.foci.max(initial=0)))
    present = np.arange(M) < cells.foci[:, None]
    centre, _ = _within_nucleus(cells, M, rng, reach=0.75)
    sigma = rng.uniform(0.8, 1.2, (len(cells), M))
    foci = shapes.spots(centre, sigma, present * rng.lognormal(0, 0.4, (len(cells), M)))
    dim = anatomy.nucleus * np.exp(0.2 * shapes.noise(np.full(len(cells), 0.5), rng))
    share = 0.05 * np.minimum(cells.foci, 8)
    return shapes.mixed((foci * anatomy.nucleus, share), (dim, 0.75 * (1 - share)), (anatomy.haze, 0.25 * (1 - share)))


def _within_nucleus(cells: Cells, n: int, rng: np.random.Generator, *, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """(B, n, 2) centres within a share of the nucleus's radius, and (B, n) widths of nucleoli in pixels."""
    angle = rng.uniform(0, 2 * np.pi, (len(cells), n))
    away = reach * cells.nucleus_radius[:, None] * np.sqrt(rng.random((len(cells), n)))
    centre = cells.nucleus_offset[:, None] + np.stack([away * np.sin(angle), away * np.cos(angle)], axis=2)
    return centre, rng.uniform(1.0, 1.8, (len(cells), n))


def _paint_actin(cells: Cells, anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """A cortex of uneven strength, stress fibres along the cell, and a mottled haze."""
    uneven = shapes.around(_uneven(len(cells), rng))
    cortex = shapes.ridge(anatomy.inside, at=1.5, width=1.3) * uneven * anatomy.body
    fibres = _stress_fibres(cells, rng) * shapes.soft(anatomy.inside - 1, 3)
    # Actin is kept out of the nucleus, and what lies above it leaves a shadow rather than nothing.
    mottled = anatomy.haze * (1 - 0.5 * anatomy.nucleus) * np.exp(0.22 * shapes.noise(np.full(len(cells), 0.6), rng))
    return shapes.mixed((cortex, cells.cortex), (fibres, cells.fibres), (mottled, 1 - cells.cortex - cells.fibres))


def _uneven(B: int, rng: np.random.Generator) -> np.ndarray:
    """(B, ANGLES) a factor that varies smoothly around the outline."""
    angle = np.linspace(0, 2 * np.pi, shapes.ANGLES, endpoint=False)
    k = np.arange(1, 7)[:, None]
    waves = rng.normal(0, 0.3, (B, 6, 1)) * np.cos(k * angle + rng.uniform(0, 2 * np.pi, (B, 6, 1)))
    return np.exp(waves.sum(axis=1)).astype(np.float32)


def _stress_fibres(cells: Cells, rng: np.random.Generator) -> np.ndarray:
    """(B, PATCH, PATCH) nearly parallel bundles."""
    B = len(cells)
    angle = cells.orientation[:, None, None] + rng.normal(0, 0.1, (B, FIBRES, 1))
    across = cells.radius[:, None, None] * rng.uniform(-0.75, 0.75, (B, FIBRES, 1))
    middle = cells.radius[:, None, None] * rng.normal(0, 0.3, (B, FIBRES, 1))
    half = cells.radius[:, None, None] * rng.uniform(0.5, 1.3, (B, FIBRES, 1))
    along = middle + half * np.linspace(-1, 1, FIBRE_POINTS)
    bent = across + rng.normal(0, 0.004, (B, FIBRES, 1)) * along**2
    y, x = along * np.sin(angle) + bent * np.cos(angle), along * np.cos(angle) - bent * np.sin(angle)
    weight = np.broadcast_to(half * rng.lognormal(0, 0.4, (B, FIBRES, 1)), y.shape)
    return shapes.drawn(y.reshape(B, -1), x.reshape(B, -1), weight.reshape(B, -1))
