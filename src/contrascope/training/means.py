"""Means over held-out cells that come in batches, of which each process sees some."""

from __future__ import annotations

import torch
from torch import Tensor

from contrascope.training.distributed import World, from_all


class Means:
    """Sums and numbers of cells, name by name."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, int]] = {}

    def add(self, values: dict[str, Tensor]) -> None:
        """A value for each cell that a name is about; that may be no cell at all."""
        for name, x in values.items():
            total, n = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + x.detach().sum(dtype=torch.float64), n + len(x))

    def over_all(self, world: World) -> dict[str, float]:
        """The mean of each name over the cells of all processes, the same in each; names without cells are left out."""
        mine = {name: (float(total), float(n)) for name, (total, n) in self._sums.items()}
        every = from_all(world, mine)
        names = dict.fromkeys(name for one in every for name in one)
        sums = {name: [one[name] for one in every if name in one] for name in names}
        cells = {name: sum(n for _, n in found) for name, found in sums.items()}
        return {name: sum(total for total, _ in sums[name]) / n for name, n in cells.items() if n}
