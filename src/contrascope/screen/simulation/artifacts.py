"""The microscope: what stands between the light of cells and the counts of a tile.

    counts = offset + gain · illumination · (blurred, shifted light + haze) + shot noise + read noise + hot pixels

Shot noise is the normal limit of a Poisson: with the haze there are tens of counts everywhere, and it is four
times as fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from contrascope.screen.simulation.design import CHANNELS

CAMERA_OFFSET = 100.0
READ_NOISE = 3.0
BLUR = (0.85, 0.8, 0.9, 0.85)
"""Standard deviation of each channel's point spread in pixels."""
HAZE = (40.0, 55.0, 30.0, 45.0)
"""Counts of light out of nowhere, for each channel."""
MAX_SHIFT = 6.0
HOT_SHARE = 3e-5
TAPS = 4
"""Half-width of the blurring kernel in pixels."""


@dataclass(frozen=True)
class Camera:
    """What is the same in all tiles of a screen.

    Attributes:
        falloff: (C,) share of light that the corner of a tile lacks.
        middle: (C, 2) where the light is brightest, from -1 to 1 across the tile, y and x.
        hot: (C, M, 3) hot pixels: y, x, counts added.
        tile_size: Pixels.
    """

    falloff: np.ndarray
    middle: np.ndarray
    hot: np.ndarray
    tile_size: int

    @cached_property
    def illumination(self) -> np.ndarray:
        """(C, H, W) share of light that arrives, 1 at the brightest."""
        axis = np.linspace(-1, 1, self.tile_size, dtype=np.float32)
        middle, falloff = self.middle.astype(np.float32), self.falloff.astype(np.float32)
        y = (axis - middle[:, :1])[:, :, None]
        x = (axis - middle[:, 1:])[:, None, :]
        return 1 - falloff[:, None, None] * (y * y + x * x) / 2


@dataclass(frozen=True)
class WellOptics:
    """Gain and offset of each channel in a well, both (C,)."""

    gain: np.ndarray
    offset: np.ndarray


def draw_camera(tile_size: int, rng: np.random.Generator) -> Camera:
    """A camera with its own light, and its own hot pixels in each channel."""
    C, M = len(CHANNELS), max(3, round(HOT_SHARE * tile_size**2))
    places = rng.integers(0, tile_size, (C, M, 2))
    counts = rng.integers(400, 2500, (C, M, 1))
    return Camera(
        falloff=rng.uniform(0.2, 0.4, C).round(4),
        middle=rng.uniform(-0.15, 0.15, (C, 2)).round(4),
        hot=np.concatenate([places, counts], axis=2),
        tile_size=tile_size,
    )


def draw_optics(rng: np.random.Generator) -> WellOptics:
    """Gains vary by a sixth from well to well, offsets by some counts."""
    gain = np.exp(rng.normal(0, 0.16, len(CHANNELS)))
    return WellOptics(gain.round(4), (CAMERA_OFFSET + rng.uniform(-12, 25, len(CHANNELS))).round(2))


def draw_shift(rng: np.random.Generator) -> np.ndarray:
    """(C, 2) where each channel lies relative to DAPI, y and x in pixels; 0 for DAPI.

    One in three is of whole pixels, the others are not.
    """
    shift = rng.uniform(-MAX_SHIFT, MAX_SHIFT, (len(CHANNELS), 2)).round(2)
    whole = rng.random((len(CHANNELS), 1)) < 1 / 3
    shift = np.where(whole, shift.round(), shift)
    shift[0] = 0
    return shift + 0.0


def photograph(
    light: np.ndarray, shift: np.ndarray, camera: Camera, optics: WellOptics, rng: np.random.Generator
) -> np.ndarray:
    """A tile as the camera stores it.

    Args:
        light: (C, H + 2 margin, W + 2 margin) counts of the cells' light, with what lies around the tile.
        shift: (C, 2) in pixels, smaller than the margin.

    Returns:
        (C, H, W) uint16.
    """
    tile = np.empty((len(light), camera.tile_size, camera.tile_size), np.uint16)
    for c, channel in enumerate(light):
        seen = _focused(channel, shift[c], BLUR[c], camera.tile_size) + np.float32(HAZE[c])
        seen *= camera.illumination[c] * np.float32(optics.gain[c])
        noise = rng.standard_normal(seen.shape, dtype=np.float32)
        seen += noise * np.sqrt(seen + np.float32(READ_NOISE**2)) + np.float32(optics.offset[c])
        y, x, counts = camera.hot[c].T
        np.add.at(seen, (y, x), counts.astype(np.float32))
        tile[c] = np.clip(np.rint(seen), 0, 65535)
    return tile


def _focused(light: np.ndarray, shift: np.ndarray, sigma: float, size: int) -> np.ndarray:
    """(H, W) the middle of a picture, blurred and moved by ``shift``."""
    whole = np.rint(shift).astype(int)
    margin = (len(light) - size) // 2
    top, left = margin - whole - TAPS
    window = light[top : top + size + 2 * TAPS, left : left + size + 2 * TAPS]
    # A Gaussian whose centre lies between two pixels blurs and moves by part of a pixel in one go.
    for axis in (0, 1):
        taps = np.arange(-TAPS, TAPS + 1) - (shift[axis] - whole[axis])
        kernel = np.exp(-0.5 * (taps / sigma) ** 2)
        window = ndimage.convolve1d(window, kernel / kernel.sum(), axis=axis)
    return window[TAPS:-TAPS, TAPS:-TAPS]
