"""P-values by permutation, and what is left of them when many are looked at.

    p = (b + 1) / (n + 1)

with b of n permutations at least as large as what was found, ties counted (Phipson and Smyth 2010). Two kinds:

- cells: labels are permuted among cells of one batch. Says: these cells are not drawn from the controls' cells.
- guides: labels are permuted among guides, each guide a number. Says: this perturbation's guides are further from the
  controls than control guides are from each other. Guides that do nothing differ too, by what their cells went
  through together, and of that a permutation of cells knows nothing.
"""

from __future__ import annotations

from itertools import combinations, permutations
from math import comb, perm

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

LEVEL = 0.05
"""Up to which a p- or q-value is called small, the level included."""
Values = NDArray[np.float64]


def permuted_labels(
    perturbed: NDArray[np.bool_], stratum: NDArray[np.intp], count: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """(count + 1, N) labels: first as they are, then permuted within each stratum.

    Args:
        perturbed: (N,).
        stratum: (N,) cells of different strata never swap their labels.
    """
    labels = np.tile(perturbed, (count + 1, 1))
    for name in np.unique(stratum):
        inside = np.flatnonzero(stratum == name)
        if 0 < perturbed[inside].sum() < len(inside):
            labels[1:, inside] = generator.permuted(labels[1:, inside], axis=1)
    return labels


def permutation_p(values: Values, *, rounding: float) -> float:
    """P-value of the first of (n + 1,) values among the others; those within ``rounding`` of it are ties."""
    return float((values >= values[0] - rounding).mean())


def guide_p(values: Values, count: int, generator: np.random.Generator) -> float:
    """P-value of the mean over a perturbation's guides, labels permuted among its and the control guides.

    Args:
        values: (k + G, k) the number of each guide in each slot, the k guides of the perturbation in its own slots
            first (``matched_guides.py``). Where slots are alike so are the columns.
        count: Permutations; where there are fewer ways than that to fill k slots with k + G guides, all are looked at.
    """
    guides, k = values.shape
    alike = bool((values == values[:, :1]).all())
    if (comb if alike else perm)(guides, k) <= count + 1:
        chosen = np.array(list((combinations if alike else permutations)(range(guides), k)))
        # The first k come first.
        assert tuple(chosen[0]) == tuple(range(k))
    else:
        random = generator.random((count + 1, guides))
        chosen = np.argpartition(random, k - 1, axis=1)[:, :k]
        chosen = np.take_along_axis(chosen, np.argsort(np.take_along_axis(random, chosen, axis=1), axis=1), axis=1)
        chosen[0] = np.arange(k)
    means = values[chosen, np.arange(k)].mean(axis=1)
    return permutation_p(means, rounding=1e-9 * float(np.abs(values).max()))


def least_guide_p(guides: int, controls: int, count: int) -> float:
    """The smallest p-value that so many guides can have beside so many control guides."""
    return 1 / min(comb(guides + controls, guides), count + 1)


def reached_p(step: float, level: float) -> float:
    """The share of p-values up to the level where nothing acts, with p in steps: the largest step that is no more."""
    return float(np.floor(level / step + 1e-9) * step)


def q_values(p: Values) -> Values:
    """Benjamini-Hochberg q-values of (K,) p-values; what has no p-value (NaN) is not looked at."""
    q = np.full(len(p), np.nan)
    known = np.isfinite(p)
    if known.any():
        q[known] = np.round(false_discovery_control(p[known], method="bh"), 12)  # .05 is .05, whatever the steps
    return q


def hits_by_chance(count: int, *, level: float = 0.05) -> float:
    """Expected share with q <= level among so many perturbations of which none does anything.

    Benjamini-Hochberg finds something at all in a share ``level`` of such screens. With K uniform independent p-values
    it finds, on average, level * sum over j < K of (j + 1) (level / K)^j (K - 1)! / (K - 1 - j)!.
    """
    j = np.arange(max(min(count, 200) - 1, 0))
    steps = (count - 1 - j) * level / count
    terms = np.concatenate([[1.0], np.cumprod(steps)]) * np.arange(1, len(j) + 2)
    return float(level * terms.sum() / count)
