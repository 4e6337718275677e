"""What may be read from a cell's embedding of how it was imaged: targets of classes, and of numbers.

- batch: plate + well, over all cells;
- field: innermost against outermost cells of the field of view, within each batch;
- well: cells at the well's edge against central ones (``wells.py``), likewise;
- any column that the user names. Its values are classes, over all cells, or, where it holds more than
  ``MANY_VALUES`` different numbers, numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrascope.benchmarks.wells import label_by_grid, label_by_position
from contrascope.vocabulary import BATCH, FIELD_DISTANCE, PLATE, TILE, TILE_COLUMN, TILE_ROW, WELL

INNERMOST, OUTERMOST = 0.304, 0.811
"""450 and 1,200 px from the centre of the authors' 2,960 px tiles, as shares of the half-width."""
MIN_CELLS = 20
"""Cells a class needs: with fewer, 40 % of them say nothing."""
MOST_CLASSES = 1000
"""Of a column: with more of them, a probe would take hours to learn little."""
MANY_VALUES = 20
"""A column with more different numbers measures something; with fewer, its numbers are as good as names."""
FIELD_TARGET, WELL_TARGET = "field", "well"
Rows = NDArray[np.intp]
Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Classes:
    """A target as classification problems: one over all cells, or one for each batch.

    Attributes:
        name: batch, field, well, or the name of a column.
        problems: Rows of the cells and their classes, 0 ... K - 1.
        macro: F1 is the mean over classes; else that of class 1 (border cells, edge tiles).
    """

    name: str
    problems: list[tuple[Rows, Labels]]
    macro: bool


@dataclass(frozen=True)
class Numbers:
    """A target as one regression problem over all cells.

    Attributes:
        name: Of the column.
        rows: (M,) the cells.
        values: (M,) their numbers, finite.
    """

    name: str
    rows: Rows
    values: NDArray[np.float64]


class NotComputable(Exception):  # noqa: N818
    """Why a target cannot be judged on these cells."""


def batch_target(obs: pd.DataFrame, rows: Rows, *, max_cells: int) -> Classes:
    """Which of all batches is a cell from? Batches with too few cells are left out."""
    return class_target(obs, rows, max_cells=max_cells, column=BATCH)


def column_target(obs: pd.DataFrame, rows: Rows, *, max_cells: int, column: str) -> Classes | Numbers:
    """Which of the values of a column does a cell have; or, of many numbers, what number?"""
    _need(obs, column)
    values = obs[column]
    measured = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if measured and pd.api.types.is_complex_dtype(values):
        raise NotComputable("its numbers are complex")
    if measured and values.nunique() > MANY_VALUES:
        return number_target(obs, rows, max_cells=max_cells, column=column)
    return class_target(obs, rows, max_cells=max_cells, column=column)


def class_target(obs: pd.DataFrame, rows: Rows, *, max_cells: int, column: str) -> Classes:
    """Which of the values of a column does a cell have? Values of too few cells are left out."""
    _need(obs, column)
    rows = rows[:max_cells]
    codes, _ = pd.factorize(obs[column].to_numpy()[rows])
    large = np.bincount(codes[codes >= 0], minlength=1) >= MIN_CELLS
    keep = (codes >= 0) & np.append(large, False)[codes]
    if not 2 <= large.sum() <= MOST_CLASSES:
        raise NotComputable(
            f"{int(large.sum())} value(s) with {MIN_CELLS} cells or more, two to {MOST_CLASSES} were needed"
        )
    return Classes(column, [(rows[keep], np.unique(codes[keep], return_inverse=True)[1])], macro=True)


def number_target(obs: pd.DataFrame, rows: Rows, *, max_cells: int, column: str) -> Numbers:
    """What number does a cell have? Cells without one are left out."""
    values = _numbers(obs, column)
    rows = rows[np.isfinite(values[rows])][:max_cells]
    if len(rows) < 2 * MIN_CELLS or np.ptp(values[rows]) == 0:
        raise NotComputable(
            f"{len(np.unique(values[rows]))} different number(s) in {len(rows):,} cells, several in {2 * MIN_CELLS} "
            "or more were needed"
        )
    return Numbers(column, rows, values[rows])


def field_target(obs: pd.DataFrame, rows: Rows, *, max_cells: int) -> Classes:
    """Is a cell from the centre (0) or the border (1) of its field of view?"""
    _need(obs, BATCH, FIELD_DISTANCE)
    distance = _numbers(obs, FIELD_DISTANCE)
    label = np.where(distance <= INNERMOST, 0, np.where(distance >= OUTERMOST, 1, -1))
    return _within_batches(FIELD_TARGET, obs, rows, label, max_cells)


def well_target(obs: pd.DataFrame, rows: Rows, *, max_cells: int, position: Sequence[str] = ()) -> Classes:
    """Is a cell from the centre (0) or the edge (1) of its well: by the columns of ``position``, or by its tile?"""
    _need(obs, BATCH, *(position or (TILE_ROW, TILE_COLUMN)))
    place = obs.assign(**{name: _numbers(obs, name) for name in position or (TILE_ROW, TILE_COLUMN)})
    label = label_by_position(place, position) if position else label_by_grid(place)
    return _within_batches(WELL_TARGET, obs, rows, label, max_cells)


def tiles_of(obs: pd.DataFrame) -> NDArray[np.intp] | None:
    """(N,) a number for each cell's tile, a number of its own for a cell without one; None if tiles are unknown."""
    for columns in ((PLATE, WELL, TILE), (BATCH, TILE), (BATCH, TILE_ROW, TILE_COLUMN)):
        if all(name in obs and obs[name].notna().any() for name in columns):
            codes = obs.groupby(list(columns), observed=True).ngroup().to_numpy(dtype=float, na_value=np.nan)
            number: NDArray[np.intp] = np.nan_to_num(codes, nan=-1).astype(np.intp)
            alone = number < 0
            number[alone] = number.max() + 1 + np.arange(alone.sum())
            return number
    return None


def _need(obs: pd.DataFrame, *columns: str) -> None:
    missing = [name for name in columns if name not in obs or obs[name].isna().all()]
    if missing:
        raise NotComputable(f"the cells have no {', '.join(missing)}")


def _numbers(obs: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """(N,) a column as numbers, NaN where it has none; texts that are numbers count."""
    values = pd.to_numeric(obs[column].astype(object), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if obs[column].notna().any() and np.isnan(values).all():
        raise NotComputable(f"{column} holds no numbers, but {obs[column].dropna().iloc[0]!r}")
    return values


def _within_batches(target: str, obs: pd.DataFrame, rows: Rows, label: Labels, max_cells: int) -> Classes:
    """A problem for each batch that has enough cells of both classes; -1 is neither."""
    rows = rows[label[rows] >= 0][:max_cells]
    codes, batches = pd.factorize(obs[BATCH].to_numpy()[rows])
    of_batch = [rows[codes == batch] for batch in range(len(batches))]
    problems = [(r, label[r]) for r in of_batch if np.bincount(label[r], minlength=2).min() >= MIN_CELLS]
    if not problems:
        raise NotComputable(f"no batch has {MIN_CELLS} cells on both sides")
    return Classes(target, problems, macro=False)
