"""How cells were imaged, as levels that a model can be told: a column of the cell table a kind.

Text and whole numbers are levels as they stand: a batch, a tile. Fractions, such as how far a cell lies from the middle
of its tile, are cut where an eighth of the cells lies between two cuts.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from contrascope.errors import StoreError, first_few
from contrascope.store.store import CropStore
from contrascope.vocabulary import Batch

_PARTS = 8
MOST_LEVELS = 10_000
"""Of a column: one with more says which cell it is, not how it was imaged."""

Kind = list[str] | list[float]
"""Levels of a column by name, or where it is cut."""


class Technical(nn.Module):
    """Levels of F technical columns, for the cells of a store once it is bound to one.

    Args:
        columns: Column -> names of its levels; or, of a column of fractions, the values between two levels each.
    """

    level_of_row: Tensor | None

    def __init__(self, columns: dict[str, Kind]):
        super().__init__()
        self.columns = columns
        self.register_buffer("level_of_row", None, persistent=False)

    @property
    def levels(self) -> list[int]:
        """How many levels each column has."""
        return [len(kind) + 1 if _cut(kind) else len(kind) for kind in self.columns.values()]

    def bound(self, store: CropStore) -> Technical:
        """The same for the cells of a store.

        Raises:
            StoreError: The store has no such column, cells without a value, or levels that are not known.
        """
        made = Technical(self.columns)
        found = [_levels(store, name, kind) for name, kind in self.columns.items()]
        made.level_of_row = torch.from_numpy(np.stack(found, axis=1))
        return made

    def batch(self, batch: Batch) -> Batch:
        """The same batch with the levels of its cells."""
        return batch._replace(technical=self(batch.rows))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, F) int64 levels of the cells in (B,) rows of the store it is bound to."""
        assert self.level_of_row is not None, "bind it to a store first"
        return self.level_of_row[rows].long()

    def without(self, rows: np.ndarray) -> dict[str, list[str]]:
        """Column -> its levels that other cells have and none in these rows; columns without such levels left out."""
        lacking = {name: np.setdiff1d(levels, levels[rows]) for name, levels in self._bound().items()}
        return {name: np.asarray(self.names(name))[levels].tolist() for name, levels in lacking.items() if len(levels)}

    def having(self, levels: dict[str, list[str]]) -> np.ndarray:
        """(N,) whether a cell has one of these levels of any of these columns."""
        bound = self._bound()
        numbers = {name: np.flatnonzero(np.isin(self.names(name), wanted)) for name, wanted in levels.items()}
        found = [np.isin(bound[name], wanted) for name, wanted in numbers.items()]
        return np.any(found, axis=0) if found else np.zeros(len(next(iter(bound.values()))), dtype=bool)

    def _bound(self) -> dict[str, np.ndarray]:
        """Column -> (N,) level of each cell of the store it is bound to."""
        assert self.level_of_row is not None, "bind it to a store first"
        return dict(zip(self.columns, self.level_of_row.numpy().T, strict=True))

    def names(self, column: str) -> list[str]:
        """What the levels of a column are called; the parts of one of fractions go by their order."""
        kind = self.columns[column]
        parts = len(kind) + 1
        return [f"part {i + 1} of {parts}" for i in range(parts)] if _cut(kind) else [str(level) for level in kind]

    def state(self) -> dict[str, Kind]:
        """Its argument, as JSON can hold it."""
        return self.columns


def measured_technical(store: CropStore, names: list[str]) -> Technical:
    """The levels that a store's cells have.

    Args:
        store: The cells.
        names: Columns of its cell table.

    Raises:
        StoreError: There is no such column, or cells lack a value, there are more than 10,000 levels, or a level says
            which perturbation a cell has.
    """
    return Technical({name: _kind(store, name) for name in names})


def _kind(store: CropStore, name: str) -> Kind:
    values = _column(store, name)
    if values.dtype.is_float():
        cuts = np.quantile(values.to_numpy(), np.arange(1, _PARTS) / _PARTS)
        return sorted(set(cuts.tolist()))
    levels = values.cast(pl.String).unique().sort().to_list()
    if len(levels) > MOST_LEVELS:
        raise StoreError(
            f"training.technical names {name}, which has {len(levels):,} values in the store {store.path}; "
            f"{MOST_LEVELS:,} is the most. Name columns that many cells share, such as batch or tile."
        )
    if _tells_perturbations(values, store.labels):
        raise StoreError(
            f"training.technical names {name}, and in the store {store.path} all cells of one {name} have the same "
            f"perturbation: a model that is told it is told what was done to a cell, and would put the effect down to "
            f"imaging. Name columns whose levels hold controls and perturbed cells, such as batch or field_distance."
        )
    return levels


def _tells_perturbations(levels: pl.Series, labels: np.ndarray) -> bool:
    """Whether each level is of one perturbation alone, or of control, and the cells are not."""
    both = pl.DataFrame({"level": levels, "label": labels})
    of_each = both.group_by("level").agg(pl.col("label").n_unique())["label"]
    return both["label"].n_unique() > 1 and of_each.max() == 1


def _levels(store: CropStore, name: str, kind: Kind) -> np.ndarray:
    """(N,) int32 level of each cell."""
    values = _column(store, name)
    if _cut(kind):
        return np.searchsorted(np.asarray(kind, float), values.to_numpy(), side="right").astype(np.int32)
    text = values.cast(pl.String)
    if unknown := sorted(set(text.unique()) - {str(level) for level in kind}):
        raise StoreError(
            f"The run was told of the {name} of each cell, and the store {store.path} has {first_few(unknown)}, which "
            f"it was not trained on. Train on a store that has all."
        )
    return text.replace_strict({level: i for i, level in enumerate(kind)}, return_dtype=pl.Int32).to_numpy()


def _column(store: CropStore, name: str) -> pl.Series:
    """A column in which every cell has a value."""
    if name not in (known := store.column_names):
        raise StoreError(
            f"training.technical, given or of the preset, names {name}, which the cell table of {store.path} does not "
            f"have. It has: {', '.join(known)}. Name those of them that say how a cell was imaged."
        )
    values = store.column(name)
    empty = ~values.is_finite().fill_null(False) if values.dtype.is_float() else values.is_null()
    if lacking := int(empty.sum()):
        raise StoreError(
            f"training.technical names {name}, and {lacking:,} cells of {store.path} have no value there, or an "
            f"infinite one. Give them one in the cell table, or name another column."
        )
    return values


def _cut(kind: Kind) -> bool:
    return bool(kind) and isinstance(kind[0], float)
