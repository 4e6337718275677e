"""Two-dimensional maps of embeddings by UMAP, of at most so many cells."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from threadpoolctl import threadpool_limits

from contrascope.config.screen import MAP_CELLS
from contrascope.profiles.spaces import embedding
from contrascope.vocabulary import CELL_ID


def umap_maps(
    cells: AnnData, *, spaces: Sequence[str], columns: Sequence[str], max_cells: int = MAP_CELLS, seed: int = 0
) -> pd.DataFrame:
    """UMAP coordinates of each space, with the columns to colour them by.

    Args:
        cells: N cells with the spaces in ``obsm``.
        spaces: Keys of ``obsm``, or ``combined``.
        columns: Columns of ``obs`` to carry along, as far as they are there.
        max_cells: A random choice of so many cells is mapped.
        seed: Of the choice and of UMAP.

    Returns:
        A row a mapped cell: ``cell_id``, ``SPACE 1`` and ``SPACE 2`` for each space, then the columns.
    """
    rows = mapped_rows(cells.n_obs, max_cells, seed=seed)
    table = {CELL_ID: cells.obs_names[rows].to_numpy()}
    for space in spaces:
        table[f"{space} 1"], table[f"{space} 2"] = _umap(embedding(cells, space)[rows], seed).T
    carried = {name: cells.obs[name].to_numpy()[rows] for name in columns if name in cells.obs}
    return pd.DataFrame(table | carried)


def mapped_rows(count: int, max_cells: int = MAP_CELLS, *, seed: int = 0) -> np.ndarray:
    """Rows of the cells that are mapped, of so many: all, or a random choice of at most ``max_cells``; sorted."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:max_cells])


def _umap(values: np.ndarray, seed: int) -> np.ndarray:
    """(N, 2) coordinates; features in units of their standard deviation."""
    # numba sets the number of OpenMP's threads for all who use them; put back, a training afterwards rounds as before.
    with warnings.catch_warnings(), threadpool_limits(limits=1, user_api="openmp"):
        warnings.simplefilter("ignore")  # numba's and umap's advice on threads and seeds
        import umap

        spread = values.std(0)
        scaled = (values - values.mean(0)) / np.where(spread > 0, spread, 1)
        neighbours = min(15, max(2, len(values) - 1))
        # One thread: with several, equal seeds do not give equal maps.
        return umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(scaled.astype(np.float32))
