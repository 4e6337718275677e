"""How large an effect is, and how large sampling alone would make it.

    d     = mean over the perturbation's guides of their mean cells - the same over control guides
    noise = v / G^2 sum over guides of 1 / n_g, of the perturbation, + the same of the controls
    E |d|^2 = |effect|^2 + noise

with v the variance of a cell about its guide's mean, summed over features and pooled over the guides of a perturbation.
So |d|^2 - noise is an unbiased estimate of |effect|^2, below 0 as often as above where there is none, and |d|^2 / noise
is 1 on average whatever the numbers of cells. Cells are taken for independent: where guides differ by more than their
cells (a well each, say), the ratio of control guides is above 1, and the more so the more cells they have. What they
differ by is told by the means m_g of the control guides, summed over features:

    between = sum |m_g - m|^2 / (G - 1) - v mean(1 / n_g), not below 0        G control guides
    E |d|^2 = |effect|^2 + noise + between (1 / guides of the perturbation + 1 / control guides)

Asked for it, sizes carry that last term as ``spread``, and |d|^2 / (noise + spread) is 1 on average again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError
from contrascope.profiles.aggregate import N_CELLS, ROWS_AT_ONCE, SUMS, averaged, flags, rows_by_name, rows_of_each
from contrascope.profiles.normalize import ROUNDING
from contrascope.vocabulary import CONTROL, GUIDE, PERTURBATION

Matrix = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Guides:
    """Which cells are of which guide, and which guides of which perturbation; the same in every space.

    Attributes:
        table: Of G guides, as ``averaged(cells, by="guide").obs``.
        of_cell: (N,) position of each cell's guide in the table.
        perturbations: Positions of the guides of each perturbation, controls left out.
        by_name: (N,) the cells in the order of their names, in which they are drawn.
    """

    table: pd.DataFrame
    of_cell: Rows
    perturbations: dict[str, Rows]
    by_name: Rows

    @staticmethod
    def of(cells: AnnData) -> Guides:
        """Of N cells with ``obs`` columns guide, perturbation and control.

        Raises:
            BenchmarkError: As ``averaged``; no controls, nothing but controls, or sums in place of cells.
        """
        if cells.uns.get("contrascope", {}).get("holds") == SUMS:
            raise BenchmarkError("These are sums of cells. Cells were needed: their scatter tells noise from effect.")
        labels = AnnData(obs=cells.obs, obsm={"none": np.zeros((cells.n_obs, 1))})
        averaged(labels)  # refuses a perturbation that is control with some guides only
        table = averaged(labels, by="guide").obs
        control = flags(table[CONTROL])
        if not control.any() or control.all():
            raise BenchmarkError(
                f"{int(control.sum()):,} of {len(control):,} guides are controls; perturbed guides and controls to see "
                "them from were needed. Name the control label of the screen, so that obs['control'] is true for them."
            )
        members = rows_of_each(table[PERTURBATION], ~control)
        of_cell = table.index.get_indexer(cells.obs[GUIDE].astype(str))
        return Guides(table, of_cell, members, rows_by_name(cells.obs_names))

    @property
    def n_cells(self) -> NDArray[np.intp]:
        """(G,)."""
        return self.table[N_CELLS].to_numpy(dtype=np.intp)

    @property
    def controls(self) -> Rows:
        """Positions of the control guides."""
        return np.flatnonzero(flags(self.table[CONTROL]))

    @cached_property
    def rows(self) -> list[Rows]:
        """The cells of each guide, by name."""
        order = np.argsort(self.of_cell[self.by_name], kind="stable")
        return np.split(self.by_name[order], np.cumsum(self.n_cells)[:-1])


@dataclass(frozen=True)
class Moments:
    """Mean (G, F) of each guide's cells, their summed squared distance from it (G,), and their number (G,)."""

    mean: Matrix
    scatter: Matrix
    n_cells: NDArray[np.intp]

    @staticmethod
    def of(values: Matrix, guides: Guides) -> Moments:
        """Of an embedding (N, F)."""
        mean = np.array([values[rows].mean(axis=0) for rows in guides.rows])
        scatter = np.zeros(len(mean))
        for start in range(0, len(values), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            codes = guides.of_cell[rows]
            scatter += np.bincount(codes, ((values[rows] - mean[codes]) ** 2).sum(axis=1), minlength=len(mean))
        rounding = ROUNDING**2 * guides.n_cells * (mean**2).sum(axis=1)
        return Moments(mean, np.where(scatter <= rounding, 0.0, scatter), guides.n_cells)

    def variance(self, members: Rows, stand_in: float = 0.0) -> float:
        """Of a cell about the mean of its guide, summed over features; ``stand_in`` where each guide has one cell."""
        freedom = self.n_cells[members].sum() - len(members)
        return float(self.scatter[members].sum() / freedom) if freedom else stand_in

    def between(self, members: Rows) -> float:
        """Variance between some guides beyond that of sampling, summed over features; 0 for one guide."""
        if len(members) < 2:
            return 0.0
        found = float(self.mean[members].var(axis=0, ddof=1).sum())
        return max(0.0, found - self.noise(members) * len(members))

    def noise(self, members: Rows, stand_in: float = 0.0) -> float:
        """Variance of the mean of some guides, summed over features."""
        return self.variance(members, stand_in) * float((1 / self.n_cells[members]).sum()) / len(members) ** 2


@dataclass(frozen=True)
class Sizes:
    """Of effects, in squared units of the embedding.

    Attributes:
        squared: |d|^2 of each.
        noise: What it is on average without an effect.
        spread: What is to be added where guides differ by themselves.
    """

    squared: Matrix
    noise: Matrix
    spread: Matrix | float = 0.0

    @property
    def by_chance(self) -> Matrix:
        """What |d|^2 is on average without an effect, noise and spread."""
        return self.noise + self.spread

    @property
    def unbiased(self) -> Matrix:
        """Estimates of |effect|^2; below 0 where there is less than noise."""
        return self.squared - self.noise

    @property
    def ratio(self) -> Matrix:
        """|d|^2 / (noise + spread), 1 on average without effect; in a space where nothing varies 1, or infinite."""
        still = np.where(self.squared > 0, np.inf, 1.0)
        return np.divide(self.squared, self.by_chance, out=still, where=self.by_chance > 0)


def effect_sizes(moments: Moments, guides: Guides, *, between: float = 0.0) -> Sizes:
    """Of all perturbations against all control guides, which differ by so much beyond sampling."""
    pairs = [(members, guides.controls) for members in guides.perturbations.values()]
    return _sizes(moments, pairs, guides, between)


def control_sizes(moments: Moments, guides: Guides, *, between: float = 0.0) -> Sizes:
    """Of each control guide against the others, of which there is one at least."""
    controls = guides.controls
    return _sizes(moments, [(controls[[i]], np.delete(controls, i)) for i in range(len(controls))], guides, between)


def resampled_squares(values: Matrix, guides: Guides, *, draws: int, seed: int) -> Iterator[Matrix]:
    """|d|^2 (draws,) of each perturbation, with the cells of every guide drawn anew from them, with replacement.

    One seed draws the same cells in every space.
    """
    generator = np.random.default_rng(seed)
    origin = _resampled_mean(values, [guides.rows[guide] for guide in guides.controls], draws, generator)
    for members in guides.perturbations.values():
        mean = _resampled_mean(values, [guides.rows[guide] for guide in members], draws, generator)
        yield ((mean - origin) ** 2).sum(axis=1)


def _sizes(moments: Moments, pairs: list[tuple[Rows, Rows]], guides: Guides, between: float) -> Sizes:
    stand_in = moments.variance(guides.controls)
    squared, noise = [], []
    for members, against in pairs:
        origin = moments.mean[against].mean(axis=0)
        difference = moments.mean[members].mean(axis=0) - origin
        difference[np.abs(difference) <= ROUNDING * np.abs(origin)] = 0.0
        squared.append(difference @ difference)
        noise.append(moments.noise(members, stand_in) + moments.noise(against, stand_in))
    spread = between * np.array([1 / len(members) + 1 / len(against) for members, against in pairs])
    return Sizes(np.array(squared), np.array(noise), spread)


def _resampled_mean(values: Matrix, guides: list[Rows], draws: int, generator: np.random.Generator) -> Matrix:
    """(draws, F) mean over guides of means of as many of their cells, drawn with replacement.

    Of n cells, those drawn vary by (n - 1) / n of the variance. So each mean is moved sqrt(n / (n - 1)) times as far
    from that of the cells, and varies on average as the mean of new cells would.
    """
    total = np.zeros((draws, values.shape[1]))
    for rows in guides:
        n, cells = len(rows), values[rows]
        at_once = max(1, (1 << 22) // n)
        for start in range(0, draws, at_once):
            count = min(at_once, draws - start)
            drawn = generator.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
            weights = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n)
            mean = cells.mean(axis=0)
            further = np.sqrt(n / (n - 1)) if n > 1 else 1.0
            total[start : start + count] += mean + further * (weights @ cells / n - mean)
    return total / len(guides)
