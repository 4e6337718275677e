"""Average precision: of all pairs, and of each complex.

For a complex the pairs within it are to come first of all pairs with a gene of it, so complexes of different kinds
can be compared. What no knowledge reaches is measured, over all pairs with the genes' names shuffled, for a complex by
as many random genes: the mean of average precision is above the share of pairs that are related, and of few pairs twice
as much.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contrascope.benchmarks.relations.similarity import DIGITS, Matrix, Positions, pair_positions
from contrascope.benchmarks.relations.truth import Truth

SHUFFLES = 200
_FEWEST, _MOST_PAIRS = 20, 20_000_000
"""Random complexes of a size, of which there are 200 unless they would have more pairs than this in all."""


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


def each_complex(unit: Matrix, truth: Truth, *, seed: int) -> Iterator[ComplexPrecision]:
    """Average precision of each complex.

    Args:
        unit: (G, F) unit vectors of the judged genes.
        truth: With sets.
        seed: Of the random complexes, of which each size has its own.
    """
    sizes = sorted({len(inside) for inside in truth.members.values()})
    chance = {size: _by_chance(unit, size, seed) for size in sizes}
    for name, inside in truth.members.items():
        value, pairs = _precision_of(unit, inside)
        yield ComplexPrecision(name, value, chance[len(inside)], pairs)


def _precision_of(unit: Matrix, inside: Positions) -> tuple[float, int]:
    """Average precision of the genes at some positions, and over how many pairs."""
    block = np.round(unit[inside] @ unit.T, DIGITS)
    first, second = np.triu_indices(len(inside), k=1)
    within = block[first, inside[second]]
    others = np.delete(block, inside, axis=1)
    every = np.sort(np.concatenate([within, others.ravel()]))
    return average_precision(ranks_of(within, every)), len(every)


def _by_chance(unit: Matrix, size: int, seed: int) -> float:
    """Mean average precision of random complexes of so many genes."""
    generator, genes = np.random.default_rng([seed, 3, size]), len(unit)
    draws = int(np.clip(_MOST_PAIRS // (size * genes), _FEWEST, SHUFFLES))
    chosen = (generator.choice(genes, size, replace=False) for _ in range(draws))
    return float(np.mean([_precision_of(unit, inside)[0] for inside in chosen]))
