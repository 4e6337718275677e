"""The paper's network, layer by layer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from contrascope.models.architectures.conv5 import Decoder, Encoder


def convolutions(module: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]


def test_there_are_five_convolutions_of_the_papers_widths_and_strides() -> None:
    layers = convolutions(Encoder(4, 64, 32))
    assert [layer.out_channels for layer in layers] == [32, 32, 64, 64, 64]
    assert [layer.stride for layer in layers] == [(s, s) for s in (2, 1, 2, 1, 2)]
    assert {layer.kernel_size for layer in layers} == {(3, 3)}


def test_the_decoder_is_the_encoders_mirror() -> None:
    down, up = convolutions(Encoder(4, 64, 32)), convolutions(Decoder(4, 64, 64))
    assert [(a.in_channels, a.out_channels, a.stride) for a in down] == [
        (b.out_channels, b.in_channels, b.stride) for b in reversed(up)
    ]
    assert [isinstance(layer, nn.ConvTranspose2d) for layer in up] == [layer.stride == (2, 2) for layer in up]


def test_a_transposed_convolution_of_stride_1_is_a_convolution() -> None:
    """Of the weights flipped, with inputs and outputs exchanged: nothing of the paper's decoder is lost."""
    transposed, plain = nn.ConvTranspose2d(3, 5, 3, padding=1), nn.Conv2d(3, 5, 3, padding=1)
    with torch.no_grad():
        plain.weight.copy_(transposed.weight.flip(2, 3).transpose(0, 1))
        plain.bias.copy_(transposed.bias)
    x = torch.rand(2, 3, 7, 7)
    torch.testing.assert_close(plain(x), transposed(x))


def test_an_image_shrinks_eightfold() -> None:
    x, sides = torch.zeros(1, 4, 64, 64), []
    for layer in Encoder(4, 64, 32).layers:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            sides.append(x.shape[-1])
    assert sides == [32, 32, 16, 16, 8]


def test_it_ends_in_tanh_and_has_gelu_between() -> None:
    decoder = Decoder(4, 64, 64)
    assert isinstance(decoder.layers[-1], nn.Tanh)
    assert sum(isinstance(layer, nn.GELU) for layer in decoder.layers) == 5
    assert sum(isinstance(layer, nn.GELU) for layer in Encoder(4, 64, 32).layers) == 5


def test_convolutions_start_as_he_has_it() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = convolutions(Encoder(4, 64, 32))
    for layer in layers:
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * layer.in_channels)), rel=0.1)
        assert layer.bias is not None
        assert not layer.bias.any()


def test_a_cell_starts_with_a_posterior_close_to_the_prior() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mean, log_variance = Encoder(4, 64, 32)(torch.rand(8, 4, 64, 64) * 2 - 1).chunk(2, dim=1)
    assert mean.abs().max() < 0.5
    assert log_variance.abs().max() < 0.5


def test_a_decoder_starts_away_from_the_ends_of_tanh() -> None:
    """Where tanh is flat nothing is learned."""
    for channels in (1, 4, 8):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            decoded = Decoder(channels, 64, 64)(torch.randn(16, 64))
        assert 1e-3 < decoded.std() < 0.7
        assert (decoded.abs() < 0.95).float().mean() > 0.99
