"""Shapes on patches: outlines, soft spots, drawn curves and smooth noise, for many cells at once.

A patch is ``PATCH`` x ``PATCH`` pixels with its cell's centre at ``CENTRE``. Everything is float32.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

PATCH = 80
CENTRE = PATCH // 2
ANGLES = 256
"""Steps of an outline around its centre; finer than a pixel at any radius in a patch."""
BANK = 256
"""Height and width of a field of noise."""

AXIS = (np.arange(PATCH) - CENTRE).astype(np.float32)


def polar(centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance and angle step of each pixel from a point of its patch.

    Args:
        centre: (B, 2), y and x relative to the patch's centre.

    Returns:
        (B, PATCH, PATCH) distance in pixels, and place in an outline.
    """
    centre = centre.astype(np.float32)
    dy = AXIS[None, :, None] - centre[:, 0, None, None]
    dx = AXIS[None, None, :] - centre[:, 1, None, None]
    step = np.rint(np.arctan2(dy, dx) * np.float32(ANGLES / (2 * np.pi))).astype(np.int32) % ANGLES
    return np.sqrt(dy * dy + dx * dx), step


_DISTANCE, _STEP = (grid[0] for grid in polar(np.zeros((1, 2))))


def outlines(
    radius: np.ndarray, elongation: np.ndarray, orientation: np.ndarray, rough: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Irregular ellipses, their boundary wavering in Fourier harmonics 2 to 7.

    Args:
        radius, elongation, orientation: (B,) geometric mean of the half axes in pixels, ratio, radians.
        rough: (B,) standard deviation of the second harmonic, as a share of the radius.

    Returns:
        (B, ANGLES) radius in each direction, in pixels.
    """
    angle = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    turned = angle - orientation[:, None]
    root = np.sqrt(elongation)[:, None]
    ellipse = radius[:, None] / np.hypot(np.cos(turned) / root, np.sin(turned) * root)
    harmonics = np.arange(2, 8)
    waves = rng.standard_normal((len(radius), 6)) * rough[:, None] * (2 / harmonics) ** 1.4
    phases = rng.uniform(0, 2 * np.pi, (len(radius), 6))
    waver = (waves[:, :, None] * np.cos(harmonics[:, None] * angle + phases[:, :, None])).sum(axis=1)
    # The exponential makes bumps pointed and dents shallow, as where a spread cell holds on to the ground.
    return (ellipse * np.exp(waver)).astype(np.float32)


def around(values: np.ndarray) -> np.ndarray:
    """(B, ANGLES) values in each direction as (B, PATCH, PATCH), about the patch's centre."""
    return np.take(values, _STEP, axis=1)


def depth(outline: np.ndarray) -> np.ndarray:
    """(B, PATCH, PATCH) how far a pixel lies inside an outline about the patch's centre, in pixels."""
    return around(outline) - _DISTANCE


def depth_about(outline: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """(B, PATCH, PATCH) how far a pixel lies inside an outline about ``centre``, (B, 2), in pixels."""
    distance, step = polar(centre)
    return np.take_along_axis(outline, step.reshape(len(outline), -1), axis=1).reshape(step.shape) - distance


def soft(inside: np.ndarray, width: float = 1.5) -> np.ndarray:
    """Depth as a share from 0 outside to 1 inside, over ``width`` pixels."""
    return np.clip(inside / np.float32(width) + np.float32(0.5), 0, 1)


def ridge(inside: np.ndarray, *, at: float, width: float) -> np.ndarray:
    """A Gaussian line along an outline, ``at`` pixels inside it."""
    return np.exp(-0.5 * ((inside - np.float32(at)) / np.float32(width)) ** 2)


def spots(centre: np.ndarray, sigma: np.ndarray, amplitude: np.ndarray) -> np.ndarray:
    """Sums of round Gaussian spots.

    Args:
        centre: (B, M, 2), y and x relative to the patch's centre.
        sigma, amplitude: (B, M); amplitude 0 for a spot that is not there.

    Returns:
        (B, PATCH, PATCH).
    """
    scale = (0.5 / sigma.astype(np.float32) ** 2)[:, :, None]
    y, x = (np.exp(-scale * (AXIS - centre[:, :, i, None].astype(np.float32)) ** 2) for i in (0, 1))
    # A Gaussian is a product of one over y and one over x, so a sum of spots is one matrix product.
    return np.matmul((y * amplitude.astype(np.float32)[:, :, None]).transpose(0, 2, 1), x)


def drawn(y: np.ndarray, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Curves given as points closer than a pixel, one pixel wide; the microscope's blur rounds them.

    Args:
        y, x: (B, points) relative to the patch's centre; points off the patch are left out.
        weight: (B, points).

    Returns:
        (B, PATCH, PATCH).
    """
    rows, columns = (np.rint(v).astype(np.int32) + CENTRE for v in (y, x))
    seen = (rows >= 0) & (rows < PATCH) & (columns >= 0) & (columns < PATCH)
    first = (np.arange(len(y), dtype=np.int32) * PATCH**2)[:, None]
    place = np.where(seen, first + rows * PATCH + columns, 0)
    image = np.bincount(place.ravel(), (weight * seen).ravel(), minlength=len(y) * PATCH**2)
    return image.astype(np.float32).reshape(len(y), PATCH, PATCH)


@cache
def _noise_bank() -> np.ndarray:
    """(2, 4, 2 BANK, BANK + PATCH) periodic smooth noise, fine and coarse, of standard deviation 1."""
    rng = np.random.default_rng(20240)
    bank = np.empty((2, 4, BANK, BANK), np.float32)
    for scale, sigma in enumerate((1.1, 2.6)):
        for i in range(bank.shape[1]):
            bank[scale, i] = ndimage.gaussian_filter(rng.standard_normal((BANK, BANK)), sigma, mode="wrap")
        bank[scale] /= bank[scale].std()
    return np.pad(bank, ((0, 0), (0, 0), (0, PATCH), (0, PATCH)), mode="wrap")


def noise(scale: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation about 1, from a window of a bank of fields.

    Args:
        scale: (B,) 0 fine to 1 coarse.

    Returns:
        (B, PATCH, PATCH).
    """
    bank = _noise_bank()
    image = np.empty((len(scale), PATCH, PATCH), np.float32)
    fine, coarse = np.cos(scale * np.pi / 2), np.sin(scale * np.pi / 2)
    for i, (field, y, x) in enumerate(rng.integers(0, (bank.shape[1], BANK, BANK), (len(scale), 3))):
        window = bank[:, field, y : y + PATCH, x : x + PATCH]
        image[i] = np.float32(fine[i]) * window[0] + np.float32(coarse[i]) * window[1]
    return image


def shared(image: np.ndarray) -> np.ndarray:
    """(B, PATCH, PATCH) scaled to a sum of 1 per cell; what is empty stays empty."""
    total = image.sum(axis=(1, 2), keepdims=True)
    return image / np.where(total > 0, total, np.float32(1))


def mixed(*parts: tuple[np.ndarray, np.ndarray | float]) -> np.ndarray:
    """Pictures of sum 1 mixed by their shares.

    Args:
        parts: Picture (B, PATCH, PATCH), and its share, (B,) or one for all.
    """
    image = np.zeros_like(parts[0][0])
    for part, share in parts:
        total = part.sum(axis=(1, 2))
        weight = np.asarray(share, np.float32) / np.where(total > 0, total, np.float32(1))
        image += part * weight[:, None, None]
    return image
