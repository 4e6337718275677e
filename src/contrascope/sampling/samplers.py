"""Which rows share a batch: as many controls as perturbed cells, every perturbed cell once an epoch.

Where perturbations differ much in their number of cells, an epoch may instead be drawn so that rare ones count
for more: by the square root of their number, or all alike. An epoch then has as many cells as it has anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

Balance = Literal["none", "sqrt", "uniform"]


class BalancedBatches:
    """Batches of row numbers, the first half perturbed cells and the second half controls.

    An epoch shows every perturbed cell once, but for a rest that fills no batch. Controls are drawn in shuffled rounds:
    within an epoch each is seen as often as any other, give or take once. Epochs know nothing of one another, so where
    controls are more than perturbed cells, those of an epoch are a random choice. The same holds for the cells of one
    perturbation where ``balance`` gives it more or fewer places than it has cells.

    Args:
        labels: (N,) perturbation of each cell, 0 control.
        rows: Rows that may be drawn.
        batch_size: Cells a batch, even.
        seed: With the epoch, it decides everything.
        balance: Places of a perturbation with n cells in an epoch are in proportion to n (``none``, each cell once),
            to the square root of n (``sqrt``), or equal (``uniform``).
    """

    def __init__(self, labels: np.ndarray, rows: np.ndarray, *, batch_size: int, seed: int, balance: Balance = "none"):
        control = labels[rows] == 0
        self.controls, self.perturbed = rows[control], rows[~control]
        self.labels, self.balance = labels[self.perturbed], balance
        # A screen smaller than a batch is one batch.
        self.half = min(batch_size // 2, len(self.perturbed))
        self.seed = seed

    def __len__(self) -> int:
        return len(self.perturbed) // self.half

    def epoch(self, number: int) -> Iterator[np.ndarray]:
        """(batch_size,) rows of each batch of an epoch."""
        rng = np.random.default_rng([self.seed, number])
        perturbed = self._perturbed(rng)
        needed = len(self) * self.half
        rounds = -(-needed // len(self.controls))
        controls = np.concatenate([rng.permutation(self.controls) for _ in range(rounds)])[:needed]
        for start in range(0, needed, self.half):
            part = slice(start, start + self.half)
            yield np.concatenate([perturbed[part], controls[part]])

    def _perturbed(self, rng: np.random.Generator) -> np.ndarray:
        """Rows of the perturbed cells of an epoch, as many as there are perturbed cells."""
        if self.balance == "none":
            return rng.permutation(self.perturbed)
        shuffled = rng.permutation(len(self.perturbed))
        by_label = shuffled[np.argsort(self.labels[shuffled], kind="stable")]
        _, starts, sizes = np.unique(self.labels[by_label], return_index=True, return_counts=True)
        places = _shared_out(
            len(self.perturbed), np.sqrt(sizes) if self.balance == "sqrt" else np.ones(len(sizes)), rng
        )
        # The cells of a perturbation come in shuffled rounds, so that none is seen twice before all are seen once.
        turn = np.arange(places.sum()) - np.repeat(np.cumsum(places) - places, places)
        drawn = np.repeat(starts, places) + turn % np.repeat(sizes, places)
        return rng.permutation(self.perturbed[by_label[drawn]])


def _shared_out(total: int, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whole numbers in proportion to the weights that sum to ``total``, each rounded up or down at random."""
    ends = np.cumsum(weights / weights.sum()) * total
    ends[-1] = total
    offset = rng.random()
    return np.diff(np.floor(np.concatenate([[0.0], ends]) + offset)).astype(int)


def in_order(rows: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """The rows as they are, ``batch_size`` at a time; the last batch may be smaller."""
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]
