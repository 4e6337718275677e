"""Shift of a channel against the reference channel, by phase correlation of a band of frequencies.

Channels show different structures, so brightness misleads, and plain correlation follows it. Phases do
not know brightness; but taken over all frequencies they follow pixel noise, which has no shift at all.
So phases are correlated in the band where cells have their edges, about 3 to 30 pixels a period.

And the sign is not known beforehand: where one channel shows what the other leaves out (a protein kept
out of the nucleus, against DNA), the true shift is where the correlation is *lowest*. So the largest
absolute value is taken. It is refined to a fraction of a pixel by a parabola.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

_SHORTEST, _LONGEST = 2.5, 30.0
"""The band's ends, as pixels a period."""


def channel_shifts(tile: np.ndarray, *, reference: int, max_shift: int) -> np.ndarray:
    """How far each channel's content lies from the reference channel's.

    Args:
        tile: (C, H, W) pixels.
        reference: Index of the reference channel.
        max_shift: Largest shift looked for, in pixels.

    Returns:
        (C, 2) float64, (dy, dx) in pixels: what lies at (y, x) in the reference lies at (y + dy, x + dx)
        in the channel. Zero for the reference.
    """
    C, H, W = tile.shape
    shape = fft.next_fast_len(H, real=True), fft.next_fast_len(W, real=True)
    band = _band(shape)
    spectra = [_phases(channel, shape) for channel in tile]
    shifts = np.zeros((C, 2))
    for c in range(C):
        if c != reference:
            correlation = fft.irfft2(np.conj(spectra[reference]) * spectra[c] * band, s=shape)
            shifts[c] = _peak(correlation, min(max_shift, H // 2 - 2, W // 2 - 2))
    return shifts


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


def _peak(correlation: np.ndarray, max_shift: int) -> tuple[float, float]:
    """(dy, dx) of the strongest value of either sign within ``max_shift``, between pixels by a parabola."""
    around = np.arange(-max_shift - 1, max_shift + 2)
    near = np.abs(correlation[np.ix_(around, around)])
    inner = near[1:-1, 1:-1]
    if not inner.any():  # a blank channel lies nowhere
        return 0.0, 0.0
    i, j = np.unravel_index(int(inner.argmax()), inner.shape)
    column, row = near[i : i + 3, j + 1], near[i + 1, j : j + 3]
    return float(i - max_shift + _vertex(column)), float(j - max_shift + _vertex(row))


def _vertex(three: np.ndarray) -> float:
    """Where a parabola through three equally spaced values has its top, from the middle one."""
    left, middle, right = (float(value) for value in three)
    bend = left - 2 * middle + right
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5))
