"""Shifts of a tile's channels against the reference channel.

Every channel is compared with every other, not with the reference alone: two channels that show the cells'
outline say much about each other where neither says much about DNA. From the reference outward each channel is
linked by its clearest pair, and is as clear as the weakest link on its way. Then all pairs are asked for the
exact difference of their shifts, and those shifts are taken that fit all answers best, each answer weighed by
its precision.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from contrascope.screen.correlation import Pair, correlations, exact_place, highest_peak, reversed_correlation


class Shifts(NamedTuple):
    """Where a tile's channels lie.

    Attributes:
        shifts: (C, 2) float64, (dy, dx) in pixels: what lies at (y, x) in the reference lies at (y + dy, x + dx)
            in the channel. Zero for the reference.
        quality: (C,) peak over second peak, >= 1, of the weakest link to the reference; infinite for the
            reference. Below ``TRUSTED`` the peak may be anywhere.
    """

    shifts: np.ndarray
    quality: np.ndarray


TRUSTED = 1.6
"""In 90 tiles of 40 cells 14 of 270 channels are found more than 1.5 px astray, the clearest of them at 1.55; with
126 cells a tile, or on a real plate, no channel is astray and none stands below 2.2."""


def measured_shifts(tile: np.ndarray, *, reference: int, max_shift: int) -> Shifts:
    """How far each channel's content lies from the reference channel's, and how clearly.

    Args:
        tile: (C, H, W) pixels.
        reference: Index of the reference channel.
        max_shift: Largest shift looked for, in pixels.
    """
    C, H, W = tile.shape
    max_shift = min(max_shift, H // 2 - 2, W // 2 - 2)
    found = correlations(tile, list(combinations(range(C), 2)), max_shift=max_shift)
    found |= {(b, a): reversed_correlation(values) for (a, b), values in found.items()}
    linked = _linked(found, C, reference, max_shift)
    fitted = _fitted(found, linked, reference)
    return Shifts(fitted.clip(-max_shift - 0.5, max_shift + 0.5), linked.quality)


def channel_shifts(tile: np.ndarray, *, reference: int, max_shift: int) -> np.ndarray:
    """(C, 2) shifts alone; arguments as of ``measured_shifts``."""
    return measured_shifts(tile, reference=reference, max_shift=max_shift).shifts


def agreed_shifts(shifts: np.ndarray, quality: np.ndarray, plates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shifts to undo: a tile's own where it is clear, else the median of its plate's clear ones.

    Args:
        shifts: (T, C, 2) measured on each of T tiles.
        quality: (T, C).
        plates: (T,) plate of each tile.

    Returns:
        (T, C, 2) shifts, and (T, C) bool: True where the tile did not say and the plate's median stands in; that
        is 0 where no tile of the plate says.
    """
    unclear = quality < TRUSTED
    used = shifts.copy()
    for plate in np.unique(plates):
        for c in range(shifts.shape[1]):
            here = plates == plate
            clear = shifts[here & ~unclear[:, c], c]
            used[here & unclear[:, c], c] = np.median(clear, axis=0) if len(clear) else 0.0
    return used, unclear


def _linked(found: dict[Pair, np.ndarray], C: int, reference: int, max_shift: int) -> Shifts:
    """Shifts in whole pixels. Channels join into groups, the clearest first; a group shifts as one."""
    groups, shifts, quality = [[c] for c in range(C)], np.zeros((C, 2), int), np.full(C, np.inf)
    groups.sort(key=lambda group: reference not in group)  # the reference's comes first, and stays where it is
    reach = np.full((C, C), 2 * max_shift)
    reach[reference] = reach[:, reference] = max_shift
    while len(groups) > 1:
        peaks = []
        for still, moving in combinations(groups, 2):
            pairs = [(a, b) for a in still for b in moving]
            offsets = np.array([shifts[b] - shifts[a] for a, b in pairs])
            peak = highest_peak([found[pair] for pair in pairs], offsets, np.array([reach[pair] for pair in pairs]))
            peaks.append((peak, still, moving))
        peak, still, moving = max(peaks, key=lambda found: found[0].quality)
        shifts[moving] += peak.place
        for c in moving if reference in still else still + moving:
            quality[c] = min(quality[c], peak.quality)
        still += moving
        groups.remove(moving)
    return Shifts(shifts.astype(float), quality)


def _fitted(found: dict[Pair, np.ndarray], linked: Shifts, reference: int) -> np.ndarray:
    """(C, 2) shifts that fit the exact places of all pairs of clear channels; unclear ones stay where they are."""
    shifts = linked.shifts.copy()
    clear = np.flatnonzero(linked.quality >= TRUSTED)
    free = clear[clear != reference]
    if not len(free):
        return shifts
    pairs = list(combinations(clear.tolist(), 2))
    places = [exact_place(found[a, b], shifts[b] - shifts[a]) for a, b in pairs]
    difference = np.array([(free == b).astype(float) - (free == a) for a, b in pairs])
    for axis in (0, 1):
        weight = np.sqrt([place.precision[axis] for place in places])
        rest = [
            place.place[axis] - (shifts[b, axis] - shifts[a, axis]) for (a, b), place in zip(pairs, places, strict=True)
        ]
        # The solution of least norm leaves a channel where it was linked if no pair has an exact place for it.
        shifts[free, axis] += np.linalg.lstsq(weight[:, None] * difference, weight * np.array(rest), rcond=None)[0]
    return shifts
