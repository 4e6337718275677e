"""The cells of one tile: what each is by nature, and what its guide does to it.

Natural factors are independent standard normals, the same for every cell whatever its guide. A penetrant cell
has its gene's shift added. Factors end at 2.5 standard deviations for all cells alike, so a shifted cell is
always one that a control could have been.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from contrascope.screen.simulation.design import CHANNELS, FACTORS, MITOTIC_SHARE, STRUCTURES, Design

PHASES = ("G1", "S", "G2", "M")
CYCLE = (0.5, 0.3, 0.2)
"""Shares of G1, S and G2 among interphase cells."""
LIMIT = 2.5
MAX_FOCI = 14
RADIUS = 19.5
"""Radius of a median cell in pixels."""
RIM_SIZE = 0.92
"""How much smaller in radius cells are in tiles at the rim of a well, where they lie denser."""
LIGHT = (2.4e5, 5.4e5, 1.1e5, 4.8e5)
"""Median total counts of a cell, for each of ``CHANNELS``."""


@dataclass(frozen=True)
class Cells:
    """Cells as arrays over N; all that rendering depends on.

    Attributes:
        guide: (N,) int, place in the design's guides.
        penetrant: (N,) bool.
        phase: (N,) int, place in ``PHASES``.
        dna: (N,) 1 in G1, 2 in G2 and M.
        radius: (N,) mean radius of the outline in interphase, in pixels.
        elongation: (N,) long over short axis, >= 1.
        orientation: (N,) angle of the long axis from x to y, in radians.
        nucleus_radius: (N,) in pixels.
        nucleus_offset: (N, 2) of the nucleus from the cell's centre, y and x, in pixels.
        texture_amplitude, texture_scale: (N,) of the nucleus; scale 0 fine to 1 coarse.
        foci: (N,) int, gH2AX foci.
        bundles: (N,) share of tubulin's light in filaments.
        fibres, cortex: (N,) shares of actin's light in stress fibres and in the cortex.
        light: (N, C) total counts of each channel.
        structure: (N,) int, place in ``STRUCTURES``.
        strength: (N,) of the structure; 0 where there is none.
    """

    guide: np.ndarray
    penetrant: np.ndarray
    phase: np.ndarray
    dna: np.ndarray
    radius: np.ndarray
    elongation: np.ndarray
    orientation: np.ndarray
    nucleus_radius: np.ndarray
    nucleus_offset: np.ndarray
    texture_amplitude: np.ndarray
    texture_scale: np.ndarray
    foci: np.ndarray
    bundles: np.ndarray
    fibres: np.ndarray
    cortex: np.ndarray
    light: np.ndarray
    structure: np.ndarray
    strength: np.ndarray

    def __len__(self) -> int:
        return len(self.guide)

    def take(self, rows: np.ndarray) -> Cells:
        """The cells at ``rows``."""
        return Cells(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def mitotic(self) -> np.ndarray:
        """(N,) bool."""
        return self.phase == PHASES.index("M")


def draw_cells(design: Design, n: int, *, rim: bool, rng: np.random.Generator) -> Cells:
    """``n`` cells of a tile, with guides at random as in a pool.

    Args:
        rim: The tile lies at the rim of its well.
    """
    guide = rng.choice(len(design.guides), n, p=design.probability)
    penetrant = rng.random(n) < np.array([g.penetrance for g in design.guides])[guide]
    natural = rng.standard_normal((n, len(FACTORS)))
    factors = _factors(design, natural, guide, penetrant)
    phase = _phases(design, guide, penetrant, rng)
    dna = np.select([phase == 0, phase == 1], [1.0, 1 + rng.random(n)], 2.0)
    rim_size = RIM_SIZE if rim else 1.0
    radius = RADIUS * rim_size * np.exp(0.115 * factors["size"])
    elongation = np.maximum(1, np.exp(0.22 + 0.16 * factors["elongation"]))
    orientation = rng.uniform(0, np.pi, n)
    return Cells(
        guide=guide,
        penetrant=penetrant,
        phase=phase,
        dna=dna,
        radius=radius,
        elongation=elongation,
        orientation=orientation,
        nucleus_radius=0.42 * radius**0.4 * RADIUS**0.6 * dna**0.33 * np.exp(0.06 * factors["nucleus"]),
        nucleus_offset=_nucleus_offsets(radius, elongation, orientation, rng),
        texture_amplitude=0.28 * np.exp(0.3 * factors["texture_amplitude"]),
        texture_scale=_sigmoid(factors["texture_scale"]),
        foci=np.minimum(rng.poisson(np.exp(0.5 + 0.55 * factors["foci"]) * dna**0.5), MAX_FOCI),
        bundles=0.3 + 0.5 * _sigmoid(factors["bundles"]),
        fibres=0.42 * _sigmoid(-0.7 + 0.95 * factors["fibres"]),
        cortex=0.08 + 0.48 * _sigmoid(-0.5 + 0.9 * factors["cortex"]),
        light=_light(natural[:, 0], factors, dna, rim_size),
        **_structures(design, guide, penetrant, phase, rng),
    )


def _factors(design: Design, natural: np.ndarray, guide: np.ndarray, penetrant: np.ndarray) -> dict[str, np.ndarray]:
    """Factor -> (N,), natural ones plus what penetrant guides add, within the limit."""
    shifts = np.stack([g.gene.shift if g.gene else np.zeros(len(FACTORS)) for g in design.guides])
    moved = np.clip(natural + np.where(penetrant[:, None], shifts[guide], 0), -LIMIT, LIMIT)
    return dict(zip(FACTORS, moved.T, strict=True))


def _phases(design: Design, guide: np.ndarray, penetrant: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) places in ``PHASES``; mitotic arrest raises the chance of the last."""
    genes = [g.gene for g in design.guides]
    added = np.array([g.strength * g.phenotype.mitotic if g and g.phenotype else 0.0 for g in genes])
    mitotic = rng.random(len(guide)) < MITOTIC_SHARE + np.where(penetrant, added[guide], 0)
    return np.where(mitotic, PHASES.index("M"), rng.choice(3, len(guide), p=CYCLE))


def _structures(
    design: Design, guide: np.ndarray, penetrant: np.ndarray, phase: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Structure and strength of each cell. A mitotic cell has taken its structures apart."""
    genes = [g.gene for g in design.guides]
    kinds = np.array([STRUCTURES.index(g.phenotype.structure) if g and g.phenotype else 0 for g in genes])
    strengths = np.array([g.strength if g else 0.0 for g in genes])
    structure = np.where(penetrant & (phase != PHASES.index("M")), kinds[guide], 0)
    own = np.exp(0.12 * rng.standard_normal(len(guide)))
    return {"structure": structure, "strength": np.where(structure > 0, strengths[guide] * own, 0.0)}


def _light(size: np.ndarray, factors: dict[str, np.ndarray], dna: np.ndarray, rim_size: float) -> np.ndarray:
    """(N, C) total counts. They follow the natural size: a cell spread by its guide holds no more protein."""
    z = np.stack([factors[f"light_{channel}"] for channel in CHANNELS], axis=1)
    bulk = (rim_size * np.exp(0.115 * np.clip(size, -LIMIT, LIMIT)))[:, None] ** np.array([0, 1.8, 0.8, 1.8])
    stained = np.exp(z * np.array([0.1, 0.35, 0.35, 0.35])) * bulk * np.array(LIGHT)
    stained[:, 0] *= dna
    return stained


def _nucleus_offsets(
    radius: np.ndarray, elongation: np.ndarray, orientation: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(N, 2), mostly along the long axis, where there is room."""
    along = radius * rng.normal(0, 0.07, len(radius)) * elongation
    across = radius * rng.normal(0, 0.05, len(radius))
    sin, cos = np.sin(orientation), np.cos(orientation)
    return np.stack([along * sin + across * cos, along * cos - across * sin], axis=1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def place_cells(radius: np.ndarray, *, tile_size: int, border: float, rng: np.random.Generator) -> np.ndarray:
    """Centres of cells that hardly overlap: each takes the roomiest of some random places, large cells first.

    Args:
        radius: (N,) in pixels.
        border: How far outside the tile a centre may lie, for cells that are cut by its edge.

    Returns:
        (N, 2), y and x in pixels, from -border to tile_size - 1 + border.
    """
    places = np.zeros((len(radius), 2))
    largest_first = np.argsort(-radius, kind="stable")
    for i, cell in enumerate(largest_first):
        tried = rng.uniform(-border, tile_size - 1 + border, (40, 2))
        placed = largest_first[:i]
        apart = np.linalg.norm(tried[:, None] - places[placed], axis=2)
        room = apart - 0.95 * (radius[placed] + radius[cell])
        fits = room.min(axis=1, initial=0.0)
        places[cell] = tried[np.argmax(fits)]
    return places
