"""Controls that are like given cells: what a cell might have been, had nothing been done to it.

Likeness is distance in the background space, each feature in standard deviations of the controls: a control of the same
size, stage and density, imaged alike. It is looked for in the cell's own batch, if that has controls enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ENOUGH = 30
"""Controls of a batch; with fewer, those of all batches are looked through."""
_AT_ONCE = 1 << 22
"""Distances that are held, 32 MiB."""
Matrix = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Controls:
    """Controls to choose among.

    Attributes:
        rows: (M,) rows of the table of cells.
        values: (M, Z) background, in standard deviations of the controls.
        batch: (M,) numbers of batches.
    """

    rows: Rows
    values: Matrix
    batch: NDArray[np.intp]

    def near(self, batch: int) -> tuple[Rows, bool]:
        """Positions of the controls that stand for a batch: its own if they are enough, else all; and which it was."""
        own = np.flatnonzero(self.batch == batch)
        return (own, True) if len(own) >= ENOUGH else (np.arange(len(self.rows)), False)


@dataclass(frozen=True)
class Matched:
    """What was found for B cells.

    Attributes:
        control: (B,) rows of the matched controls.
        distance: (B,) in standard deviations of the controls.
        other: (B,) rows of controls drawn at random where the matched one was looked for.
        own_batch: (B,) whether that was the cell's own batch.
    """

    control: Rows
    distance: Matrix
    other: Rows
    own_batch: NDArray[np.bool_]


def matched_controls(
    values: Matrix, batch: NDArray[np.intp], card: NDArray[np.intp], controls: Controls, *, seed: int = 0
) -> Matched:
    """The nearest control of each cell; none is shown twice on one card, as long as there are others.

    Args:
        values: (B, Z) background of the cells, in the units of the controls.
        batch: (B,) their batches.
        card: (B,) which cells are shown together; those that come first choose first.
        controls: M of them, one at least.
        seed: Of the controls drawn at random.
    """
    random, found = np.random.default_rng(seed), _empty(len(values))
    many = int(np.bincount(card).max(initial=0))
    candidates: list[Rows] = [np.empty(0, dtype=np.intp)] * len(values)
    for number in np.unique(batch):
        inside = np.flatnonzero(batch == number)
        positions, own = controls.near(int(number))
        found.own_batch[inside] = own
        found.other[inside] = controls.rows[random.choice(positions, len(inside))]
        for cells, nearest in _nearest(values, inside, controls.values[positions], many):
            for cell, order in zip(cells, nearest, strict=True):
                candidates[cell] = positions[order]
    taken: dict[int, set[int]] = {}
    for cell, order in enumerate(candidates):
        used = taken.setdefault(int(card[cell]), set())
        free = [position for position in order if position not in used] or [order[0]]
        used.add(free[0])
        found.control[cell] = controls.rows[free[0]]
        found.distance[cell] = np.linalg.norm(controls.values[free[0]] - values[cell])
    return found


def _empty(count: int) -> Matched:
    rows = np.zeros(count, dtype=np.intp)
    return Matched(rows, np.zeros(count), rows.copy(), np.zeros(count, dtype=bool))


def _nearest(values: Matrix, cells: Rows, pool: Matrix, many: int) -> list[tuple[Rows, Rows]]:
    """Some cells, and for each the places in the pool of the ``many`` nearest, the nearest first."""
    squares, found = (pool**2).sum(axis=1), []
    step, keep = max(1, _AT_ONCE // len(pool)), min(many, len(pool))
    for start in range(0, len(cells), step):
        some = cells[start : start + step]
        distance = squares - 2 * values[some] @ pool.T  # and |x|^2, which changes no order
        near = np.argpartition(distance, keep - 1, axis=1)[:, :keep]
        order = np.argsort(np.take_along_axis(distance, near, axis=1), axis=1, kind="stable")
        found.append((some, np.take_along_axis(near, order, axis=1)))
    return found
