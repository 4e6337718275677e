"""The authors' sweep: for p = 80 ... 99 call a pair related when its cosine distance is in either tail.

The tails are <= the (100 - p)th and >= the p-th percentile of the whole distance matrix, diagonal included
(Multi-ContrastiveVAE, Figure 2). A pair and its mirror image count alike, so pairs are counted once; percentiles
of the matrix follow from its sorted upper triangle, where every value stands for two and G zeros come first.

The area under the sweep is the authors' too: the trapezoids of precision over recall between p = 99 and p = 80.
A space that knows nothing has the share of related pairs as precision and the share of called pairs as recall, .02 to
.40 where genes are many: its area is the first times the range of the second. Few genes have a heavy diagonal, which
takes room from the lower tail: they start and end below.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contrascope.benchmarks.relations.similarity import Matrix

PERCENTILES = np.arange(80, 100)


class Sweep(NamedTuple):
    """What is called related at each of the 20 percentiles.

    Attributes:
        hits: (P, 20) which related pairs are called.
        false: (20,) how many unrelated pairs are called.
    """

    hits: NDArray[np.bool_]
    false: NDArray[np.intp]

    @property
    def called(self) -> NDArray[np.intp]:
        """(20,) how many pairs are called."""
        called: NDArray[np.intp] = self.hits.sum(axis=0) + self.false
        return called


def sweep(ascending: Matrix, related: Matrix, *, genes: int) -> Sweep:
    """Call pairs related in either tail of distance, percentile by percentile.

    Args:
        ascending: Similarities of all unordered pairs of the G genes, sorted.
        related: (P,) similarities of the related pairs.
        genes: G.
    """
    distances = 1 - ascending[::-1]
    low = matrix_percentiles(distances, 100 - PERCENTILES, genes=genes)
    high = matrix_percentiles(distances, PERCENTILES, genes=genes)
    distance = (1 - related)[:, None]
    hits = (distance <= low) | (distance >= high)
    called = np.searchsorted(distances, low, side="right")
    called += len(distances) - np.searchsorted(distances, high, side="left")
    # Tails that meet hold everything, once.
    return Sweep(hits, np.minimum(called, len(distances)) - hits.sum(axis=0))


def matrix_percentiles(distances: Matrix, percentiles: NDArray[np.integer], *, genes: int) -> Matrix:
    """``np.percentile`` of a symmetric (G, G) matrix with a diagonal of 0, to the last bit.

    Args:
        distances: The values above its diagonal, ascending, none below 0.
        percentiles: 0 to 100.
        genes: G.
    """
    place = (genes**2 - 1) * (percentiles / 100)
    below = np.floor(place).astype(np.intp)
    share = place - below
    lower, upper = _entries(distances, below, genes), _entries(distances, np.ceil(place).astype(np.intp), genes)
    # From the nearer end, as numpy does, for the same rounding.
    step = upper - lower
    return np.where(share >= 0.5, upper - step * (1 - share), lower + step * share)


def area(precision: Matrix, recall: Matrix) -> Matrix:
    """Area under precision over recall, by trapezoids; the last axis is the percentiles, upwards."""
    width, height = -np.diff(recall, axis=-1), precision[..., 1:] + precision[..., :-1]
    found: Matrix = (width * height).sum(axis=-1) / 2
    return found


def _entries(distances: Matrix, rank: NDArray[np.intp], genes: int) -> Matrix:
    """Entries of the whole matrix by rank, smallest first."""
    return np.where(rank < genes, 0.0, distances[np.maximum(rank - genes, 0) // 2])
