"""The deeper network: blocks that start as next to nothing, and cells that do not see each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from contrascope.models.architectures.residual import Block, Decoder, Encoder


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_a_block_starts_close_to_passing_on_what_it_gets() -> None:
    block, x = Block(32), torch.randn(4, 32, 8, 8)
    assert (block(x) - x).std() < 0.2 * x.std()


def test_the_decoder_is_the_encoders_mirror() -> None:
    down = [layer for layer in Encoder(4, 64, 32).layers if isinstance(layer, nn.Conv2d)]
    up = [layer for layer in Decoder(4, 64, 64).layers if isinstance(layer, nn.ConvTranspose2d)]
    assert [(a.in_channels, a.out_channels) for a in down] == [(b.out_channels, b.in_channels) for b in reversed(up)]
    assert [layer.out_channels for layer in down] == [32, 64, 128]


@pytest.mark.parametrize(("channels", "side"), [(1, 32), (4, 64), (64, 128)])
def test_sizes_follow_from_the_image(channels: int, side: int) -> None:
    x = torch.rand(1, channels, side, side) * 2 - 1
    assert Encoder(channels, side, 6)(x).shape == (1, 12)
    assert Decoder(channels, side, 6)(torch.randn(1, 6)).shape == x.shape


def test_a_cell_is_encoded_the_same_in_any_company() -> None:
    encoder = Encoder(2, 32, 5)
    x = torch.rand(6, 2, 32, 32)
    torch.testing.assert_close(encoder(x)[2:3], encoder(x[2:3]), rtol=1e-4, atol=1e-5)


def test_it_starts_close_to_the_prior_and_away_from_the_ends_of_tanh() -> None:
    mean, log_variance = Encoder(4, 64, 32)(torch.rand(8, 4, 64, 64) * 2 - 1).chunk(2, dim=1)
    assert mean.abs().max() < 0.5
    assert log_variance.abs().max() < 0.5
    decoded = Decoder(4, 64, 64)(torch.randn(16, 64))
    assert 1e-3 < decoded.std() < 0.7
    assert (decoded.abs() < 0.95).float().mean() > 0.99
