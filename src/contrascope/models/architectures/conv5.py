"""The paper's network: five 3 x 3 convolutions, and their mirror.

    strides  2  1  2  1  2      widths  32 32 64 64 64      64 px -> 32 -> 32 -> 16 -> 16 -> 8 px

GELU between layers, a linear head for mean and log-variance, tanh at the decoder's end, He initialisation.
A transposed convolution of stride 1 is a convolution, and is written as one, whose gradient is cheaper on a CPU.
"""

from __future__ import annotations

from torch import Tensor, nn

from contrascope.models.architectures.gelu import Gelu
from contrascope.models.architectures.initial import he, near_the_prior
from contrascope.models.architectures.sides import doubling, sides
from contrascope.models.contrastive import Architecture

_WIDTHS = (32, 32, 64, 64, 64)
_STRIDES = (2, 1, 2, 1, 2)
_HALVINGS = _STRIDES.count(2)


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
        for before, width, stride in zip((channels, *_WIDTHS[:-1]), _WIDTHS, _STRIDES, strict=True):
            layers += [nn.Conv2d(before, width, 3, stride, padding=1), Gelu()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(_WIDTHS[-1] * sides(image_size, _HALVINGS)[-1] ** 2, 2 * latent_size)
        _initialise(self.layers)
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
        *larger, side = sides(image_size, _HALVINGS)
        self.head = nn.Linear(latent_size, _WIDTHS[-1] * side**2)
        layers: list[nn.Module] = [nn.Unflatten(1, (_WIDTHS[-1], side, side)), Gelu()]
        widths = (*_WIDTHS[::-1], channels)
        for before, width, stride in zip(widths[:-1], widths[1:], _STRIDES[::-1], strict=True):
            if stride == 1:
                layers += [nn.Conv2d(before, width, 3, padding=1), Gelu()]
            else:
                small, side = side, larger.pop()
                layers += [doubling(before, width, small=small, large=side), Gelu()]
        self.layers = nn.Sequential(*layers[:-1], nn.Tanh())
        _initialise(self.layers)

    def forward(self, latent: Tensor) -> Tensor:
        """(B, C, H, W) of (B, Z)."""
        return self.layers(self.head(latent))


def _initialise(layers: nn.Module) -> None:
    """He initialisation of every convolution."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            he(layer)


conv5 = Architecture(Encoder, Decoder)
