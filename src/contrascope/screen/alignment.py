"""Shift of a channel against the reference channel, by phase correlation of a band of frequencies.

Channels show different structures, so brightness misleads, and plain correlation follows it. Phases do
not know brightness; but taken over all frequencies they follow pixel noise, which has no shift at all.
So phases are correlated in the band where cells have their edges, about 3 to 30 pixels a period.

And the sign is not known beforehand: where one channel shows what the other leaves out (a protein kept
out of the nucleus, against DNA), the true shift is where the correlation is *lowest*. So the largest
absolute value is taken. It is refined to a fraction of a pixel by a parabola.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft

_SHORTEST, _LONGEST = 2.5, 30.0
"""The band's ends, as pixels a period."""
_HILL = 6
"""Half-width of a peak in pixels; what lies nearer is no second peak."""


class Shifts(NamedTuple):
    """Where a tile's channels lie.

    Attributes:
        shifts: (C, 2) float64, (dy, dx) in pixels: what lies at (y, x) in the reference lies at (y + dy, x + dx)
            in the channel. Zero for the reference.
        quality: (C,) peak over second peak, >= 1; infinite for the reference. Below ``TRUSTED`` the peak may be
            anywhere.
    """

    shifts: np.ndarray
    quality: np.ndarray


TRUSTED = 1.35
"""Most channels that are found astray stand lower; on tiles of 40 cells one in 54 stood at 1.38 and was trusted."""


def measured_shifts(tile: np.ndarray, *, reference: int, max_shift: int) -> Shifts:
    """How far each channel's content lies from the reference channel's, and how clearly.

    Args:
        tile: (C, H, W) pixels.
        reference: Index of the reference channel.
        max_shift: Largest shift looked for, in pixels.
    """
    C, H, W = tile.shape
    shape = fft.next_fast_len(H, real=True), fft.next_fast_len(W, real=True)
    reach = min(max_shift, H // 2 - 2, W // 2 - 2)
    expected = np.conj(_phases(tile[reference], shape)) * _band(shape)
    shifts, quality = np.zeros((C, 2)), np.full(C, np.inf)
    for c in range(C):
        if c != reference:
            correlation = fft.irfft2(expected * _phases(tile[c], shape), s=shape)
            shifts[c], quality[c] = _peak(correlation, reach)
    return Shifts(shifts, quality)


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


def _phases(channel: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Spectrum of unit modulus; the tile's rim is faded out, since its jump has a phase of its own."""
    H, W = channel.shape
    window = np.outer(_taper(H), _taper(W))
    spectrum = fft.rfft2((channel - np.float32(channel.mean())).astype(np.float32) * window, s=shape)
    return spectrum / np.maximum(np.abs(spectrum), 1e-12)


def _taper(n: int) -> np.ndarray:
    rim = max(1, n // 8)
    rise = np.sin(np.linspace(0, np.pi / 2, rim, dtype=np.float32)) ** 2
    return np.concatenate([rise, np.ones(n - 2 * rim, np.float32), rise[::-1]])


def _band(shape: tuple[int, int]) -> np.ndarray:
    """Weight of each frequency: a difference of two Gaussians between the band's ends."""
    square = fft.fftfreq(shape[0])[:, None] ** 2 + fft.rfftfreq(shape[1])[None, :] ** 2
    high, low = 0.5 / _SHORTEST, 1 / _LONGEST
    return (np.exp(-square / (2 * high**2)) - np.exp(-square / (2 * low**2))).astype(np.float32)


def _peak(correlation: np.ndarray, max_shift: int) -> tuple[tuple[float, float], float]:
    """(dy, dx) of the strongest value of either sign within ``max_shift``, and how far it stands above the next."""
    around = np.arange(-max_shift - 1, max_shift + 2)
    near = np.abs(correlation[np.ix_(around, around)])
    inner = near[1:-1, 1:-1]
    if not inner.any():  # a blank channel lies nowhere
        return (0.0, 0.0), 1.0
    i, j = (int(k) for k in np.unravel_index(int(inner.argmax()), inner.shape))
    column, row = near[i : i + 3, j + 1], near[i + 1, j : j + 3]
    place = (i - max_shift + _vertex(column), j - max_shift + _vertex(row))
    return place, _above_second(inner, i, j)


def _above_second(values: np.ndarray, i: int, j: int) -> float:
    """The value at (i, j) over the largest one outside its own hill."""
    others = values.copy()
    others[max(0, i - _HILL) : i + _HILL + 1, max(0, j - _HILL) : j + _HILL + 1] = 0
    second = float(others.max())
    return float(values[i, j]) / second if second > 0 else 1.0


def _vertex(three: np.ndarray) -> float:
    """Where a parabola through three equally spaced values has its top, from the middle one."""
    left, middle, right = (float(value) for value in three)
    bend = left - 2 * middle + right
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5))
