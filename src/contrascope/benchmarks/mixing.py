"""Mixing: how often the nearest neighbours of a cell are of its own class.

Where a class (a batch, say) leaves no trace in an embedding, the k nearest neighbours of a cell are of its class as
often as any other cells are: chance is (cells of the class - 1) / (all cells - 1), averaged over the cells asked.
Unlike a probe this sees what is not linear, and sees only what is large: a direction along which batches differ by
little among many others hardly moves neighbours.

Distances are Euclidean on standardised features, ties broken at random.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

Labels = NDArray[np.intp]
Values = NDArray[np.float64]
MOST_ASKED = 5000
"""Cells whose neighbours are looked up among all."""
RESAMPLINGS = 200
_TIE_BREAK = 1e-4
"""Far below any difference of standardised features, far above what rounding leaves of a distance."""


class Mixing(NamedTuple):
    """What neighbours are, of the Q cells asked.

    Attributes:
        same: (Q, k) whether a neighbour is of the cell's class.
        expected: (Q,) share of neighbours that are by chance.
        of_tiles: (T,) what each tile adds to the mean of ``same``, beyond its share of the cells: cells of one tile
            are no independent witnesses.
    """

    same: NDArray[np.bool_]
    expected: Values
    of_tiles: Values

    def spread(self, generator: np.random.Generator) -> Values:
        """(RESAMPLINGS,) how far the mean of ``same`` moves with tiles drawn with replacement; NaN for one tile."""
        tiles = len(self.of_tiles)
        if tiles == 1:
            return np.full(RESAMPLINGS, np.nan)
        times = generator.multinomial(tiles, np.full(tiles, 1 / tiles), size=RESAMPLINGS)
        moved: Values = times @ self.of_tiles - self.of_tiles.sum()
        return moved


def mixing(
    features: Values, labels: Labels, tiles: Labels, *, neighbours: int, generator: np.random.Generator
) -> Mixing:
    """Neighbours of at most ``MOST_ASKED`` cells among all of (N, F), whose classes (N,) are 0 ... K - 1.

    Args:
        tiles: (N,) tile of each cell, or anything else that cells were imaged with.
        neighbours: k; fewer where the smallest class has no k other cells, so that 1 can always be reached.
    """
    sizes = np.bincount(labels)
    k = max(1, min(neighbours, int(sizes[sizes > 0].min()) - 1))
    scaled = StandardScaler().fit_transform(features)
    scaled = np.column_stack([scaled, generator.normal(scale=_TIE_BREAK, size=(len(scaled), 2))])
    asked = np.sort(generator.permutation(len(labels))[:MOST_ASKED])
    found = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(scaled).kneighbors(scaled[asked])[1]
    found = _without_itself(found, asked)
    same, expected = labels[found] == labels[asked][:, None], (sizes[labels[asked]] - 1) / (len(labels) - 1)
    return Mixing(same, expected, _of_tiles(same, asked, found, labels, tiles))


def _of_tiles(same: NDArray[np.bool_], asked: Labels, found: Labels, labels: Labels, tiles: Labels) -> Values:
    """(T,) what each tile adds to the mean of ``same``, so that variances of tiles add up to that of the mean.

    A pair of neighbours surprises by what it is beyond the classes of its two cells, and half of that goes to the tile
    of each; as tiles drawn one by one see half of the variance between pairs, by the root of two more. Cells that
    many others name add or take by the size of their class.
    """
    share = np.bincount(labels) / len(labels)
    by_chance = np.square(share).sum()
    surprise = same - share[labels[asked]][:, None] - share[labels[found]] + by_chance
    ends = np.bincount(found.ravel(), weights=surprise.ravel(), minlength=len(labels)).astype(float)
    ends[asked] += surprise.sum(axis=1)
    named = np.bincount(found.ravel(), minlength=len(labels)) / found.size - 1 / len(labels)
    of_cells = (ends - ends.mean()) / found.size / np.sqrt(2) + named * (share[labels] - by_chance)
    return np.bincount(np.unique(tiles, return_inverse=True)[1], weights=of_cells).astype(float)


def _without_itself(found: Labels, asked: Labels) -> Labels:
    """(Q, k + 1) neighbours without the cell itself, or where it is not among them without the farthest: (Q, k)."""
    itself = found == asked[:, None]
    itself[~itself.any(axis=1), -1] = True
    return found[~itself].reshape(len(found), -1)
