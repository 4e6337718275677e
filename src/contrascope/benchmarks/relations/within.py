"""Are sets more alike within than random sets of their size? A Kolmogorov-Smirnov statistic, and what chance makes it.

The mean similarity of the pairs within each set is compared, as a distribution over sets, with that of random sets of
the same sizes: the very sets under shuffled names of genes, so that they overlap as the real ones do. The statistic
is the largest gap between the two distributions. Sets that overlap are no independent sample, so its usual p-value
would be too small; p is counted instead, over further shuffles: (1 + those as large) / (1 + shuffles).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import ks_2samp

from contrascope.benchmarks.relations.ranking import SHUFFLES
from contrascope.benchmarks.relations.similarity import Matrix, Positions
from contrascope.benchmarks.relations.truth import Truth

RANDOM_SETS = 20
"""Random sets for each set."""
_DIGITS = 10


class WithinSets(NamedTuple):
    """The statistic, the same under shuffled names (200,), and its p-value."""

    statistic: float
    null: Matrix
    p_value: float


def within_sets(unit: Matrix, truth: Truth, *, seed: int) -> WithinSets:
    """Compare sets with random sets of their size.

    Args:
        unit: (G, F) unit vectors of the judged genes.
        truth: With sets.
        seed: Of the random sets.
    """
    generator = np.random.default_rng([seed, 1])
    membership = _membership(truth)

    def means(order: Positions) -> Matrix:
        return mean_similarity(unit[order], membership)

    drawn = [means(generator.permutation(len(unit))) for _ in range(RANDOM_SETS + SHUFFLES)]
    reference = np.concatenate(drawn[:RANDOM_SETS])
    found = _statistic(means(np.arange(len(unit))), reference)
    null = np.array([_statistic(shuffled, reference) for shuffled in drawn[RANDOM_SETS:]])
    # A hair of tolerance, so that equal gaps count as equal.
    as_large = int((null >= found - 1e-9).sum())
    return WithinSets(found, null, (1 + as_large) / (1 + len(null)))


def mean_similarity(unit: Matrix, membership: csr_array) -> Matrix:
    """(sets,) mean cosine of the pairs within each set, from the length of the sum of its vectors."""
    sums, size = membership @ unit, membership.sum(axis=1)
    pairs = np.square(sums).sum(axis=1) - membership @ np.square(unit).sum(axis=1)
    means: Matrix = np.round(pairs / (size * (size - 1)), _DIGITS)
    return means


def _membership(truth: Truth) -> csr_array:
    """(sets, G), 1 where a gene is in a set."""
    inside = list(truth.members.values())
    rows = np.repeat(np.arange(len(inside)), [len(genes) for genes in inside])
    columns = np.concatenate(inside)
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(inside), len(truth.genes)))


def _statistic(sets: Matrix, random: Matrix) -> float:
    return float(ks_2samp(sets, random, method="asymp").statistic)
