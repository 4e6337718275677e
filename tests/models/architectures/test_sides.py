"""An image is halved, and comes back to its very side."""

from __future__ import annotations

import torch
from hypothesis import given
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
