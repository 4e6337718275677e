"""Cells to show of each perturbation, and controls to show beside them.

    marked    around the 85th percentile of (x - controls) . u, with u the perturbation's effect in both spaces
    typical   nearest to the mean of the perturbation's cells in the salient space

Where only some cells answer to a perturbation, their mean lies between those that do and those that do not, and the
cells nearest to it show little: so marked cells come first, and typical ones after them. In standard deviations of the
controls,

    u = w d,   w = max(0, 1 - margin noise / |d|^2)   for each space,   noise = F (1 / n + 1 / n_controls)

with d the difference of means: what may be noise has no weight, so that a perturbation without a visible effect has no
direction, and no marked cells either. Whatever direction is chosen, cells far along it have something in common; that
it is more than chance is not for pictures to say.

Outliers are not shown: cells farther from the perturbation's mean background than nine in ten of its cells. Cells are
read a block at a time, twice, and once more for those that are shown; two numbers a cell are held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError
from contrascope.profiles.aggregate import dense, flags, group_sums, need_labels, numbered
from contrascope.profiles.blocks import Cells, OpenedCells, opened
from contrascope.profiles.matching import Controls, matched_controls
from contrascope.profiles.normalize import ROUNDING
from contrascope.vocabulary import BACKGROUND, BATCH, CONTROL, PERTURBATION, SALIENT

TYPICAL, MARKED = "typical", "marked"
MOST_CONTROLS = 50_000
"""Controls that are looked through for a match, drawn at random."""
_INSIDE, _MARKED_AT = 0.9, 0.85
COLUMNS = (PERTURBATION, "kind", "place", "row", "control", "distance", "own_batch", "other", "random")
Matrix = NDArray[np.float64]
Rows = NDArray[np.intp]
Column = NDArray[np.float32]


def examples(cells: Cells, *, typical: int = 2, marked: int = 6, seed: int = 0) -> pd.DataFrame:
    """Which cells stand for each perturbation, with their controls.

    Args:
        cells: N cells, in memory or in a file, with ``obsm["background"]`` and maybe ``obsm["salient"]``.
        typical: Cells nearest to the mean, of each perturbation.
        marked: Cells well along its effect; where it has no direction, as many more typical ones.
        seed: Of the cells and controls drawn at random.

    Returns:
        A row a cell: perturbation; kind, "marked" before "typical"; place on its card, from 0; row; control, the row of
        the control matched in the background, its distance in standard deviations of the controls, own_batch whether it
        is of the cell's batch; other, the row of a control drawn at random; random, the row of a cell of the
        perturbation drawn at random, which says how many of its cells answer.

    Raises:
        BenchmarkError: No controls, nothing but controls, or no background space.
    """
    with opened(cells) as everything:
        found = _with_spaces(everything)
        numbers, (_, *names) = numbered(_perturbed(found))
        seen = _Seen.of(found, numbers, len(names))
        near, off, along = seen.judged(found, numbers)
        order = np.argsort(numbers, kind="stable")
        ends = np.searchsorted(numbers[order], np.arange(1, len(names) + 1))  # 0 are the controls
        cards = []
        for number, start in enumerate(ends, start=1):
            rows = order[start : ends[number] if number < len(ends) else len(order)]
            count = marked if seen.moves_cells(number) else 0
            card = _chosen(rows, near[rows], off[rows], along[rows], typical + marked - count, count)
            random = np.random.default_rng([seed, number]).choice(rows, len(card), replace=False)
            cards.append(card.assign(random=random))
        rows = np.concatenate([card["row"] for card in cards])
        table = pd.concat([card.assign(**{PERTURBATION: name}) for card, name in zip(cards, names, strict=True)])
        card_of = np.repeat(np.arange(len(cards)), [len(card) for card in cards])
        return _with_controls(table.reset_index(drop=True), rows, card_of, found, numbers == 0, seen, seed)


@dataclass(frozen=True)
class _Seen:
    """Where controls (row 0) and perturbations (rows 1 ... K) lie, space by space.

    Attributes:
        mean: Space -> (K + 1, F).
        spread: Space -> (F,) standard deviation of the controls, 1 where they do not vary.
        effect: Space -> (K + 1, F) u of the module's heading, in standard deviations.
    """

    mean: dict[str, Matrix]
    spread: dict[str, Matrix]
    effect: dict[str, Matrix]

    @staticmethod
    def of(cells: OpenedCells, numbers: Rows, perturbations: int) -> _Seen:
        """From one pass over the cells."""
        count = np.bincount(numbers, minlength=perturbations + 1)
        sums = {space: np.zeros((len(count), matrix.shape[1])) for space, matrix in cells.spaces.items()}
        squares = {space: np.zeros(matrix.shape[1]) for space, matrix in cells.spaces.items()}
        origin: dict[str, Matrix] = {}  # a control, near which squares lose no digits
        for inside, block in _blocks(cells, numbers):
            for space, values in block.items():
                sums[space] += group_sums(values, inside, len(count))
                controls = values[inside == 0]
                if len(controls):
                    away = controls - origin.setdefault(space, controls[0].copy())
                    squares[space] += (away**2).sum(axis=0)
        mean = {space: values / count[:, None] for space, values in sums.items()}
        spread = {space: _spread(squares[space] / count[0], mean[space][0], origin[space]) for space in mean}
        effect = {space: _effect((mean[space] - mean[space][0]) / spread[space], count) for space in mean}
        return _Seen(mean, spread, effect)

    @property
    def home(self) -> str:
        """The space in which a cell is typical."""
        return SALIENT if SALIENT in self.mean else BACKGROUND

    def moves_cells(self, number: int) -> bool:
        """Whether a perturbation moves cells anywhere."""
        return any(bool(effect[number].any()) for effect in self.effect.values())

    def judged(self, cells: OpenedCells, numbers: Rows) -> tuple[Column, ...]:
        """(N,) each: distance from the mean at home, from the mean background, and the way along the effect."""
        near, off, along = (np.zeros(len(numbers), dtype=np.float32) for _ in range(3))
        start = 0
        for inside, block in _blocks(cells, numbers):
            rows = slice(start, start + len(inside))
            start = rows.stop
            near[rows] = np.linalg.norm(block[self.home] - self.mean[self.home][inside], axis=1)
            scaled = (block[BACKGROUND] - self.mean[BACKGROUND][inside]) / self.spread[BACKGROUND]
            off[rows] = np.linalg.norm(scaled, axis=1)
            for space, values in block.items():
                moved = (values - self.mean[space][0]) / self.spread[space]
                along[rows] += (moved * self.effect[space][inside]).sum(axis=1)
        return near, off, along


def _with_spaces(cells: OpenedCells) -> OpenedCells:
    need_labels(cells.labels.columns)
    spaces = {name: cells.spaces[name] for name in (BACKGROUND, SALIENT) if name in cells.spaces}
    if BACKGROUND not in spaces:
        raise BenchmarkError("Controls are matched in the background space; obsm has no background. Embed the cells.")
    control = flags(cells.labels[CONTROL])
    if not control.any() or control.all():
        raise BenchmarkError(
            f"{int(control.sum()):,} of {len(control):,} cells are controls; perturbed cells, and controls to show "
            "beside them, were needed."
        )
    return replace(cells, spaces=spaces)


def _perturbed(cells: OpenedCells) -> pd.Series:
    """The perturbation of each cell, that of controls being the empty text, which sorts first."""
    names = cells.labels[PERTURBATION].astype(str).astype(object)
    return names.where(~flags(cells.labels[CONTROL]), "").rename(PERTURBATION)


def _blocks(cells: OpenedCells, numbers: Rows) -> Iterator[tuple[Rows, dict[str, Matrix]]]:
    """Each block's perturbations (B,), and its spaces (B, F)."""
    start = 0
    for labels, block in cells.blocks():
        yield (
            numbers[start : start + len(labels)],
            {space: dense(values, space=space) for space, values in block.items()},
        )
        start += len(labels)


def _spread(squares: Matrix, mean: Matrix, origin: Matrix) -> Matrix:
    """(F,) standard deviations, from mean squares about an origin; 1 where they are rounding."""
    deviation = np.sqrt(np.maximum(squares - (mean - origin) ** 2, 0))
    return np.where(deviation > ROUNDING * np.abs(mean), deviation, 1.0)


def _effect(difference: Matrix, count: NDArray[np.intp]) -> Matrix:
    """(K + 1, F) differences in standard deviations, each shrunk by what noise would make of it."""
    features = difference.shape[1]
    noise = features * (1 / count + 1 / count[0])
    margin = 1 + 3 * np.sqrt(2 / features)  # three standard deviations of |d|^2 / noise
    squares, by_chance = (difference**2).sum(axis=1), margin * noise
    return (1 - by_chance / np.maximum(squares, by_chance))[:, None] * difference


def _chosen(rows: Rows, near: Column, off: Column, along: Column, typical: int, marked: int) -> pd.DataFrame:
    """The cells of one card: no outliers, as long as there are others."""
    left_out = np.where(off <= np.quantile(off, _INSIDE), 0.0, np.inf)
    first = np.argsort(near + left_out, kind="stable")[:typical]
    from_mark = np.abs(along - np.quantile(along, _MARKED_AT)) + left_out
    second = [i for i in np.argsort(from_mark, kind="stable")[: typical + marked] if i not in set(first)][:marked]
    chosen = [*second, *first]
    kinds = [MARKED] * len(second) + [TYPICAL] * len(first)
    return pd.DataFrame({"kind": kinds, "place": np.arange(len(chosen)), "row": rows[chosen]})


def _with_controls(
    table: pd.DataFrame,
    rows: Rows,
    card: Rows,
    cells: OpenedCells,
    control: NDArray[np.bool_],
    seen: _Seen,
    seed: int,
) -> pd.DataFrame:
    """The table of cells, with a matched control and one at random for each."""
    batch = pd.factorize(cells.labels[BATCH])[0] if BATCH in cells.labels else np.zeros(len(control), dtype=np.intp)
    pool = np.flatnonzero(control)
    if len(pool) > MOST_CONTROLS:
        pool = np.sort(np.random.default_rng(seed).choice(pool, MOST_CONTROLS, replace=False))
    values = _background_of(cells, np.concatenate([rows, pool])) / seen.spread[BACKGROUND]
    controls = Controls(pool, values[len(rows) :], batch[pool])
    found = matched_controls(values[: len(rows)], batch[rows], card, controls, seed=seed)
    table["control"], table["other"] = found.control, found.other
    table["distance"], table["own_batch"] = found.distance, found.own_batch
    return table[list(COLUMNS)]


def _background_of(cells: OpenedCells, rows: Rows) -> Matrix:
    """(B, Z) of some rows, in their order, in one more pass."""
    wanted = np.zeros((len(rows), cells.spaces[BACKGROUND].shape[1]))
    order, start = np.argsort(rows, kind="stable"), 0
    for labels, block in replace(cells, spaces={BACKGROUND: cells.spaces[BACKGROUND]}).blocks():
        low, high = np.searchsorted(rows[order], [start, start + len(labels)])
        wanted[order[low:high]] = dense(block[BACKGROUND])[rows[order[low:high]] - start]
        start += len(labels)
    return wanted
