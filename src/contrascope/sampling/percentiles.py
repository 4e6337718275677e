"""Percentiles of more pixels than memory holds, and exact ones: pixels are counted, not kept.

A pixel of 8 or 16 bits is counted by its value. One of 32 bits, a float, is counted by the upper half of its bits
first; then all are read once more, and those that share their upper half with one that is wanted are counted by the
lower half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from contrascope.store.measure import value_counts

_VALUES = 2**16
_SIGN = np.uint32(2**31)


def percentiles(read: Callable[[], Iterable[np.ndarray]], wanted: Sequence[float]) -> np.ndarray:
    """Percentiles of each channel's pixels, between two neighbours linearly as numpy's.

    Args:
        read: Gives all pixels, (B, C, H, W) uint8, uint16 or float32 at a time, each time that it is called.
        wanted: P numbers from 0 to 100.

    Returns:
        (C, P); NaN for a channel whose pixels are not all finite.
    """
    counts, finite, halves = _counted(read())
    place = np.asarray(wanted) / 100 * (counts[0].sum() - 1)
    below = np.floor(place).astype(np.int64)
    ranks = np.concatenate([below, np.ceil(place).astype(np.int64)])
    values = _of_ranks(counts, ranks, read if halves else None)
    values[~finite] = np.nan
    low, high = np.split(values, 2, axis=1)
    return low + (high - low) * (place - below)


def _counted(images: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray, bool]:
    """(C, 65,536) pixels with each value; (C,) whether all are finite; and whether it was upper halves that counted."""
    counts, finite, halves = np.zeros((0, _VALUES), np.int64), np.ones(0, bool), False
    for some in images:
        assert some.dtype in (np.uint8, np.uint16, np.float32), some.dtype
        if not len(counts):
            counts, finite = np.zeros((some.shape[1], _VALUES), np.int64), np.ones(some.shape[1], bool)
            halves = some.dtype.kind == "f"
        for channel, pixels in enumerate(some.swapaxes(0, 1)):
            if halves:
                finite[channel] &= bool(np.isfinite(pixels).all())
            _add(counts[channel], _ordered(pixels) >> 16 if halves else pixels)
    return counts, finite, halves


def _of_ranks(counts: np.ndarray, ranks: np.ndarray, read: Callable[[], Iterable[np.ndarray]] | None) -> np.ndarray:
    """(C, R) pixels of these places in the order of their channel's, from 0; ``read`` again if halves were counted."""
    up_to = np.cumsum(counts, axis=1)
    uppers = np.stack([np.searchsorted(channel, ranks, side="right") for channel in up_to])
    if read is None:
        return uppers.astype(np.float64)
    among = [{int(upper): np.zeros(_VALUES, np.int64) for upper in channel} for channel in uppers]
    for some in read():
        for pixels, wanted in zip(some.swapaxes(0, 1), among, strict=True):
            ordered = _ordered(pixels)
            halves = ordered >> 16
            for upper, lowers in wanted.items():
                _add(lowers, ordered[halves == upper])
    found = np.empty(uppers.shape)
    for channel, wanted in enumerate(among):
        for i, (upper, rank) in enumerate(zip(uppers[channel].tolist(), ranks.tolist(), strict=True)):
            before = up_to[channel, upper] - counts[channel, upper]
            lower = np.searchsorted(np.cumsum(wanted[upper]), rank - before, side="right")
            found[channel, i] = _float(upper << 16 | int(lower))
    return found


def _add(counts: np.ndarray, values: np.ndarray) -> None:
    """Count values by their 16 lower bits."""
    some = value_counts(values.astype(np.uint16))
    assert some is not None
    counts[: len(some)] += some


def _ordered(pixels: np.ndarray) -> np.ndarray:
    """uint32 in the order of the float32 that they stand for: below 0 more is less, so all bits are turned around."""
    bits = np.ascontiguousarray(pixels).view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _float(ordered: int) -> float:
    bits = ordered ^ int(_SIGN) if ordered & int(_SIGN) else ~ordered & 0xFFFFFFFF
    return float(np.uint32(bits).view(np.float32))
