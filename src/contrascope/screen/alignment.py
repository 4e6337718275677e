"""Shifts of a tile's channels against the reference channel.

Every channel is compared with every other, not with the reference alone: two channels that show the cells'
outline say much about each other where neither says much about DNA. From the reference outward each channel is
linked by its clearest pair, and is as clear as the weakest link on its way. Then all pairs are asked for the
exact difference of their shifts, and those shifts are taken that fit all answers best, each answer weighed by
its precision.

Channels of several rounds of imaging are compared within their round; the rounds' references are compared with
each other, as if they were the channels of one tile. A channel's shift is its round's and its own within it.
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


class Agreed(NamedTuple):
    """What is undone, when the tiles of a plate have been heard.

    Attributes:
        shifts: (T, C, 2) shifts to undo.
        fallback: (T, C) bool, True where the tile did not say, of the channel or of its round.
        unaligned: (T, C) bool, True where the plate's tiles did not say either, so that the shift is 0; elsewhere the
            plate's median stands in.
    """

    shifts: np.ndarray
    fallback: np.ndarray
    unaligned: np.ndarray


class Rounds(NamedTuple):
    """Which channels were imaged together.

    Attributes:
        channels: Indices of each round's channels, the round's reference first.
        max_shift: Largest shift between rounds that is looked for, in pixels.
    """

    channels: list[list[int]]
    max_shift: int


TRUSTED = 1.6
"""In 90 tiles of 40 cells 12 of 270 channels are found more than 1.5 px astray, the clearest of them at 1.52; with
126 cells a tile, or on a real plate, no channel is astray and none stands below 2.9."""
SURE = 2.2
"""Wanted of a tile that lies far from the others of its plate, or is its plate's only one."""
ALONE = 3.0
"""Wanted of a tile that no other of its plate backs. Of 160 pairs of channels of noise none reaches ``TRUSTED``; of
pairs that show eight bright things each, and none in common, 16 do, 2 of them ``SURE`` and none this."""
_FAR, _SPREADS = 3.0, 8.0
"""Far is so many pixels and so many standard deviations of the plate's tiles."""
_ENOUGH = 3
"""Tiles of a plate that say together what one of them says by chance."""


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


def measured_over_rounds(tile: np.ndarray, rounds: Rounds, *, reference: int, max_shift: int) -> Shifts:
    """Shifts of channels imaged in several rounds; quality is of a channel within its round, or of a round's reference.

    Args:
        tile: (C, H, W) pixels.
        rounds: The rounds.
        reference: Index of the screen's reference channel, which is its round's.
        max_shift: Largest shift within a round, in pixels.
    """
    first = [channels[0] for channels in rounds.channels]
    between = measured_shifts(tile[first], reference=first.index(reference), max_shift=rounds.max_shift)
    shifts, quality = np.zeros((len(tile), 2)), np.zeros(len(tile))
    for k, channels in enumerate(rounds.channels):
        within = measured_shifts(tile[channels], reference=0, max_shift=max_shift)
        shifts[channels] = between.shifts[k] + within.shifts
        quality[channels] = within.quality
        quality[channels[0]] = between.quality[k]
    return Shifts(shifts, quality)


def channel_shifts(tile: np.ndarray, *, reference: int, max_shift: int) -> np.ndarray:
    """(C, 2) shifts alone; arguments as of ``measured_shifts``."""
    return measured_shifts(tile, reference=reference, max_shift=max_shift).shifts


def agreed_shifts(
    shifts: np.ndarray, quality: np.ndarray, plates: np.ndarray, *, rounds: Rounds | None = None
) -> Agreed:
    """Shifts to undo: a tile's own where it is clear, else the median of its plate's clear ones if these agree, else 0.

    A tile far from its plate's others is clear from ``SURE`` on only, one that none of them backs from ``ALONE`` on.
    In a round of its own a channel's shift is that within the round: the round's shift on this tile is undone even
    where the channel does not say.

    Args:
        shifts: (T, C, 2) measured on each of T tiles.
        quality: (T, C).
        plates: (T,) plate of each tile.
        rounds: Those of ``measured_over_rounds``.
    """
    used, fallback, unaligned = shifts.copy(), np.zeros(quality.shape, bool), np.zeros(quality.shape, bool)
    within = [(channels[0], channels[1:]) for channels in rounds.channels] if rounds else []
    for first, others in within:
        used[:, others] -= shifts[:, [first]]
    for plate in np.unique(plates):
        here = np.flatnonzero(plates == plate)
        for c in range(shifts.shape[1]):
            clear = _clear(used[here, c], quality[here, c])
            median = _stand_in(used[here[clear], c], len(here))
            fallback[here, c] = ~clear
            unaligned[here, c] = ~clear & (median is None)
            used[here[~clear], c] = 0.0 if median is None else median
    for first, others in within:
        used[:, others] += used[:, [first]]
        fallback[:, others] |= fallback[:, [first]]
        unaligned[:, others] |= unaligned[:, [first]]
    return Agreed(used, fallback, unaligned)


def _clear(shifts: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """(T,) which tiles of a plate say how a channel lies, from (T, 2) and (T,)."""
    trusted, sure = quality >= TRUSTED, quality >= SURE
    if not trusted.any():
        return trusted
    away = np.abs(shifts - np.median(shifts[trusted], axis=0)).max(axis=1)
    many, together = int(trusted.sum()), int((away[trusted] <= _FAR).sum())
    # Tiles may each have a shift of their own: then it is their number that tells it from chance.
    most = many >= _ENOUGH and 2 * many > len(quality)
    if not (most or (together >= 2 and 2 * together > many)):
        return quality >= (SURE if len(quality) == 1 else ALONE)
    spread = 1.4826 * float(np.median(away[trusted]))  # that of a normal with this median
    return trusted & ((away <= max(_FAR, _SPREADS * spread)) | sure)


def _stand_in(clear: np.ndarray, tiles: int) -> np.ndarray | None:
    """(2,) median of a plate's clear shifts (T, 2); None unless enough of its tiles say so, and most of the clear."""
    if not len(clear):
        return None
    median = np.median(clear, axis=0)
    together = int((np.abs(clear - median).max(axis=1) <= _FAR).sum())
    return median if 2 * together > len(clear) and (together >= _ENOUGH or 2 * together > tiles) else None


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
