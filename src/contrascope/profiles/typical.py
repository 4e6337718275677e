"""Cells that stand for a perturbation: those nearest to the mean of its cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import dense
from contrascope.vocabulary import PERTURBATION


def typical_cells(
    cells: AnnData, perturbations: Sequence[str], *, space: str, count: int = 1
) -> list[NDArray[np.intp]]:
    """Rows of the cells nearest to the mean of their perturbation.

    Args:
        cells: N cells with ``obs["perturbation"]``.
        perturbations: Names.
        space: Key of ``obsm`` in which distance is taken.
        count: Cells of each perturbation, at most.

    Returns:
        For each perturbation (count,) rows, the nearest first; fewer where it has fewer cells.

    Raises:
        BenchmarkError: A perturbation has no cells.
    """
    names = cells.obs[PERTURBATION].astype(str).to_numpy()
    if missing := sorted(set(perturbations) - set(names)):
        raise BenchmarkError(f"There are no cells of {first_few(missing)}.")
    found = []
    for name in perturbations:
        rows = np.flatnonzero(names == name)
        x = dense(cells.obsm[space][rows])
        distance = np.linalg.norm(x - x.mean(axis=0), axis=1)
        found.append(rows[np.argsort(distance, kind="stable")[:count]])
    return found
