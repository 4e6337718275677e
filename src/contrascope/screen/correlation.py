"""Where one channel's content lies from another's: coherence, its highest peak, and the peak's exact place.

Channels show different structures, so brightness misleads, and plain correlation follows it. Coherence, the
cross-spectrum over the root of both power spectra, does not know brightness; but taken over all frequencies it
follows pixel noise, which has no shift at all. So a peak is looked for in the band where cells have their edges,
about 3 to 30 pixels a period. And the sign is not known beforehand: where one channel shows what the other leaves
out (a protein kept out of the nucleus, against DNA), the true shift is where the correlation is *lowest*. So the
largest absolute value is taken.

Its exact place is then found with weights that the pair itself gives. Along a ring of frequencies, and with the
shift undone, the real part of the coherence is what both channels share, of either sign; the imaginary part is
noise. With mean m and variance v of the two in each ring, the most precise place of all weighted ones is

    argmax over d of  sum over f of  (m / v)(f) · Re[coherence(f) exp(2 pi i f·d)],

and the sum's curvature there says how precise it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from scipy import fft

_SHORTEST, _LONGEST = 2.5, 30.0
"""The band's ends, as pixels a period."""
_HILL = 6
"""Half-width of a peak in pixels; what lies nearer is no second peak."""
_BLOCK = 512
"""Least size of a block in pixels: blocks this small stay in a processor's cache."""
_SHIFTS_A_BLOCK = 8
"""A block is at least so many times as large as the largest shift, which takes content out of it."""
_WINDOW = 64
"""Size of the window of a correlation, in pixels, in which a peak's exact place is found."""
_ASTRAY = 1.5
"""A peak whose exact place is so many pixels off in the end was none."""

Pair = tuple[int, int]
K = TypeVar("K")


class Peak(NamedTuple):
    """The strongest correlation of either sign.

    Attributes:
        place: (2,) int, dy, dx in pixels.
        quality: The peak over the second peak, >= 1.
    """

    place: np.ndarray
    quality: float


class Place(NamedTuple):
    """An exact place, (2,) dy, dx in pixels, and (2,) its precision, in units that compare pairs; 0 for none."""

    place: np.ndarray
    precision: np.ndarray


def correlations(tile: np.ndarray, pairs: list[Pair], *, max_shift: int) -> dict[Pair, np.ndarray]:
    """Correlation of pairs of channels in the band of cells' edges, over all of the tile's blocks.

    Args:
        tile: (C, H, W) pixels.
        pairs: Indices of channels.
        max_shift: Largest shift that is to be seen, in pixels.

    Returns:
        Pair -> (h, w) correlation at each shift of the second channel against the first, (dy, dx) modulo the
        block's size, in units of its standard deviation.
    """
    cross: dict[Pair, np.ndarray] = {}
    power: dict[int, np.ndarray] = {}
    shape = (0, 0)
    for block in _blocks(tile, max(_BLOCK, _SHIFTS_A_BLOCK * max_shift)):
        shape = block.shape[1:]
        spectra = [_spectrum(channel) for channel in block]
        for a, b in pairs:
            _add(cross, (a, b), np.conj(spectra[a]) * spectra[b])
        for c, spectrum in enumerate(spectra):
            _add(power, c, spectrum.real**2 + spectrum.imag**2)
    root = {c: np.sqrt(np.maximum(p, np.float32(1e-12))) for c, p in power.items()}
    band = _band(shape)
    found = {(a, b): fft.irfft2(cross[a, b] / (root[a] * root[b]) * band, s=shape) for a, b in pairs}
    return {pair: values / max(float(values.std()), 1e-20) for pair, values in found.items()}


def reversed_correlation(correlation: np.ndarray) -> np.ndarray:
    """(h, w) of the first channel against the second."""
    return np.roll(correlation[::-1, ::-1], 1, axis=(0, 1))


def highest_peak(correlations: list[np.ndarray], offsets: np.ndarray, reaches: np.ndarray) -> Peak:
    """The shift for which several correlations together speak most.

    Args:
        correlations: P of (h, w), of pairs of channels that shift together.
        offsets: (P, 2) int, what each pair's shift is besides.
        reaches: (P,) int, how far each pair may be apart, in pixels.
    """
    lowest, highest = (-reaches[:, None] - offsets).max(axis=0), (reaches[:, None] - offsets).min(axis=0)
    rows, columns = (np.arange(low - 1, high + 2) for low, high in zip(lowest, highest, strict=True))
    square = np.zeros((len(rows), len(columns)))
    for correlation, (dy, dx) in zip(correlations, offsets, strict=True):
        h, w = correlation.shape
        square += np.square(correlation[np.ix_((rows + dy) % h, (columns + dx) % w)])
    near = np.sqrt(square)
    inner = near[1:-1, 1:-1]
    if not inner.any():  # a blank channel lies nowhere
        return Peak(np.clip(0, lowest, highest), 1.0)
    i, j = (int(k) for k in np.unravel_index(int(inner.argmax()), inner.shape))
    rises_outward = near[i : i + 3, j : j + 3].max() > inner[i, j]  # a slope of what lies out of reach
    return Peak(lowest + np.array([i, j]), 1.0 if rises_outward else _above_second(inner, i, j))


def exact_place(correlation: np.ndarray, near: np.ndarray) -> Place:
    """The most precise place of a peak that is known to lie near.

    Args:
        correlation: (h, w).
        near: (2,) the peak, to about a pixel.
    """
    size = min(_WINDOW, *(n // 2 * 2 for n in correlation.shape))
    start = np.rint(near).astype(int)
    rows, columns = (start[:, None] + np.arange(-size // 2, size // 2)) % np.array(correlation.shape)[:, None]
    faded = correlation[np.ix_(rows, columns)] * _fading(size)
    spectrum = np.fft.fft2(np.fft.ifftshift(faded))
    angle, ring = _frequencies(size)
    place, precision = near - start, np.zeros(2)
    for _ in range(8):
        undone = spectrum * np.exp(1j * (angle[0] * place[0] + angle[1] * place[1]))
        weight, shared = _weights(undone, ring)
        slope = -(weight * undone.imag * angle).sum(axis=(1, 2))
        precision = (weight * shared * angle**2).sum(axis=(1, 2))
        if not (precision > 0).all():
            return Place(near, np.zeros(2))
        step = np.clip(slope / precision, -0.5, 0.5)
        place = place + step
        if np.abs(step).max() < 1e-3:
            break
    if np.abs(place + start - near).max() > _ASTRAY:
        return Place(near, np.zeros(2))
    return Place(place + start, precision)


def _add(sums: dict[K, np.ndarray], key: K, values: np.ndarray) -> None:
    """Adds to a sum, or begins it."""
    if key in sums:
        sums[key] += values
    else:
        sums[key] = values


def _blocks(tile: np.ndarray, least: int) -> Iterator[np.ndarray]:
    """Blocks (C, h, w) that cover a tile, each at least so large where the tile is; h and w suit the transform."""
    corners = []
    for n in tile.shape[1:]:
        count = max(1, n // least)
        size = min(n, fft.next_fast_len(-(-n // count), real=True))
        corners.append((np.linspace(0, n - size, count).astype(int), size))
    (tops, h), (lefts, w) = corners
    return (tile[:, top : top + h, left : left + w] for top in tops for left in lefts)


def _spectrum(channel: np.ndarray) -> np.ndarray:
    """(h, w // 2 + 1) complex64; the rim is faded out, since its jump has a phase of its own."""
    H, W = channel.shape
    faded = channel.astype(np.float32) - np.float32(channel.mean())
    faded *= _taper(H)[:, None]
    faded *= _taper(W)
    return fft.rfft2(faded)


@lru_cache(maxsize=8)
def _taper(n: int) -> np.ndarray:
    rim = max(1, n // 16)
    rise = np.sin(np.linspace(0, np.pi / 2, rim, dtype=np.float32)) ** 2
    return np.concatenate([rise, np.ones(n - 2 * rim, np.float32), rise[::-1]])


@lru_cache(maxsize=4)
def _band(shape: tuple[int, int]) -> np.ndarray:
    """Weight of each frequency: a difference of two Gaussians between the band's ends."""
    square = fft.fftfreq(shape[0])[:, None] ** 2 + fft.rfftfreq(shape[1])[None, :] ** 2
    high, low = 0.5 / _SHORTEST, 1 / _LONGEST
    return (np.exp(-square / (2 * high**2)) - np.exp(-square / (2 * low**2))).astype(np.float32)


def _above_second(values: np.ndarray, i: int, j: int) -> float:
    """The value at (i, j) over the largest one outside its own hill."""
    others = values.copy()
    others[max(0, i - _HILL) : i + _HILL + 1, max(0, j - _HILL) : j + _HILL + 1] = 0
    second = float(others.max())
    return float(values[i, j]) / second if second > 0 else 1.0


@lru_cache(maxsize=4)
def _fading(size: int) -> np.ndarray:
    """(size, size) from 1 at the middle to 0 at the rim: it smooths the spectrum."""
    hill = np.hanning(size + 1)[:-1]
    return np.outer(hill, hill)


@lru_cache(maxsize=4)
def _frequencies(size: int) -> tuple[np.ndarray, np.ndarray]:
    """(2, size, size) radians a pixel along y and x, and (size, size) number of each frequency's ring."""
    one = np.fft.fftfreq(size)
    angle = 2 * np.pi * np.stack(np.meshgrid(one, one, indexing="ij"))
    return angle, np.rint(np.hypot(*np.meshgrid(one, one)) * size).astype(int)


def _weights(undone: np.ndarray, ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """m / v and m at each frequency, from the rings of a coherence whose shift is undone; none past Nyquist's."""
    count = np.bincount(ring.ravel())
    shared = _smooth(np.bincount(ring.ravel(), undone.real.ravel()) / count)
    noise = _smooth(np.bincount(ring.ravel(), (undone.imag**2).ravel()) / count)
    weight = shared / np.maximum(noise, 1e-6 * np.square(shared).max() + 1e-30)
    weight[len(undone) // 2 + 1 :] = 0
    return weight[ring], shared[ring]


def _smooth(values: np.ndarray) -> np.ndarray:
    """Averaged over neighbours, so that a ring's own noise does not choose its sign."""
    return np.convolve(np.pad(values, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
