"""A deeper network for those who have the data: three stages of residual blocks, and their mirror.

    64 px -> 32 (32 channels) -> 16 (64 channels) -> 8 (128 channels), two blocks after each step

A block adds two 3 x 3 convolutions to what comes in; the second starts at a tenth of its usual size, so that the
network starts shallow and needs no normalisation (in the spirit of Zhang et al. 2019): a cell is never seen in the
light of the others in its batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrascope.models.architectures.gelu import Gelu, gelu
from contrascope.models.architectures.initial import he, near_the_prior
from contrascope.models.architectures.sides import doubling, sides
from contrascope.models.contrastive import Architecture

_WIDTHS = (32, 64, 128)
_BLOCKS = 2
_SMALL = 0.1


class Encoder(nn.Module):
    """(B, C, H, W) -> (B, 2 Z): mean and log-variance side by side.

    Args:
        channels: C.
        image_size: H = W.
        latent_size: Z.
    """

    def __init__(self, channels: int, image_size: int, latent_size: int):
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((channels, *_WIDTHS[:-1]), _WIDTHS, strict=True):
            layers += [he(nn.Conv2d(before, width, 3, stride=2, padding=1)), *_blocks(width)]
        self.layers = nn.Sequential(*layers, Gelu())
        self.head = nn.Linear(_WIDTHS[-1] * sides(image_size, len(_WIDTHS))[-1] ** 2, 2 * latent_size)
        near_the_prior(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2 Z) of (B, C, H, W)."""
        return self.head(self.layers(x).flatten(1))


class Decoder(nn.Module):
    """(B, Z) -> (B, C, H, W) in -1 ... 1.

    Args:
        channels: C.
        image_size: H = W.
        latent_size: Z, all spaces together.
    """

    def __init__(self, channels: int, image_size: int, latent_size: int):
        super().__init__()
        side, *larger = sides(image_size, len(_WIDTHS))[::-1]
        self.head = nn.Linear(latent_size, _WIDTHS[-1] * side**2)
        layers: list[nn.Module] = [nn.Unflatten(1, (_WIDTHS[-1], side, side))]
        for width, after, large in zip(_WIDTHS[::-1], (*_WIDTHS[-2::-1], channels), larger, strict=True):
            enlarging = doubling(width, after, small=side, large=large)
            layers += [*_blocks(width), Gelu(), he(enlarging)]
            side = large
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        """(B, C, H, W) of (B, Z)."""
        return self.layers(self.head(latent))


class Block(nn.Module):
    """x + conv(gelu(conv(gelu(x)))), the same shape in and out; at first it is nearly x.

    Args:
        width: Channels.
    """

    def __init__(self, width: int):
        super().__init__()
        self.first = he(nn.Conv2d(width, width, 3, padding=1))
        self.second = he(nn.Conv2d(width, width, 3, padding=1))
        with torch.no_grad():
            self.second.weight.mul_(_SMALL)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) of the same."""
        return x + self.second(gelu(self.first(gelu(x))))


def _blocks(width: int) -> list[nn.Module]:
    return [Block(width) for _ in range(_BLOCKS)]


residual = Architecture(Encoder, Decoder)
