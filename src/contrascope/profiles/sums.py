"""Sums of cells by guide and batch: all that profiles need, many times smaller than the cells.

    n_cells = number of cells,  obsm[SPACE] = sum of x,  obsm[SPACE_squares] = sum of x^2        (float64)

A row is a guide in a batch. Means of guides and perturbations follow from sums and numbers, standard deviations within
a batch from the squares. Cells come block by block, once, and what is held grows with guides times batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import N_CELLS, ROWS_AT_ONCE, SQUARES, SUMS, dense, group_sums, spaces_of
from contrascope.vocabulary import BATCH, CONTROL, GUIDE, PERTURBATION

Block = tuple[pd.DataFrame, Mapping[str, Any]]
_LABELS = (GUIDE, BATCH, PERTURBATION, CONTROL)


def summed(cells: AnnData | Iterable[Block], *, facts: Mapping[str, Any] | None = None) -> AnnData:
    """Sums of the cells of each guide in each batch; ``profile`` and ``averaged`` take them for the cells themselves.

    Args:
        cells: N cells with ``obs`` columns guide, perturbation, control and maybe batch, embeddings in ``obsm``; or
            blocks of them, each the labels of B cells and their spaces (B, F).
        facts: What stands under ``uns["contrascope"]``; by default what stands there in the cells.

    Returns:
        A row for each guide in each batch, sorted. The very same cells in other blocks differ by rounding alone.

    Raises:
        BenchmarkError: A missing column, or no cells.
    """
    if isinstance(cells, AnnData):
        facts = cells.uns.get("contrascope", {}) if facts is None else facts
        cells = _blocks(cells)
    groups, sums = _Groups(), dict[str, _Sums]()
    for labels, spaces in cells:
        codes = groups.codes(labels)
        for space in spaces_of(spaces):
            values = dense(spaces[space])
            for name, terms in ((space, values), (space + SQUARES, np.square(values))):
                sums.setdefault(name, _Sums(values.shape[1])).add(codes, terms, len(groups))
    obs, order = groups.table()
    found = {name: total.values(len(groups))[order] for name, total in sums.items()}
    result = AnnData(obs=obs, obsm=found)
    result.uns["contrascope"] = dict(facts or {}) | {"holds": SUMS}
    return result


def sums_path(cells: Path) -> Path:
    """Where the sums of the cells in a file lie: beside it."""
    return cells.with_name(f"{cells.stem}.sums{cells.suffix}")


class _Groups:
    """Guides in batches, numbered as they come."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._counts = np.zeros(0, dtype=np.int64)
        self._columns: list[str] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def codes(self, labels: pd.DataFrame) -> NDArray[np.intp]:
        """(B,) group of each cell, counting them."""
        missing = [name for name in _LABELS if name not in labels and name != BATCH]
        if missing:
            raise BenchmarkError(f"The cells lack {', '.join(missing)} in obs; it has {first_few(labels.columns, 8)}.")
        self._columns = [name for name in _LABELS if name in labels]
        together = labels.groupby(self._columns, observed=True, dropna=False, sort=False)
        here = together.ngroup().to_numpy()
        first = np.unique(here, return_index=True)[1]
        keys = labels[self._columns].iloc[first].itertuples(index=False, name=None)
        numbers = np.array([self._numbers.setdefault(key, len(self._numbers)) for key in keys], dtype=np.intp)
        codes = numbers[here]
        self._counts = _grown(self._counts, len(self)) + np.bincount(codes, minlength=len(self))
        return codes

    def table(self) -> tuple[pd.DataFrame, NDArray[np.intp]]:
        """The groups in order, and the order."""
        table = pd.DataFrame(list(self._numbers), columns=self._columns)
        order = table.sort_values(self._columns, kind="stable").index.to_numpy()
        table = table.assign(**{N_CELLS: self._counts}).iloc[order]
        for name in self._columns:
            table[name] = table[name].astype(bool if name == CONTROL else "category")
        return table.set_axis([str(i) for i in range(len(table))], axis=0), order


class _Sums:
    """Sums (groups, F) that grow as groups come."""

    def __init__(self, width: int):
        self._total = np.zeros((0, width))

    def add(self, codes: NDArray[np.intp], values: NDArray[np.float64], groups: int) -> None:
        """Add rows (B, F) to the sums of their groups."""
        if groups > len(self._total):
            self._total = _grown(self._total, max(groups, 3 * len(self._total) // 2))
        here, of_row = np.unique(codes, return_inverse=True)
        self._total[here] += group_sums(values, of_row, len(here))

    def values(self, groups: int) -> NDArray[np.float64]:
        """(groups, F)."""
        return self._total[:groups]


def _blocks(cells: AnnData) -> Iterator[Block]:
    for start in range(0, cells.n_obs, ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        yield cells.obs.iloc[rows], {space: cells.obsm[space][rows] for space in spaces_of(cells.obsm)}


def _grown(values: NDArray[Any], length: int) -> NDArray[Any]:
    """The same values with zeros behind them."""
    return np.concatenate([values, np.zeros((length - len(values), *values.shape[1:]), values.dtype)])
