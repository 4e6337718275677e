"""An image is halved, and comes back to its very side."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from contrascope.models.architectures.sides import doubling, sides


def test_64_pixels_become_8_in_three_halvings() -> None:
    assert sides(64, 3) == [64, 32, 16, 8]


@given(side=st.integers(3, 300))
def test_sides_are_those_of_convolutions_there_and_back(side: int) -> None:
    large, small = sides(side, 1)
    x = torch.zeros(1, 1, side, side)
    halved = nn.Conv2d(1, 1, 3, stride=2, padding=1)(x)
    assert large == side
    assert halved.shape[-1] == small
    assert doubling(1, 1, small=small, large=large)(halved).shape == x.shape


@settings(deadline=None, max_examples=20)
@given(channels=st.integers(1, 5), width=st.integers(1, 5), side=st.integers(3, 12), rounded=st.booleans())
def test_a_doubling_and_its_gradients_are_those_of_a_transposed_convolution(
    channels: int, width: int, side: int, rounded: bool
) -> None:
    large, small = sides(side, 1)
    random = torch.Generator().manual_seed(side)
    mine = doubling(channels, width, small=small, large=large)
    torchs = nn.ConvTranspose2d(
        channels, width, 3, stride=2, padding=1, output_padding=mine.output_padding, dtype=torch.float32
    )
    torchs.load_state_dict(mine.state_dict())
    x, weights = (torch.randn(2, c, s, s, generator=random) for c, s in ((channels, small), (width, large)))
    found = []
    for layer in (mine, torchs):
        here = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            made = layer(here)
        (made.float() * weights).sum().backward()
        found.append([made, here.grad, layer.weight.grad, layer.bias.grad])
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        # A bias has the sum of hundreds of numbers for its gradient, in another order.
        torch.testing.assert_close(
            one, other, **({"rtol": 0.02, "atol": 0.1} if rounded else {"rtol": 1e-4, "atol": 1e-4})
        )


def test_a_doubling_has_the_gradients_of_finite_differences() -> None:
    layer = doubling(2, 3, small=3, large=5).double()
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, *layer.parameters()))
