"""Sides of an image on its way through a network that halves it, and back to the very same side.

A 3 x 3 convolution of stride 2 and padding 1 makes (side + 1) // 2 of a side: one of two sides comes back by the
transposed convolution as it is, the other with an output padding of 1.
"""

from __future__ import annotations

from itertools import accumulate

from torch import nn


def sides(image_size: int, halvings: int) -> list[int]:
    """Side before the first halving and after each: ``halvings`` + 1 of them."""
    return list(accumulate(range(halvings), lambda side, _: (side + 1) // 2, initial=image_size))


def doubling(before: int, width: int, *, small: int, large: int) -> nn.ConvTranspose2d:
    """The transposed convolution from one side to the one that it was made of by halving.

    Args:
        before: Channels that come in.
        width: Channels that go out.
        small: Side that comes in.
        large: Side that goes out, twice the small one or one less.
    """
    return nn.ConvTranspose2d(before, width, 3, stride=2, padding=1, output_padding=large - 2 * small + 1)
