"""Which rows share a batch: as many controls as perturbed cells, every perturbed cell once an epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


class BalancedBatches:
    """Batches of row numbers, the first half perturbed cells and the second half controls.

    An epoch shows every perturbed cell once, but for a rest that fills no batch. Controls are drawn in
    shuffled rounds, so each is seen equally often, whichever group is larger.

    Args:
        labels: (N,) perturbation of each cell, 0 control.
        rows: Rows that may be drawn.
        batch_size: Cells a batch, even.
        seed: With the epoch, it decides everything.
    """

    def __init__(self, labels: np.ndarray, rows: np.ndarray, *, batch_size: int, seed: int):
        control = labels[rows] == 0
        self.controls, self.perturbed = rows[control], rows[~control]
        # A screen smaller than a batch is one batch.
        self.half = min(batch_size // 2, len(self.perturbed))
        self.seed = seed

    def __len__(self) -> int:
        return len(self.perturbed) // self.half

    def epoch(self, number: int) -> Iterator[np.ndarray]:
        """(batch_size,) rows of each batch of an epoch."""
        rng = np.random.default_rng([self.seed, number])
        perturbed = rng.permutation(self.perturbed)
        needed = len(self) * self.half
        rounds = -(-needed // len(self.controls))
        controls = np.concatenate([rng.permutation(self.controls) for _ in range(rounds)])[:needed]
        for start in range(0, needed, self.half):
            part = slice(start, start + self.half)
            yield np.concatenate([perturbed[part], controls[part]])


def in_order(rows: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """The rows as they are, ``batch_size`` at a time; the last batch may be smaller."""
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]
