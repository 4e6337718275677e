"""Weights that a network starts with keep the light of an image as it is, layer after layer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from contrascope.models.architectures.initial import he, near_the_prior


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_a_deep_network_of_rectifiers_neither_fades_nor_blows_up() -> None:
    """He et al. (2015): the mean square of what a layer is given stays, if half of it is cut off at 0."""
    x = torch.randn(4, 64, 24, 24)
    before = x.square().mean()
    for _ in range(10):
        layer = he(nn.Conv2d(64, 64, 3, padding=1, padding_mode="circular"))
        assert layer.bias is not None and not layer.bias.any()
        x = torch.relu(layer(x))
    # Without the factor of 2 for what is cut off it would be a thousandth.
    assert 0.4 < x.square().mean() / before < 2.5


def test_the_layer_is_given_back() -> None:
    layer, head = nn.ConvTranspose2d(3, 4, 3), nn.Linear(5, 6)
    assert he(layer) is layer
    assert near_the_prior(head) is head


def test_a_cell_costs_next_to_nothing_at_the_start() -> None:
    head = near_the_prior(nn.Linear(512, 2 * 32))
    mean, log_variance = head(torch.randn(100, 512)).chunk(2, dim=1)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
    assert kl.max() < 0.1, "nats of 32 dimensions"
    assert mean.std() > 0, "cells differ, or nothing would be learned"
