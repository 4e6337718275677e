"""Guides beside control guides of as many cells.

How far a guide lies from controls by chance falls with the number of its cells. So a perturbation's guides are compared
with control guides that are drawn down to as many: each of its k guides opens a slot of its own number of cells, and
every guide, the control guides and its sisters, has a value for each slot,

    V[g, i] = statistic of guide g with the cells of slot i        k + G guides, k slots

A guide with fewer cells than a slot has is taken for as many standard deviations from the mean of the control guides
as it is with the cells that it has. Numbers of cells come in steps of 2^(1/4), down from the one that half of all
guides have: no guide is drawn down by more than a sixth, and those of half of all guides and more are as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from contrascope.benchmarks.comparisons import MIN_CELLS

Values = NDArray[np.float64]


def steps_of_cells(most: int) -> list[int]:
    """Numbers of cells of a slot, the largest first, the smallest the fewest that are compared at all."""
    steps = {int(most / 2 ** (j / 4)) for j in range(4 * most.bit_length() + 1)}
    return sorted((n for n in steps | {MIN_CELLS} if MIN_CELLS <= n <= most), reverse=True)


class MatchedGuides:
    """Values of guides in one space, computed as they are asked for.

    Args:
        step: Guide -> the largest number of cells, of ``steps_of_cells``, that it has.
        controls: Which guides are control guides.
        value: The statistic of a guide drawn down to so many cells.
    """

    def __init__(self, step: dict[int, int], controls: Sequence[int], value: Callable[[int, int], float]):
        self._step, self._controls, self._value = step, controls, value
        self._known: dict[tuple[int, int], float] = {}
        self._scales: dict[int, tuple[float, float]] = {}
        self._of_controls: dict[int, Values] = {}

    def own(self, guides: Sequence[int]) -> Values:
        """(k,) values of some guides with all the cells that they may have."""
        return np.array([self._measured(guide, self._step[guide]) for guide in guides])

    def in_slots(self, guides: Sequence[int]) -> Values:
        """(k + G, k) values of a perturbation's guides and of the control guides in the slots of the former."""
        slots = [self._step[guide] for guide in guides]
        sisters = np.array([[self._in_slot(guide, cells) for cells in slots] for guide in guides])
        return np.concatenate([sisters, np.stack([self._controls_in(cells) for cells in slots], axis=1)])

    def _controls_in(self, cells: int) -> Values:
        if cells not in self._of_controls:
            self._of_controls[cells] = np.array([self._in_slot(guide, cells) for guide in self._controls])
        return self._of_controls[cells]

    def _in_slot(self, guide: int, cells: int) -> float:
        here = self._step[guide]
        if here >= cells:
            return self._measured(guide, cells)
        (mean, spread), (wanted_mean, wanted_spread) = self._scale(here), self._scale(cells)
        away = (self._measured(guide, here) - mean) / spread if spread > 0 else 0.0
        return wanted_mean + wanted_spread * away

    def _scale(self, cells: int) -> tuple[float, float]:
        """Mean and standard deviation of the control guides that have so many cells."""
        if cells not in self._scales:
            found = [self._measured(guide, cells) for guide in self._controls if self._step[guide] >= cells]
            self._scales[cells] = float(np.mean(found)), float(np.std(found))
        return self._scales[cells]

    def _measured(self, guide: int, cells: int) -> float:
        if (guide, cells) not in self._known:
            self._known[guide, cells] = self._value(guide, cells)
        return self._known[guide, cells]
