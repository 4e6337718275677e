"""Sides of an image on its way through a network that halves it, and back to the very same side.

A 3 x 3 convolution of stride 2 and padding 1 makes (side + 1) // 2 of a side: one of two sides comes back by the
transposed convolution as it is, the other with an output padding of 1.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight


def sides(image_size: int, halvings: int) -> list[int]:
    """Side before the first halving and after each: ``halvings`` + 1 of them."""
    return list(accumulate(range(halvings), lambda side, _: (side + 1) // 2, initial=image_size))


class Doubling(nn.ConvTranspose2d):
    """A transposed convolution of stride 2 whose three gradients are asked for one by one.

    Asked for all of them at once, oneDNN takes three times as long: the bias costs more than input and weights.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, width, H, W) of the larger side, of (B, before, H, W) of the smaller."""
        assert output_size is None, "the side that comes out follows from output_padding"
        assert self.bias is not None
        parts, device = (x, self.weight, self.bias), x.device.type
        if torch.is_autocast_enabled(device):
            rounded = torch.get_autocast_dtype(device)
            parts = (x.to(rounded), self.weight.to(rounded), self.bias.to(rounded))
        return _Doubled.apply(*parts, self.output_padding)


class _Doubled(torch.autograd.Function):
    """Backwards, a transposed convolution is a convolution, and its weights' gradient that of a convolution's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, output_padding: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=output_padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), (of_made,) = ctx.saved_tensors, gradients
        wants_x, wants_weight, wants_bias, _ = ctx.needs_input_grad
        return (
            F.conv2d(of_made, weight, stride=2, padding=1) if wants_x else None,
            conv2d_weight(of_made, weight.shape, x, stride=2, padding=1) if wants_weight else None,
            of_made.sum((0, 2, 3)) if wants_bias else None,
            None,
        )


def doubling(before: int, width: int, *, small: int, large: int) -> Doubling:
    """The transposed convolution from one side to the one that it was made of by halving.

    Args:
        before: Channels that come in.
        width: Channels that go out.
        small: Side that comes in.
        large: Side that goes out, twice the small one or one less.
    """
    return Doubling(before, width, 3, stride=2, padding=1, output_padding=large - 2 * small + 1)
