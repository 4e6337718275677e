"""Windows cut out of a tile, with intensities clipped and channels moved onto the reference channel.

A shift of whole pixels moves the window instead of the tile. Only what is interpolated needs the tile as a whole.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from contrascope.store.measure import clipped


def windows(tile: np.ndarray, limits: np.ndarray, shifts: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray:
    """What ``cleaned`` shows in windows of ``size`` x ``size``, at the price of the windows and not of the tile.

    Args:
        tile: (C, H, W) pixels.
        limits: (C, 2) lowest and highest intensity.
        shifts: (C, 2) whole pixels to undo.
        corners: (B, 2) first row and column of each window.
        size: Of a window.

    Returns:
        (B, C, size, size)
    """
    cut = np.empty((len(corners), len(tile), size, size), tile.dtype)
    last = np.array(tile.shape[1:]) - size
    for c, (channel, shift) in enumerate(zip(tile, shifts, strict=True)):
        moved = corners + shift
        inside = ((moved >= 0) & (moved <= last)).all(axis=1)
        for b, (y, x) in enumerate(moved.tolist()):
            cut[b, c] = channel[y : y + size, x : x + size] if inside[b] else _at_the_edge(channel, y, x, size)
    low, high = limits.T[:, :, None, None].astype(tile.dtype)
    return np.clip(cut, low, high, out=cut)


def cleaned(tile: np.ndarray, limits: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """A tile with intensities clipped and channels moved onto the reference channel.

    Args:
        tile: (C, H, W) pixels.
        limits: (C, 2) lowest and highest intensity.
        shifts: (C, 2) pixels to undo. What is whole in them moves pixels; a fraction is interpolated.

    Returns:
        (C, H, W); pixels that a shift brings in from outside repeat the tile's edge.
    """
    return np.stack([_moved(c, shift) for c, shift in zip(clipped(tile, limits), shifts, strict=True)])


def _at_the_edge(channel: np.ndarray, y: int, x: int, size: int) -> np.ndarray:
    """A window that leaves the tile, whose edge is repeated."""
    H, W = channel.shape
    return channel[np.arange(y, y + size).clip(0, H - 1)[:, None], np.arange(x, x + size).clip(0, W - 1)]


def _moved(channel: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The channel with what lay at (y + dy, x + dx) brought to (y, x)."""
    H, W = channel.shape
    whole = np.rint(shift).astype(int)
    rows, columns = np.arange(H) + whole[0], np.arange(W) + whole[1]
    moved = channel[rows.clip(0, H - 1)[:, None], columns.clip(0, W - 1)]
    return _interpolated(moved, shift - whole) if (shift != whole).any() else moved


def _interpolated(channel: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """The channel moved by half a pixel at most along each axis, within the range of its values."""
    values = channel.astype(np.float32)
    for axis in (0, 1):
        values = ndimage.correlate1d(values, _cubic(float(rest[axis])), axis=axis, mode="nearest")
    values = np.clip(values, channel.min(), channel.max())
    return (np.rint(values) if channel.dtype.kind == "u" else values).astype(channel.dtype)


def _cubic(rest: float) -> np.ndarray:
    """Weights of the pixels from -2 to 2 in a cubic convolution at ``rest`` (Keys 1981, a = -1/2)."""
    d = np.abs(np.arange(-2, 3) - rest)
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.select([d <= 1, d < 2], [near, far], 0.0)
