"""Images as colours, channel by channel in its own; arrays only, so that it is loaded in no time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.number]
Limits = NDArray[np.float64]
SHOWN_PERCENTILES = (0.5, 99.7)
CHANNEL_COLOURS = ((0.25, 0.45, 1.0), (0.1, 0.9, 0.3), (1.0, 0.2, 0.55), (1.0, 0.75, 0.1), (0.2, 0.9, 0.95))
"""Blue first: a nuclear stain usually is. Further channels begin again."""
_NAMES = ("blue", "green", "pink", "yellow", "cyan")


def colour_key(channels: Sequence[str]) -> str:
    """Which channel has which colour in a composite, in words."""
    return ", ".join(f"{name} {_NAMES[c % len(_NAMES)]}" for c, name in enumerate(channels))


def limits_of(images: Images) -> Limits:
    """Black and white point of each channel, (C, 2), from images (N, C, H, W)."""
    flat = np.moveaxis(np.asarray(images, dtype=np.float64), 1, 0).reshape(images.shape[1], -1)
    limits: Limits = np.percentile(flat, SHOWN_PERCENTILES, axis=1).T
    return limits


def composite(images: Images, *, limits: Limits | None = None) -> NDArray[np.float64]:
    """Images (N, C, H, W) as colours (N, H, W, 3) in 0 to 1: each channel in its own colour.

    Channels are laid over each other like slides on one screen, 1 - (1 - a)(1 - b), which saturates later than
    their sum.
    """
    grey = scaled(images, limits_of(images) if limits is None else limits)
    tints = np.array([CHANNEL_COLOURS[c % len(CHANNEL_COLOURS)] for c in range(images.shape[1])])
    dark = np.ones((len(images), *images.shape[2:], 3))
    for channel, tint in enumerate(tints):
        dark *= 1 - grey[:, channel, :, :, None] * tint
    return 1 - dark


def scaled(images: Images, limits: Limits) -> NDArray[np.float64]:
    """Images on 0 (black point) to 1 (white point), channel by channel."""
    low, high = (limits[None, :, end, None, None] for end in (0, 1))
    width = np.where(high > low, high - low, 1.0)
    scaled: NDArray[np.float64] = np.clip((np.asarray(images, dtype=np.float64) - low) / width, 0, 1)
    return scaled
