"""Which cells are compared with which controls.

A perturbation's cells stand against controls of the same batches, at most ``CONTROLS_PER_CELL`` for each in each
batch. Cells are chosen in the order of their names by a generator that knows the seed and the group's name alone: the
order of rows changes nothing, nor does what else is in the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrascope.benchmarks.selection import need_column, texts
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import flags, need_labels, rows_by_name
from contrascope.vocabulary import BATCH, CONTROL, GUIDE, PERTURBATION

CONTROLS_PER_CELL = 4
MIN_CELLS = 5
"""Cells of a group, and controls to compare them with."""
PERTURBED, CONTROL_GUIDE = "perturbation", "control guide"
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Comparison:
    """Some cells and the controls that they are compared with.

    Attributes:
        rows: (N,) in the table.
        perturbed: (N,) true for the cells, false for the controls.
        batch: (N,) within which labels may be permuted.
    """

    rows: Rows
    perturbed: NDArray[np.bool_]
    batch: NDArray[np.intp]

    @property
    def n(self) -> int:
        """Number of cells that are compared with controls."""
        return int(self.perturbed.sum())


@dataclass(frozen=True)
class Cast:
    """Every cell's labels as numbers, in the order of the cells' names.

    Attributes:
        order: (N,) rows of the table.
        control: (N,) bool, as all below in that order.
        perturbation, guide, batch: (N,) numbers into the names.
        perturbations: Names; those of controls among them.
        guides: Names, with the perturbation before a slash.
        seed: Of all choices.
    """

    order: Rows
    control: NDArray[np.bool_]
    perturbation: Rows
    guide: Rows
    batch: Rows
    perturbations: list[str]
    guides: list[str]
    seed: int

    @cached_property
    def cells_of_guide(self) -> list[Rows]:
        """Places of each guide's cells."""
        return _places(self.guide, len(self.guides))

    @cached_property
    def cells_of_perturbation(self) -> list[Rows]:
        """Places of each perturbation's cells."""
        return _places(self.perturbation, len(self.perturbations))

    @cached_property
    def controls_in_batch(self) -> list[Rows]:
        """Places of the controls of each batch."""
        controls = np.flatnonzero(self.control)
        return [controls[places] for places in _places(self.batch[controls], int(self.batch.max()) + 1)]

    @property
    def has_both_in_a_batch(self) -> bool:
        """Whether some batch holds controls and other cells."""
        return bool(np.isin(self.batch[self.control], self.batch[~self.control]).any())

    @cached_property
    def guides_of_perturbation(self) -> dict[int, list[int]]:
        """Guides of each perturbation that is no control."""
        found: dict[int, list[int]] = {}
        for guide, places in enumerate(self.cells_of_guide):
            if not self.control[places[0]]:
                found.setdefault(int(self.perturbation[places[0]]), []).append(guide)
        return found

    @cached_property
    def control_guides(self) -> list[int]:
        """Guides of controls."""
        return [guide for guide, places in enumerate(self.cells_of_guide) if self.control[places[0]]]

    def generator(self, what: str) -> np.random.Generator:
        """A generator for one thing, whatever else there is."""
        return np.random.default_rng([self.seed, crc32(what.encode())])

    def some_controls(self, most: int) -> Rows:
        """At most so many rows of controls."""
        controls = np.flatnonzero(self.control)
        if len(controls) > most:
            controls = np.sort(self.generator("controls").choice(controls, most, replace=False))
        return self.order[controls]

    def of_perturbation(self, number: int, most: int) -> Comparison | None:
        """A perturbation's cells against controls."""
        return self._against_controls(
            self.cells_of_perturbation[number], f"{PERTURBED} {self.perturbations[number]}", most
        )

    def of_guide(self, number: int, most: int) -> Comparison | None:
        """A guide's cells against controls; those of a control guide against the other control guides'."""
        return self._against_controls(self.cells_of_guide[number], f"guide {self.guides[number]}", most, number)

    def _against_controls(self, cells: Rows, name: str, most: int, guide: int = -1) -> Comparison | None:
        """At most so many of the cells and controls of their batches; None where either are too few."""
        generator = self.generator(name)
        pools = {b: self._pool(b, guide) for b in np.unique(self.batch[cells]).tolist()}
        cells = cells[np.isin(self.batch[cells], [b for b, pool in pools.items() if len(pool)])]
        if len(cells) > most:
            cells = np.sort(generator.choice(cells, most, replace=False))
        wanted = CONTROLS_PER_CELL * np.bincount(self.batch[cells], minlength=int(self.batch.max()) + 1)
        drawn = [generator.permutation(pool)[: wanted[b]] for b, pool in pools.items()]
        controls = np.sort(np.concatenate(drawn)) if drawn else cells[:0]
        if min(len(cells), len(controls)) < MIN_CELLS:
            return None
        places = np.concatenate([cells, controls])
        return Comparison(self.order[places], np.arange(len(places)) < len(cells), self.batch[places])

    def _pool(self, batch: int, guide: int) -> Rows:
        controls = self.controls_in_batch[batch]
        return controls[self.guide[controls] != guide]


def cast_of(obs: pd.DataFrame, *, within: str, seed: int) -> tuple[Cast, list[str]]:
    """The table's cells as numbers, and notes.

    Args:
        obs: N cells with perturbation, guide and control (bool).
        within: Column of batches; "batch" may be missing, then all cells are one batch.

    Raises:
        BenchmarkError: A missing column or label, no controls, nothing but controls, a perturbation that is both.
    """
    need_labels(obs.columns)
    if within != BATCH:
        need_column(obs, within, what="hits")
    notes = []
    if not obs.index.is_unique:
        notes.append("Cells share names, so which of them are looked at follows the order of rows.")
    order = rows_by_name(obs.index)
    obs = obs.iloc[order]
    control = flags(obs[CONTROL])
    perturbation, perturbations = _numbered(obs, PERTURBATION)
    guide, guides = _numbered(obs, GUIDE)
    _refuse_mixed(control, perturbation, perturbations)
    # Guides of one name in two perturbations are two guides.
    pair, guide = np.unique(perturbation * len(guides) + guide, return_inverse=True)
    names = [f"{perturbations[p // len(guides)]}/{guides[p % len(guides)]}" for p in pair]
    batch = _numbered(obs, within)[0] if within in obs else np.zeros(len(obs), dtype=np.intp)
    return Cast(order, control, perturbation, guide, batch, perturbations, names, seed), notes


def _numbered(obs: pd.DataFrame, column: str) -> tuple[Rows, list[str]]:
    if missing := int(obs[column].isna().sum()):
        raise BenchmarkError(f"{missing:,} of {len(obs):,} cells have no {column}. Drop them, or say what they have.")
    names, numbers = np.unique(texts(obs[column]).astype(str), return_inverse=True)
    return numbers.astype(np.intp), names.tolist()


def _refuse_mixed(control: NDArray[np.bool_], perturbation: Rows, names: list[str]) -> None:
    if control.all() or not control.any():
        raise BenchmarkError(
            f"{int(control.sum()):,} of {len(control):,} cells are controls. Both kinds of cells were needed: name the "
            "control label of the screen, so that obs['control'] is true for its cells alone."
        )
    share = np.bincount(perturbation, weights=control) / np.bincount(perturbation)
    if mixed := [names[i] for i in np.flatnonzero((share > 0) & (share < 1))]:
        raise BenchmarkError(f"{first_few(mixed)}: control in some cells and not in others. Name the controls apart.")


def _places(codes: Rows, count: int) -> list[Rows]:
    """Where each of so many numbers stands, in order."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=count))[:-1])


def lost_cells(cast: Cast) -> Iterator[str]:
    """A note on cells in batches without controls."""
    empty = np.array([len(controls) == 0 for controls in cast.controls_in_batch])
    if lost := int(empty[cast.batch].sum()):
        yield f"{lost:,} of {len(cast.batch):,} cells are in batches without controls and were left out."
