"""Centre and spread of each feature in the controls of each batch, and cells in units of them.

    z = (x - centre_b) / spread_b        mean and standard deviation; or median and 1.4826 MAD

Mean and squares of a batch grow block by block, by the update of Chan, Golub and LeVeque (1979), each feature over its
finite values. Medians take the values themselves: those of the controls are held, so many features at a time as
``HELD`` allows, one pass over the cells for each lot. What is not finite becomes 0, the centre of the controls.

Of n controls that mean and deviation are taken from, each lies closer to them than a cell that they are not taken from:
its z^2 is 1 on average, that of the other cell 1 + 4 / n, in normal cells. So a control can be seen from the others
alone, as the other cells are seen from all (``held_out``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrascope.profiles.aggregate import LARGEST, dense
from contrascope.profiles.blocks import OpenedCells, rows_at_once
from contrascope.profiles.corrections import MAD_TO_DEVIATION
from contrascope.progress import track

Values = NDArray[np.float64]
HELD = 1 << 27
"""Values of controls that are held for their medians: 1 GiB."""
NO_SPREAD = 1e-10
"""Of the centre: a spread below it is rounding."""
FARTHEST = 1e15
"""Standard deviations: beyond, a value says that it is beyond."""
_LEAST = 0.25
"""Of a variance, the least that the other controls are taken to have. In normal cells it is never reached; where one
control makes nearly all of it (a rare event among many zeros), it would lie hundreds of deviations away, and principal
components would be about it."""


@dataclass(frozen=True)
class Labelled:
    """Which cells are controls, and of which of M batches.

    Attributes:
        control: (N,).
        batch: (N,) numbers.
        batches: (M,) names.
    """

    control: NDArray[np.bool_]
    batch: NDArray[np.intp]
    batches: list[str]


@dataclass(frozen=True)
class Seen:
    """What a pass over N cells of F features has found.

    Attributes:
        measured: (N,) whether a cell has any finite feature.
        missing: (F,) measured cells in which a feature is not finite.
        n, mean, squares: (M, F) finite values of the controls of each batch: how many, their mean, and the sum of
            squares about it.
    """

    measured: NDArray[np.bool_]
    missing: NDArray[np.int64]
    n: NDArray[np.int64]
    mean: Values
    squares: Values


@dataclass(frozen=True)
class Scales:
    """Of each feature in each batch, (M, F); and of how many controls, where these are a mean and a deviation."""

    centre: Values
    spread: Values
    n: NDArray[np.int64] | None = None

    def of(self, features: NDArray[np.intp]) -> Scales:
        """For these features only."""
        n = None if self.n is None else self.n[:, features]
        return Scales(self.centre[:, features], self.spread[:, features], n)

    def varies(self) -> NDArray[np.bool_]:
        """(M, F) whether the spread is more than rounding, and its inverse has a place in sums of squares."""
        return (self.spread > NO_SPREAD * np.abs(self.centre)) & (self.spread > 1 / LARGEST)

    def standardised(
        self,
        values: Values,
        batch: NDArray[np.intp],
        *,
        control: NDArray[np.bool_] | None = None,
        clip: float | None = None,
    ) -> Values:
        """(B, F) in units of spread; 0 where a value is not finite; controls, where they are told, held out."""
        known = finite(values)
        z = (np.where(known, values, 0.0) - self.centre[batch]) / self.spread[batch]
        if control is not None and self.n is not None:
            z[control] = held_out(z[control], self.n[batch[control]])
        return np.clip(np.where(known, z, 0.0), -(clip or FARTHEST), clip or FARTHEST)


def held_out(z: Values, n: NDArray[np.int64]) -> Values:
    """Controls (B, F), standardised among n, by mean and deviation of the n - 1 others.

        x - m_others = n / (n - 1) (x - m)        s_others^2 = s^2 (n - z^2 n / (n - 1)) / (n - 1)

    s_others is half of s at least, for heavy tails.
    """
    further = n / np.maximum(n - 1, 1)
    variance = further * (1 - z**2 / np.maximum(n - 1, 1))
    return np.asarray(further * z / np.sqrt(np.maximum(variance, _LEAST)))


def finite(values: Values) -> NDArray[np.bool_]:
    """Which values are numbers that have a place in sums of squares."""
    return np.abs(values) <= LARGEST


def blocks(cells: OpenedCells, space: str, label: str) -> Iterator[tuple[slice, Values]]:
    """Rows and values (B, F) of one space, float64, in order."""
    start, total = 0, -(-len(cells.labels) // rows_at_once(cells.spaces.values()))
    for labels, spaces in track(cells.blocks(), label, total):
        rows = slice(start, start + len(labels))
        start = rows.stop
        yield rows, dense(spaces[space])


def seen(cells: OpenedCells, space: str, labelled: Labelled) -> Seen:
    """What there is, in one pass."""
    n, width, m = len(labelled.batch), cells.spaces[space].shape[1], len(labelled.batches)
    found = Seen(
        np.zeros(n, bool), np.zeros(width, np.int64), np.zeros((m, width), np.int64),
        np.zeros((m, width)), np.zeros((m, width)),
    )  # fmt: skip
    for rows, values in blocks(cells, space, "Looking at features"):
        known = finite(values)
        measured = known.any(axis=1)
        found.measured[rows] = measured
        found.missing[:] += measured.sum() - known.sum(axis=0)
        here = np.flatnonzero(labelled.control[rows] & measured)
        batch = labelled.batch[rows][here]
        for number in np.unique(batch).tolist():
            these = here[batch == number]
            _add(found, number, values[these], known[these])
    return found


def _add(found: Seen, number: int, values: Values, known: NDArray[np.bool_]) -> None:
    """The controls of a block, to those of their batch that came before."""
    n = known.sum(axis=0)
    before, total = found.n[number], np.maximum(found.n[number] + n, 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(n, 1)
    apart = np.where(known, values, mean) - mean
    step = mean - found.mean[number]
    found.squares[number] += (apart**2).sum(axis=0) + step**2 * (before * n / total)
    found.mean[number] += step * n / total
    found.n[number] += n


def plain_scales(found: Seen) -> Scales:
    """Mean and standard deviation, with n in the denominator."""
    return Scales(found.mean, np.sqrt(found.squares / np.maximum(found.n, 1)), found.n)


def robust_scales(cells: OpenedCells, space: str, labelled: Labelled) -> Scales:
    """Median and 1.4826 MAD."""
    width, m = cells.spaces[space].shape[1], len(labelled.batches)
    centre, spread = np.full((m, width), np.nan), np.full((m, width), np.nan)
    lot = max(1, HELD // max(1, int(labelled.control.sum())))
    for first in range(0, width, lot):
        columns = slice(first, first + lot)
        held = [values[labelled.control[rows], columns] for rows, values in blocks(cells, space, "Medians of controls")]
        controls, batch = np.concatenate(held), labelled.batch[labelled.control]
        controls[~finite(controls)] = np.nan
        for number in range(m):
            centre[number, columns], spread[number, columns] = _medians(controls[batch == number])
    return Scales(centre, spread)


def _medians(values: Values) -> tuple[Values, Values]:
    """Of each column over its finite values, NaN where it has none."""
    centre, spread = np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    there = np.isfinite(values).any(axis=0)
    centre[there] = np.nanmedian(values[:, there], axis=0)
    spread[there] = MAD_TO_DEVIATION * np.nanmedian(np.abs(values[:, there] - centre[there]), axis=0)
    return centre, spread
