"""How large the effects of controls are by chance: what a perturbation's effect has to exceed.

The measure is |d|^2 / noise (``profiles/sizes.py``), which numbers of cells leave alone, so that one null serves many
perturbations. Two nulls, of which the first is the better one and needs many control guides:

- guides: each control guide is taken for a perturbation and seen from the other ones. Whatever makes guides differ that
  do nothing (off-targets, wells) is in it. With G guides of n cells, |d|^2 is v / (n G) + between / G on average then,
  of which the one term falls with n and the other does not: the measure is |d|^2 / (noise + spread), with what control
  guides differ by in the spread. Where they differ in a few directions alone, its mean is right and its tail somewhat
  longer for guides of many more cells than the control guides have.
- cells: pseudo-guides, random control cells seen from all other ones, as many as the perturbation has, to a power of
  the square root of 2, half of the controls at most. It knows of no difference between guides; how many control guides
  exceed it more often than they should is therefore part of the answer.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError
from contrascope.profiles.normalize import ROUNDING
from contrascope.profiles.sizes import Guides, Moments, Sizes, control_sizes

Null = Literal["auto", "guides", "cells"]
MIN_GUIDES = 99
"""Control guides for which p goes down to 0.01; with fewer, ``auto`` takes cells."""
Matrix = NDArray[np.float64]


def kind_of_null(null: Null, guides: Guides) -> Literal["guides", "cells"]:
    """Which null is taken.

    Raises:
        BenchmarkError: No such null, or too few controls for it.
    """
    n_guides = len(guides.controls)
    n_cells = int(guides.n_cells[guides.controls].sum())
    if null not in ("auto", "guides", "cells"):
        raise BenchmarkError(f"null is '{null}'. Choose one of: auto, guides, cells.")
    if null == "guides" and n_guides < 2:
        raise BenchmarkError("null='guides' sees each control guide from the others, and there is one. Take 'cells'.")
    if null == "auto":
        null = "guides" if n_guides >= MIN_GUIDES else "cells"
    if null == "cells" and n_cells < 4:
        raise BenchmarkError(f"There are {n_cells} control cells; 4 were needed to see two of them from the others.")
    return null


def effective_cells(members: NDArray[np.intp], guides: Guides) -> float:
    """Cells of one guide whose mean would be as certain as the mean over these guides."""
    return float(len(members) ** 2 / (1 / guides.n_cells[members]).sum())


def size_class(cells: float, guides: Guides) -> int:
    """Cells of the pseudo-guides that stand for so many."""
    half = int(guides.n_cells[guides.controls].sum()) // 2
    return int(np.clip(round(2 ** (round(2 * np.log2(cells)) / 2)), 2, half))


class ChanceEffects:
    """Ratios |d|^2 / noise of controls in one space; ``between`` is what their guides differ by, where that counts.

    Args:
        values: Embedding (N, F).
        null: Which.
        draws: Pseudo-guides of each size.
        seed: Of their cells, the same in every space.
    """

    def __init__(
        self,
        values: Matrix,
        moments: Moments,
        guides: Guides,
        *,
        null: Literal["guides", "cells"],
        draws: int,
        seed: int,
    ):
        self._guides, self._draws, self._seed = guides, draws, seed
        self._by_class: dict[int, Matrix] = {}
        self.between = moments.between(guides.controls) if null == "guides" else 0.0
        self._of_guides = control_sizes(moments, guides, between=self.between).ratio if null == "guides" else None
        if null == "cells":
            rows = np.concatenate([guides.rows[guide] for guide in guides.controls])
            centre = values[rows].mean(axis=0)
            away = values[rows] - centre
            self._controls = np.where(np.abs(away) <= ROUNDING * np.abs(centre), 0.0, away)
            self._lengths = (self._controls**2).sum(axis=1)

    def of(self, cells: float) -> Matrix:
        """(n,) ratios by chance of a mean as certain as that of so many cells; one order in every space."""
        if self._of_guides is not None:
            return self._of_guides
        size = size_class(cells, self._guides)
        if size not in self._by_class:
            self._by_class[size] = self._pseudo_guides(size)
        return self._by_class[size]

    def _pseudo_guides(self, size: int) -> Matrix:
        generator, total = np.random.default_rng([self._seed, size]), len(self._controls)
        squared, noise = np.empty(self._draws), np.empty(self._draws)
        for draw in range(self._draws):
            chosen = generator.choice(total, size, replace=False, shuffle=False)
            here = self._controls[chosen].sum(axis=0)
            # The centred controls sum to zero: what is left of them has the opposite sum.
            inside, rest = here / size, -here / (total - size)
            length = self._lengths[chosen].sum()
            squared[draw] = ((inside - rest) ** 2).sum()
            noise[draw] = _noise(length, inside, size) + _noise(self._lengths.sum() - length, rest, total - size)
        return Sizes(squared, noise).ratio


def p_values(ratios: Matrix, nulls: list[Matrix]) -> Matrix:
    """(b + 1) / (n + 1), b of the n ratios of a null being as large as the ratio itself or larger."""
    return np.array([(1 + (null >= r).sum()) / (1 + len(null)) for r, null in zip(ratios, nulls, strict=True)])


def _noise(length: float, mean: Matrix, n: int) -> float:
    """Variance of a mean, from the summed squares of its n cells; rounding leaves none below 0."""
    return max(0.0, float(length - n * (mean @ mean)) / (n - 1) / n)
