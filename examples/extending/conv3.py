"""An architecture: three convolutions of stride 2 and their mirror, for quick trials on a laptop.

widths  16 32 64      64 px -> 32 -> 16 -> 8 px
"""

from __future__ import annotations

from torch import Tensor, nn

from contrascope.models.architectures.sides import doubling, sides
from contrascope.models.contrastive import Architecture

WIDTHS = (16, 32, 64)


class Encoder(nn.Module):
    """(B, C, H, W) -> (B, 2 Z): mean and log-variance side by side."""

    def __init__(self, channels: int, image_size: int, latent_size: int):
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((channels, *WIDTHS[:-1]), WIDTHS, strict=True):
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.GELU()]
        smallest = sides(image_size, len(WIDTHS))[-1]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(WIDTHS[-1] * smallest**2, 2 * latent_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2 Z) of (B, C, H, W)."""
        return self.head(self.layers(x))


class Decoder(nn.Module):
    """(B, Z) -> (B, C, H, W) in -1 ... 1, whatever side the encoder began with."""

    def __init__(self, channels: int, image_size: int, latent_size: int):
        super().__init__()
        *larger, side = sides(image_size, len(WIDTHS))
        layers: list[nn.Module] = [nn.Linear(latent_size, WIDTHS[-1] * side**2)]
        layers += [nn.Unflatten(1, (WIDTHS[-1], side, side)), nn.GELU()]
        for before, width in zip(WIDTHS[::-1], (*WIDTHS[-2::-1], channels), strict=True):
            small, side = side, larger.pop()
            layers += [doubling(before, width, small=small, large=side), nn.GELU()]
        self.layers = nn.Sequential(*layers[:-1], nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        """(B, C, H, W) of (B, Z)."""
        return self.layers(latent)


conv3 = Architecture(Encoder, Decoder)
