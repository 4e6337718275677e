"""How a channel of a tile looks: how bright, how much of it is saturated, and how sharp.

Sharpness is told by spectra. Blur takes fine detail before coarse, so the share that periods of 2.5 to 8
pixels have in all structure of up to 40 falls with it. As a share it knows neither gain nor offset. Noise and
hot pixels are as strong at all frequencies: what stands at the very highest, where no optics reach, is their
level, and is taken off everywhere, else a dim and blurred tile would pass for sharp. Some hundred rows and
columns say it as well as the whole tile, and cost a tenth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import fft

INTENSITY, SATURATED, FOCUS = "intensity", "saturated", "focus"
"""What their columns in the table of tiles are called, before the channel."""
FINEST, FINE, COARSE = 2.5, 8.0, 40.0
"""Ends of the two bands, as pixels a period; what is finer than both is noise alone."""
_STRUCTURE = 0.1
"""Structure with less than this share of the noise's power in the bands is none."""
_LINES = 256
"""Rows, and as many columns, at least, whose spectra are taken."""
_PILE, _PILE_PIXELS, _BELOW = 8, 16, 16
"""A pile-up: so many times the pixels of the mean value below it, so many pixels at least, so many values below."""


class Looks(NamedTuple):
    """Of one tile.

    Attributes:
        intensity: (C,) mean of all pixels.
        saturated: (C,) share of pixels at the highest value there can be.
        focus: (C,) share of fine detail in all structure, 0 to 1; NaN where there is nothing but noise.
    """

    intensity: np.ndarray
    saturated: np.ndarray
    focus: np.ndarray


def looks_of(tile: np.ndarray, counts: list[np.ndarray | None]) -> Looks:
    """How the channels of a tile look.

    Args:
        tile: (C, H, W) pixels.
        counts: For each channel how many pixels have each value, 0 first; None where values are no whole numbers.
    """
    intensity, saturated = np.empty(len(tile)), np.empty(len(tile))
    for c, (channel, count) in enumerate(zip(tile, counts, strict=True)):
        if count is None:
            intensity[c] = channel.mean(dtype=np.float64)
        else:
            intensity[c] = float(np.arange(len(count)) @ count) / channel.size
        saturated[c] = saturated_share(channel, count)
    return Looks(intensity, saturated, np.array([focus(channel) for channel in tile]))


def facts_of_looks(channels: Sequence[str], looks: Looks) -> dict[str, float | None]:
    """Columns of the table of tiles -> values of one tile; None for a focus that cannot be told."""
    facts: dict[str, float | None] = {}
    for name, intensity, saturated, sharp in zip(channels, *looks, strict=True):
        facts[f"{INTENSITY} {name}"] = float(f"{intensity:.7g}")
        facts[f"{SATURATED} {name}"] = float(f"{saturated:.4g}")
        facts[f"{FOCUS} {name}"] = None if np.isnan(sharp) else round(float(sharp), 5)
    return facts


def saturated_share(channel: np.ndarray, count: np.ndarray | None) -> float:
    """Share of pixels at the highest value: the type's, or the tile's own if pixels pile up there.

    A camera of 12 bits saturates at 4,095 in a file of 16. There the highest value of a tile holds many more
    pixels than the values below it, which in the tail of unclipped light hold few. Tiles that were corrected
    for background or illumination no longer show it.

    Args:
        channel: (H, W) pixels.
        count: Pixels of each value, 0 first; None where values are no whole numbers.
    """
    if count is not None and len(count) == np.iinfo(channel.dtype).max + 1:
        return float(count[-1]) / channel.size
    if count is None:
        low, high = float(channel.min()), float(channel.max())
        _, count = np.unique(channel[channel >= high - (high - low) / 10], return_counts=True)
    held = count[np.flatnonzero(count)[-_BELOW - 1 :]]
    top, below = int(held[-1]), held[:-1]
    piled_up = len(below) > 0 and top >= max(_PILE_PIXELS, _PILE * below.mean())
    return top / channel.size if piled_up else 0.0


def focus(channel: np.ndarray) -> float:
    """Share of fine detail in all structure of a channel, 0 to 1; NaN where there is nothing but noise.

    Args:
        channel: (H, W) pixels.
    """
    H, W = channel.shape
    rows, columns = channel[:: max(1, H // _LINES)], channel[:, :: max(1, W // _LINES)].T
    fine, coarse, noise = np.add(_bands(rows), _bands(columns))
    structure = max(fine, 0.0) + max(coarse, 0.0)
    return max(fine, 0.0) / structure if structure > _STRUCTURE * noise else float("nan")


def _bands(lines: np.ndarray) -> np.ndarray:
    """Power of fine and of coarse structure, and of the noise that was taken off both, a pixel of (L, W) lines."""
    length = fft.next_fast_len(lines.shape[1], real=True)
    lines = lines.astype(np.float32)
    lines -= lines.mean(axis=1, keepdims=True)
    lines *= np.hanning(lines.shape[1]).astype(np.float32)
    spectra = fft.rfft(lines, length)
    power = (spectra.real**2 + spectra.imag**2).mean(axis=0, dtype=np.float64) / (length * lines.shape[1])
    frequency = fft.rfftfreq(length)
    noise = power[frequency > 1 / FINEST].mean()
    fine = power[(frequency > 1 / FINE) & (frequency <= 1 / FINEST)]
    coarse = power[(frequency > 1 / COARSE) & (frequency <= 1 / FINE)]
    bins = len(fine) + len(coarse)
    return np.array([fine.sum() - noise * len(fine), coarse.sum() - noise * len(coarse), noise * bins])
