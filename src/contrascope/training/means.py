"""Means over held-out cells that come in batches, of which each process sees some."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from contrascope.training.distributed import World, gathered


class Means:
    """Sums and numbers of cells, name by name."""

    def __init__(self) -> None:
        self._sums: dict[str, list[tuple[Tensor, int]]] = {}

    def add(self, values: dict[str, Tensor]) -> None:
        """(B, ...) values of the cells that a name is about; that may be no cell at all."""
        for name, x in values.items():
            if len(x):
                self._sums.setdefault(name, []).append((x.detach().float().sum(0), len(x)))

    def over_all(self, world: World) -> dict[str, np.ndarray]:
        """(...) mean of each name over the cells of all processes, the same in each; without cells there is none."""
        every = gathered(world, {name: _added(parts) for name, parts in self._sums.items()})
        names = dict.fromkeys(name for one in every for name in one)
        totals = {name: [one[name] for one in every if name in one] for name in names}
        return {
            name: np.sum([total for total, _ in found], axis=0) / sum(n for _, n in found)
            for name, found in totals.items()
        }


def _added(parts: list[tuple[Tensor, int]]) -> tuple[np.ndarray, int]:
    totals = torch.stack([total for total, _ in parts]).cpu().double()
    return totals.sum(0).numpy(), sum(n for _, n in parts)
