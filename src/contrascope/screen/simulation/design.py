"""What a synthetic screen contains: plates and wells, genes, guides, and what each gene does to a cell.

A cell is drawn from natural factors, standard normal each (see ``FACTORS``). A *shifted* phenotype moves some
of those factors, or the share of mitotic cells, within what controls show as well. A *novel* phenotype adds a
structure (see ``STRUCTURES``) that no control ever has. Phenotypes are of form: each channel keeps the total
light that the cell would have had anyway, and with a novel structure its contrast too, so that intensities
alone say little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from contrascope.errors import SettingsError

CHANNELS = ("DAPI", "Tubulin", "gH2AX", "Phalloidin")
NONTARGETING = "nontargeting"
PIXEL_SIZE_UM = 0.65
CROP_SIZE = 64

FACTORS = (
    "size", "elongation", "nucleus", "texture_amplitude", "texture_scale", "foci", "bundles", "fibres", "cortex",
    *(f"light_{channel}" for channel in CHANNELS),
)  # fmt: skip
"""What varies from cell to cell in nature, in standard deviations."""

STRUCTURES = ("none", "cage", "micronuclei", "aggregates", "vacuoles")
"""What a novel phenotype adds; controls have none."""

CONTROL_SHARE = 0.27
CONTROL_GUIDES = 12
GUIDES_PER_GENE = 4
GENES_PER_COMPLEX = 3
INERT_GENES = 4
MITOTIC_SHARE = 0.05
OWN_VARIATION = 0.15
"""Standard deviation of a gene's own shift of each factor of form, beside its complex's phenotype."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How much there is of a screen.

    Attributes:
        cells_per_tile: Expected cells in a tile, averaged over a well.
        grid: A well holds grid x grid tiles.
        tile_size: Height and width of a tile in pixels.
    """

    plates: int
    wells: int
    grid: int
    tile_size: int
    cells_per_tile: float

    @property
    def n_tiles(self) -> int:
        """Tiles in the whole screen."""
        return self.plates * self.wells * self.grid**2


PRESETS = {
    "tiny": Preset(plates=1, wells=2, grid=3, tile_size=320, cells_per_tile=37),
    "small": Preset(plates=2, wells=3, grid=4, tile_size=720, cells_per_tile=126),
    "medium": Preset(plates=4, wells=6, grid=6, tile_size=720, cells_per_tile=140),
}


def preset_named(name: str) -> Preset:
    """The preset of that name.

    Raises:
        SettingsError: There is none.
    """
    if name not in PRESETS:
        raise SettingsError(f"There is no preset '{name}' of a synthetic screen. Choose one of: {', '.join(PRESETS)}.")
    return PRESETS[name]


@dataclass(frozen=True, kw_only=True)
class Phenotype:
    """What a complex does to cells at strength 1.

    Attributes:
        shift: Factor -> standard deviations it moves by.
        mitotic: Added to the share of mitotic cells.
        structure: One of ``STRUCTURES``.
    """

    kind: Literal["shifted", "novel"]
    function: str
    words: str
    shift: dict[str, float]
    mitotic: float = 0.0
    structure: str = "none"


def _shifted(function: str, words: str, *, mitotic: float = 0.0, **shift: float) -> Phenotype:
    return Phenotype(kind="shifted", function=function, words=words, shift=shift, mitotic=mitotic)


def _novel(function: str, words: str, structure: str) -> Phenotype:
    return Phenotype(kind="novel", function=function, words=words, shift={}, structure=structure)


PHENOTYPES = {
    "alpha": _shifted(
        "cell shape", "larger, flatter cells with wide-meshed tubulin and broader edges",
        size=1.7, bundles=1.4, cortex=0.7, texture_amplitude=0.6,
    ),
    "beta": _shifted("cell division", "mitotic arrest: many more mitotic cells", mitotic=0.45),
    "gamma": _shifted(
        "cell shape", "smaller, rounder cells with cortical actin in place of fibres",
        size=-1.5, elongation=-1.5, cortex=1.6, fibres=-1.8, bundles=-1.3,
    ),
    "delta": _shifted(
        "actin", "more actin stress fibres, dimmer tubulin, more gH2AX foci",
        fibres=1.8, cortex=-1.3, light_Tubulin=-0.4, foci=1.6,
    ),
    "epsilon": _novel("transport", "a tubulin cage around the nucleus", "cage"),
    "zeta": _novel("cell division", "fragmented nuclei with micronuclei", "micronuclei"),
    "eta": _novel("actin", "phalloidin-positive aggregates on one side of the cytoplasm", "aggregates"),
    "theta": _novel("transport", "dark vacuoles in the cytoplasm, in tubulin and actin", "vacuoles"),
}  # fmt: skip
"""Complex -> what its genes do."""


@dataclass(frozen=True, kw_only=True)
class Gene:
    """A gene of the screen; an inert one has no complex and strength 0.

    Attributes:
        own_shift: (F,) shift of each factor that is this gene's alone, in standard deviations.
    """

    name: str
    complex: str | None
    strength: float
    own_shift: np.ndarray

    @property
    def phenotype(self) -> Phenotype | None:
        """What its complex does; None for an inert gene."""
        return PHENOTYPES[self.complex] if self.complex else None

    @property
    def shift(self) -> np.ndarray:
        """(F,) shift of each factor in standard deviations, the complex's and the gene's own."""
        moved = self.phenotype.shift if self.phenotype else {}
        return self.own_shift + self.strength * np.array([moved.get(factor, 0.0) for factor in FACTORS])


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A guide RNA. Its penetrance is the share of its cells that show the phenotype; 0 for controls."""

    name: str
    gene: Gene | None
    penetrance: float

    @property
    def label(self) -> str:
        """The perturbation as the cell table spells it."""
        return self.gene.name if self.gene else NONTARGETING


@dataclass(frozen=True)
class Design:
    """All that is decided before the first cell is drawn.

    Attributes:
        guides: Controls first.
        probability: (guides,) chance that a cell carries each guide.
    """

    preset: Preset
    genes: list[Gene]
    guides: list[Guide]
    probability: np.ndarray

    @property
    def plates(self) -> list[str]:
        """Names of the plates."""
        return [f"P{i + 1}" for i in range(self.preset.plates)]

    @property
    def wells(self) -> list[str]:
        """Names of the wells of each plate, three to a row."""
        return [f"{'ABCDEFGH'[i // 3]}{i % 3 + 1}" for i in range(self.preset.wells)]


def design_screen(preset: Preset, rng: np.random.Generator) -> Design:
    """A design: strengths of genes from 0.7 to 1.1, penetrances of guides from 0.45 to 0.9."""
    genes = [_gene(f"{name.upper()}{i + 1}", name, rng) for name in PHENOTYPES for i in range(GENES_PER_COMPLEX)] + [
        _gene(f"IOTA{i + 1}", None, rng) for i in range(INERT_GENES)
    ]
    controls = [Guide(name=f"{NONTARGETING}_sg{i + 1:02d}", gene=None, penetrance=0.0) for i in range(CONTROL_GUIDES)]
    targeting = [
        Guide(name=f"{gene.name}_sg{i + 1}", gene=gene, penetrance=_penetrance(gene, rng))
        for gene in genes
        for i in range(GUIDES_PER_GENE)
    ]
    shares = [CONTROL_SHARE / len(controls)] * len(controls)
    shares += [(1 - CONTROL_SHARE) / len(targeting)] * len(targeting)
    return Design(preset, genes, controls + targeting, np.array(shares))


def _gene(name: str, complex_name: str | None, rng: np.random.Generator) -> Gene:
    strength, own = rng.uniform(0.7, 1.1), rng.normal(0, OWN_VARIATION, len(FACTORS))
    # The own variation is of form only, as the phenotypes are.
    own[[factor.startswith("light_") for factor in FACTORS]] = 0
    if complex_name is None:
        return Gene(name=name, complex=None, strength=0.0, own_shift=np.zeros(len(FACTORS)))
    return Gene(name=name, complex=complex_name, strength=round(strength, 3), own_shift=own.round(3))


def _penetrance(gene: Gene, rng: np.random.Generator) -> float:
    drawn = round(rng.uniform(0.45, 0.9), 3)
    return drawn if gene.complex else 0.0
