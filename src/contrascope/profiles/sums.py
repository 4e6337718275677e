"""Sums of cells by guide and batch: all that profiles need, many times smaller than the cells.

    n_cells = number of cells,  obsm[SPACE] = sum of x,  obsm[SPACE_squares] = sum of x^2        (float64)

A row is a guide in a batch. Means of guides and perturbations follow from sums and numbers, standard deviations within
a batch from the squares, and corrections on controls from the moments of each batch's controls (``moments.py``), which
lie in ``uns["controls"]``. Cells come block by block, once, and what is held grows with guides times batches, and with
the batches that have controls times F^2.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import (
    N_CELLS,
    SQUARES,
    SUMS,
    dense,
    flags,
    group_sums,
    need_labels,
    refuse_shapeless,
    spaces_of,
)
from contrascope.profiles.blocks import Block, Cells, opened
from contrascope.profiles.moments import Gathering, as_stored
from contrascope.vocabulary import BATCH, CONTROL, GUIDE, PERTURBATION

_BITS = {GUIDE: (0, 24), BATCH: (24, 20), PERTURBATION: (44, 17), CONTROL: (61, 2)}
"""First bit and number of bits that a label's number takes in the number of a group."""
ALL_CELLS = "all cells"
"""Name of the one batch of cells that have none."""
CONTROLS = "controls"
"""Key of ``uns`` under which the moments of the controls lie."""


def summed(
    cells: Cells | Iterable[Block],
    *,
    facts: Mapping[str, Any] | None = None,
    batch: str | None = BATCH,
    squares: bool = True,
    controls: bool = True,
) -> AnnData:
    """Sums of the cells of each guide in each batch; ``profile`` and ``averaged`` take them for the cells themselves.

    Args:
        cells: N cells with ``obs`` columns guide, perturbation, control and maybe batch, embeddings in ``obsm``; a
            file of them, which is read a block at a time; or blocks of them, each the labels of B cells and their
            spaces (B, F).
        facts: What stands under ``uns["contrascope"]``; by default what stands there in the cells.
        batch: The column of batches in ``obs``; None takes all cells as one batch.
        squares: Also sum the squares.
        controls: Also gather the moments of the controls of each batch that has some, M x F x F numbers.

    Returns:
        A row for each guide in each batch, sorted. The very same cells in other blocks differ by rounding alone.

    Raises:
        BenchmarkError: A missing column, or no cells.
    """
    if not isinstance(cells, AnnData | str | Path):
        return _summed(cells, facts or {}, squares=squares, controls=controls)
    with opened(cells, batch=batch) as found:
        need_labels(found.labels.columns)
        facts = found.facts if facts is None else facts
        return _summed(found.blocks(), facts, squares=squares, controls=controls)


def sums_path(cells: Path) -> Path:
    """Where the sums of the cells in a file lie: beside it."""
    return cells.with_name(f"{cells.stem}.sums{cells.suffix}")


def _summed(blocks: Iterable[Block], facts: Mapping[str, Any], *, squares: bool, controls: bool) -> AnnData:
    groups, sums, gathering, widened = _Groups(), dict[str, _Sums](), Gathering(), _Widened()
    for labels, spaces in blocks:
        here, of_row = groups.numbered(labels)
        values = {space: widened(spaces[space], space) for space in spaces_of(spaces)}
        for space, x in values.items():
            refuse_shapeless(x, space=space)
            sums.setdefault(space, _Sums(x.shape[1])).add(here, of_row, x)
            if squares:
                sums.setdefault(space + SQUARES, _Sums(x.shape[1])).add(here, of_row, np.square(x))
        control = np.flatnonzero(flags(labels[CONTROL]))
        if controls and len(control):
            gathering.add(groups.batches(labels)[control], {space: x[control] for space, x in values.items()})
    obs, order = groups.table()
    result = AnnData(obs=obs, obsm={name: total.values(len(groups))[order] for name, total in sums.items()})
    result.uns["contrascope"] = dict(facts) | {"holds": SUMS}
    if controls:
        have = {number: name for number, name in groups.batch_names() if number in gathering.batches}
        result.uns[CONTROLS] = as_stored(gathering.moments(list(have)), list(have.values()))
    return result


class _Labels:
    """Labels of one column, numbered as they come; missing ones share a number."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._last: tuple[Any, NDArray[np.int64]] = (None, np.zeros(0, np.int64))

    def numbered(self, column: pd.Series) -> NDArray[np.int64]:
        """(B,) number of each label."""
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes, distinct = column.cat.codes.to_numpy(), column.cat.categories
        else:
            codes, distinct = pd.factorize(column)
        if self._last[0] is not distinct:  # blocks of one table share their categories
            found = [self._numbers.setdefault(label, len(self._numbers)) for label in [*distinct, None]]
            self._last = distinct, np.array(found, dtype=np.int64)
        return self._last[1].take(codes, mode="wrap")  # -1, missing, takes the last

    def sorted(self, numbers: NDArray[np.int64]) -> pd.Categorical:
        """The labels of these numbers; categories are those that are there, in order."""
        names = list(self._numbers)
        used = [number for number in np.unique(numbers).tolist() if names[number] is not None]
        used.sort(key=names.__getitem__)
        codes = np.full(len(names), -1)
        codes[used] = np.arange(len(used))
        return pd.Categorical.from_codes(codes[numbers], pd.Index([names[number] for number in used]))


class _Groups:
    """Guides in batches, numbered as they come."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._labels: dict[str, _Labels] = {}
        self._counts = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._numbers)

    def numbered(self, labels: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """The groups of a block, counting their cells: their numbers (D,), and each cell's place among them (B,)."""
        of_row, keys = pd.factorize(self._keys(labels))
        numbers = self._numbers
        here = np.array([numbers.setdefault(key, len(numbers)) for key in keys.tolist()], dtype=np.int64)
        if len(numbers) > len(self._counts):
            self._counts = _grown(self._counts, 2 * len(numbers))
        self._counts[here] += np.bincount(of_row, minlength=len(here))
        return here, of_row

    def batches(self, labels: pd.DataFrame) -> NDArray[np.int64]:
        """(B,) number of each cell's batch; all 0 where cells have none."""
        return self._labels[BATCH].numbered(labels[BATCH]) if BATCH in labels else np.zeros(len(labels), np.int64)

    def batch_names(self) -> list[tuple[int, str]]:
        """Number and name of each batch that has cells, sorted by name."""
        if BATCH not in self._labels:
            return [(0, ALL_CELLS)]
        numbers = np.unique(self._column(BATCH))
        named = sorted(zip(map(str, self._labels[BATCH].sorted(numbers)), numbers.tolist(), strict=True))
        return [(number, name) for name, number in named]

    def table(self) -> tuple[pd.DataFrame, NDArray[np.intp]]:
        """The groups in order, and the order."""
        if not self._numbers:
            raise BenchmarkError("There are no cells to sum. Give some, with their embeddings in obsm.")
        columns = {name: label.sorted(self._column(name)) for name, label in self._labels.items()}
        order = np.lexsort([np.where(c.codes < 0, len(c.categories), c.codes) for c in reversed(columns.values())])
        table = pd.DataFrame(columns | {N_CELLS: self._counts[: len(self)]}).iloc[order]
        table[CONTROL] = table[CONTROL].astype(bool)
        return table.set_axis([str(i) for i in range(len(table))], axis=0), order

    def _keys(self, labels: pd.DataFrame) -> NDArray[np.int64]:
        """(B,) all labels of a cell as one number."""
        missing = [name for name in _BITS if name not in labels and name != BATCH]
        if missing:
            raise BenchmarkError(f"The cells lack {', '.join(missing)} in obs; it has {first_few(labels.columns, 8)}.")
        keys = np.zeros(len(labels), dtype=np.int64)
        for name, (shift, bits) in _BITS.items():
            if name in labels:
                codes = self._labels.setdefault(name, _Labels()).numbered(labels[name])
                if codes.max(initial=0) >= 2**bits:
                    raise BenchmarkError(
                        f"The cells have {codes.max() + 1:,} labels or more in {name}, and {2**bits:,} is the most. "
                        f"Give the cells in parts, or join labels."
                    )
                keys |= codes << shift
        return keys

    def _column(self, name: str) -> NDArray[np.int64]:
        """(groups,) number of each group's label."""
        shift, bits = _BITS[name]
        return np.fromiter(self._numbers, np.int64, len(self)) >> shift & 2**bits - 1


class _Sums:
    """Sums (groups, F) that grow as groups come."""

    def __init__(self, width: int):
        self._total = np.zeros((0, width))

    def add(self, here: NDArray[np.int64], of_row: NDArray[np.intp], values: NDArray[np.float64]) -> None:
        """Add rows (B, F), which lie so in the groups of these numbers, to their sums."""
        needed = int(here.max(initial=-1)) + 1
        if needed > len(self._total):
            self._total = _grown(self._total, max(needed, 3 * len(self._total) // 2))
        self._total[here] += group_sums(values, of_row, len(here))

    def values(self, groups: int) -> NDArray[np.float64]:
        """(groups, F)."""
        return self._total[:groups]


class _Widened:
    """Blocks as float64, in memory that is used again: fresh memory takes longer to get than to fill."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[np.float64]] = {}

    def __call__(self, matrix: Any, space: str) -> NDArray[np.float64]:
        if not isinstance(matrix, np.ndarray) or matrix.dtype == np.float64:
            return dense(matrix)
        if space not in self._held or len(self._held[space]) < len(matrix):
            self._held[space] = np.empty(matrix.shape)
        held = self._held[space][: len(matrix)]
        held[:] = matrix
        return held


def _grown(values: NDArray[Any], length: int) -> NDArray[Any]:
    """The same values with zeros behind them."""
    return np.concatenate([values, np.zeros((length - len(values), *values.shape[1:]), values.dtype)])
