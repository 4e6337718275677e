"""Number, mean and scatter of the controls of each batch, gathered in one pass; all that corrections are made from.

    n,  mean = sum x / n,  scatter = sum (x - mean)(x - mean)^T          (float64, over the controls of a batch)

Two parts of a batch are put together by the update of Chan, Golub and LeVeque (1979), which loses no digits where a
mean is large beside the spread. Means and scatters of an affine image of the controls follow without the controls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Controls of M batches in one space of F features.

    Attributes:
        n: (M,) how many there are.
        mean: (M, F).
        scatter: (M, F, F) sums of outer products about the mean.
    """

    n: NDArray[np.int64]
    mean: Values
    scatter: Values

    def pooled(self) -> Moments:
        """All controls as one batch."""
        total = self.n.sum()
        mean = self.n @ self.mean / total
        apart = self.mean - mean
        scatter = self.scatter.sum(axis=0) + (apart.T * self.n) @ apart
        return Moments(np.array([total]), mean[None], scatter[None])

    def covariance(self) -> Values:
        """(M, F, F), with n - 1 in the denominator."""
        return np.asarray(self.scatter / (self.n - 1)[:, None, None])

    def deviation(self) -> Values:
        """(M, F) standard deviations, with n in the denominator."""
        squares = np.einsum("mff->mf", self.scatter) / self.n[:, None]
        return np.sqrt(np.maximum(squares, 0.0))

    def mapped(self, maps: Maps) -> Moments:
        """The controls of each batch after its map."""
        matrix = maps.matrix
        return Moments(
            self.n, np.einsum("mf,mfg->mg", self.mean, np.broadcast_to(matrix, self.scatter.shape)) + maps.offset,
            np.swapaxes(matrix, 1, 2) @ self.scatter @ matrix,
        )  # fmt: skip


@dataclass(frozen=True)
class Maps:
    """y = x matrix + offset, a map for each of M batches, or one for all.

    Attributes:
        matrix: (M, F, F) or (1, F, F).
        offset: (M, F) or (1, F).
    """

    matrix: Values
    offset: Values

    def then(self, other: Maps) -> Maps:
        """First this map, then the other."""
        return Maps(self.matrix @ other.matrix, (self.offset[:, None] @ other.matrix)[:, 0] + other.offset)


class Gathering:
    """Moments of the controls of each batch, of each space, that grow as cells come."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[int, Moments]] = {}

    def add(self, batch: NDArray[np.intp], spaces: Mapping[str, Values]) -> None:
        """Add controls (B, F) of batches (B,)."""
        order = np.argsort(batch, kind="stable")
        numbers, starts = np.unique(batch[order], return_index=True)
        for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
            for space, values in spaces.items():
                known = self._parts.setdefault(space, {})
                here = _moments(values[rows])
                known[number] = _together(known[number], here) if number in known else here

    @property
    def batches(self) -> set[int]:
        """Those that have controls."""
        return {number for parts in self._parts.values() for number in parts}

    def moments(self, batches: list[int]) -> dict[str, Moments]:
        """Of these batches, in their order; (0, ...) for a batch without controls."""
        return {space: _stacked([parts.get(b) for b in batches], parts) for space, parts in self._parts.items()}


def as_stored(moments: Mapping[str, Moments], batches: list[Any]) -> dict[str, Any]:
    """As a dictionary that AnnData writes."""
    spaces = {space: {"mean": found.mean, "scatter": found.scatter} for space, found in moments.items()}
    n = next((found.n for found in moments.values()), np.zeros(0, np.int64))
    return {"batch": np.array([str(name) for name in batches], dtype=object), "n_cells": n, "spaces": spaces}


def from_stored(stored: Mapping[str, Any], space: str, batches: list[str]) -> Moments:
    """The moments of these batches, in their order; (0, ...) for a batch without controls."""
    place, found = {name: i for i, name in enumerate(stored["batch"])}, stored["spaces"][space]
    result = no_moments(len(batches), found["mean"].shape[1])
    have = [i for i, name in enumerate(batches) if name in place]
    rows = [place[batches[i]] for i in have]
    result.n[have] = np.asarray(stored["n_cells"])[rows]
    result.mean[have], result.scatter[have] = found["mean"][rows], found["scatter"][rows]
    return result


def _moments(values: Values) -> Moments:
    mean = values.mean(axis=0)
    apart = values - mean
    return Moments(np.array([len(values)]), mean[None], (apart.T @ apart)[None])


def _together(a: Moments, b: Moments) -> Moments:
    return _joined([a, b]).pooled()


def _joined(parts: list[Moments]) -> Moments:
    return Moments(*(np.concatenate([getattr(part, what) for part in parts]) for what in ("n", "mean", "scatter")))


def no_moments(batches: int, width: int) -> Moments:
    """Of batches without controls."""
    return Moments(np.zeros(batches, np.int64), np.zeros((batches, width)), np.zeros((batches, width, width)))


def _stacked(found: list[Moments | None], parts: Mapping[int, Moments]) -> Moments:
    none = no_moments(1, next(iter(parts.values())).mean.shape[1])
    return _joined([part or none for part in found])
