"""Average precision: of all pairs, and of each complex.

For a complex the pairs within it are to come first of all pairs with a gene of it, so complexes of different kinds
can be compared. Over all pairs, shuffled names of the genes show what no knowledge reaches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contrascope.benchmarks.relations.similarity import DIGITS, Matrix, pair_positions
from contrascope.benchmarks.relations.truth import Truth

SHUFFLES = 200


class ComplexPrecision(NamedTuple):
    """Average precision of one complex, its chance level, and over how many pairs."""

    name: str
    value: float
    chance: float
    pairs: int


def average_precision(positives: NDArray[np.integer], /) -> float:
    """Mean precision at the positives, from their ranks (1 is best, ties share their last rank).

    The definition of scikit-learn: the sum over thresholds of precision times the step in recall.
    """
    ranks = np.sort(positives)
    return float(np.mean(np.searchsorted(ranks, ranks, side="right") / ranks))


def ranks_of(values: Matrix, ascending: Matrix) -> NDArray[np.intp]:
    """Rank of each value, largest first, ties sharing the last rank: how many are at least as large."""
    return len(ascending) - np.searchsorted(ascending, values, side="left")


def shuffled_precision(similarity: Matrix, ascending: Matrix, truth: Truth, *, seed: int) -> Matrix:
    """(200,) average precisions when the genes' names are shuffled.

    Args:
        similarity: Of all pairs, in their order.
        ascending: The same, sorted.
        truth: Which pairs are related.
        seed: Of the shuffling.
    """
    generator, genes = np.random.default_rng(seed), len(truth.genes)
    null = np.empty(SHUFFLES)
    for shuffle in range(SHUFFLES):
        shuffled = generator.permutation(genes)
        found = similarity[pair_positions(shuffled[truth.first], shuffled[truth.second], genes=genes)]
        # Sorted first: a search for neighbours stays in the processor's cache.
        null[shuffle] = average_precision(ranks_of(np.sort(found), ascending))
    return null


def each_complex(unit: Matrix, truth: Truth) -> Iterator[ComplexPrecision]:
    """Average precision of each complex, from unit vectors (G, F) of the judged genes."""
    for name, inside in truth.members.items():
        block = np.round(unit[inside] @ unit.T, DIGITS)
        first, second = np.triu_indices(len(inside), k=1)
        within = block[first, inside[second]]
        others = np.delete(block, inside, axis=1)
        every = np.sort(np.concatenate([within, others.ravel()]))
        value = average_precision(ranks_of(within, every))
        yield ComplexPrecision(name, value, len(within) / len(every), len(every))
