"""Which cells are trained on, which stop the training, and which are never seen.

Cells are split, stratified by perturbation: every perturbation is in every part as far as its cells reach. Or whole
guides, wells or plates are, so that what is validated on shares nothing of that kind with what is trained on.
"""

from __future__ import annotations

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLIT_NAMES = ("train", "validation", "test")


def split_groups(
    labels: np.ndarray, groups: np.ndarray, *, shares: tuple[float, float, float], seed: int
) -> np.ndarray:
    """A part for each cell, the same for all cells of a group.

    Args:
        labels: (N,) perturbation of each cell.
        groups: (N,) group of each cell, 0 ... G - 1. Groups of one perturbation, as guides are, are stratified by it.
        shares: Of groups in train, validation and test.
        seed: Equal seeds, equal parts.

    Returns:
        (N,) int8 of ``TRAIN``, ``VALIDATION``, ``TEST``.
    """
    lowest = np.full(groups.max() + 1, labels.max() + 1)
    highest = np.full(groups.max() + 1, -1)
    np.minimum.at(lowest, groups, labels)
    np.maximum.at(highest, groups, labels)
    return split_cells(np.where(lowest == highest, lowest, labels.max() + 1), shares=shares, seed=seed)[groups]


def split_cells(labels: np.ndarray, *, shares: tuple[float, float, float], seed: int) -> np.ndarray:
    """A part for each cell.

    Args:
        labels: (N,) perturbation of each cell.
        shares: Of train, validation and test; they sum to 1.
        seed: Equal seeds, equal parts.

    Returns:
        (N,) int8 of ``TRAIN``, ``VALIDATION``, ``TEST``. Within a perturbation of n cells a part has n times
        its share of them, rounded up or down at random so that shares hold over many small perturbations too.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels)
    sizes = sizes[sizes > 0]
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    # A systematic sample: ranks within a perturbation, moved by one random offset each.
    offset = np.repeat(rng.random(len(sizes)), sizes)
    place = ((np.arange(len(labels)) - starts + offset) / np.repeat(sizes, sizes)) % 1.0
    parts = np.empty(len(labels), dtype=np.int8)
    parts[by_label] = np.searchsorted(np.cumsum(shares)[:2], place, side="right")
    return parts
