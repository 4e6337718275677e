"""What every registered architecture keeps: shapes, a mirror, and a gradient for every weight."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.models.contrastive import Architecture
from contrascope.registry import ARCHITECTURES

SHAPES = [*product((1, 2, 5), (16, 24, 64)), (64, 32), (64, 128), (3, 100)]
"""Channels and side; multiplexed images have tens of channels."""


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(params=list(ARCHITECTURES))
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return ARCHITECTURES[request.param]


@pytest.mark.parametrize(("channels", "side"), SHAPES)
def test_an_image_becomes_a_mean_and_a_log_variance(architecture: Architecture, channels: int, side: int) -> None:
    encoder = architecture.encoder(channels, side, 7)
    assert encoder(torch.zeros(3, channels, side, side)).shape == (3, 14)


@pytest.mark.parametrize(("channels", "side"), SHAPES)
def test_a_latent_becomes_an_image_within_one(architecture: Architecture, channels: int, side: int) -> None:
    decoded = architecture.decoder(channels, side, 7)(100 * torch.randn(3, 7))
    assert decoded.shape == (3, channels, side, side)
    assert (decoded.abs() <= 1).all()


@given(side=st.integers(16, 128))
@settings(max_examples=15, deadline=None)
def test_any_side_comes_back(side: int) -> None:
    for name in ARCHITECTURES:
        latent = ARCHITECTURES[name].encoder(1, side, 2)(torch.zeros(1, 1, side, side))[:, :2]
        assert ARCHITECTURES[name].decoder(1, side, 2)(latent).shape == (1, 1, side, side)


def test_every_weight_feels_a_gradient(architecture: Architecture) -> None:
    g = torch.Generator().manual_seed(0)
    encoder, decoder = architecture.encoder(2, 16, 4), architecture.decoder(2, 16, 4)
    mean, log_variance = encoder(torch.randn(4, 2, 16, 16, generator=g)).chunk(2, dim=1)
    decoded = decoder(mean + torch.exp(0.5 * log_variance) * torch.randn(4, 4, generator=g))
    (decoded - torch.randn(4, 2, 16, 16, generator=g)).square().sum().backward()
    for part in (encoder, decoder):
        for name, p in part.named_parameters():
            assert p.grad is not None, name
            assert p.grad.any(), name
            assert torch.isfinite(p.grad).all(), name


def test_the_latent_reaches_every_pixel_and_every_pixel_the_latent(architecture: Architecture) -> None:
    x = torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    architecture.encoder(2, 16, 4)(x).sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()
    latent = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    decoded = architecture.decoder(2, 16, 4)(latent)
    assert (decoded[0] != decoded[1]).all()


def test_memory_layout_does_not_change_what_is_seen(architecture: Architecture) -> None:
    encoder = architecture.encoder(3, 16, 4).eval()
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = encoder(x)
    encoder.to(memory_format=torch.channels_last)
    torch.testing.assert_close(encoder(x.to(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-5)
