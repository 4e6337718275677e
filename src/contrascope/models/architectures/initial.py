"""Initial weights of convolutions and of encoders' heads."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Convolution = TypeVar("Convolution", bound=nn.Conv2d | nn.ConvTranspose2d)


def he(layer: Convolution) -> Convolution:
    """The layer with weights as He et al. (2015) initialise them, and a bias of 0."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def near_the_prior(head: nn.Linear) -> nn.Linear:
    """An encoder's head whose first posteriors are close to N(0, I), so that no cell starts with a huge KL."""
    nn.init.normal_(head.weight, std=1e-3)
    nn.init.zeros_(head.bias)
    return head
