"""A trained model made ready to embed on a CPU: weights rounded once, each convolution and its GELU one operation.

Autocast rounds weights to bfloat16 in every batch, and a GELU by itself reads and writes all that a convolution has
just written. Both are a fifth of the work of ``conv5``. What comes out is what autocast gives, but for one rounding
less between a convolution and its GELU.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from contrascope.models.contrastive import ContrastiveVAE

_ROUNDED_BY_AUTOCAST = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def rounded(model: ContrastiveVAE) -> ContrastiveVAE:
    """A copy of a model to evaluate under bfloat16 autocast on a CPU; it gives means and images as the model does."""
    model = deepcopy(model).eval().requires_grad_(False)
    for module in list(model.modules()):
        if isinstance(module, _ROUNDED_BY_AUTOCAST):
            module.to(torch.bfloat16)
        if isinstance(module, nn.Sequential) and _can_fuse():
            _fuse(module)
    return model


class _ConvolutionWithGelu(nn.Module):
    """A convolution and the GELU behind it in one pass over memory: the operation that torch.compile would choose."""

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        self.convolution = convolution
        self._ordered: Tensor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_ordered": None}  # a tensor in oneDNN's own layout cannot be copied

    def forward(self, x: Tensor) -> Tensor:
        c = self.convolution
        fused = torch.ops.mkldnn._convolution_pointwise
        x = x.to(c.weight.dtype)
        how = (c.padding, c.stride, c.dilation, c.groups)
        if self._ordered is None:  # in oneDNN's own layout, once: it would otherwise convert them at each call
            self._ordered = torch.ops.mkldnn._reorder_convolution_weight(c.weight, *how, x.shape)
        return fused(x, self._ordered, c.bias, *how, "gelu", [], "none")


def _fuse(layers: nn.Sequential) -> None:
    """Replace each convolution that a GELU follows; the GELU becomes nothing."""
    for i in range(len(layers) - 1):
        convolution, after = layers[i], layers[i + 1]
        if isinstance(convolution, nn.Conv2d) and _is_plain(convolution) and _is_exact_gelu(after):
            layers[i], layers[i + 1] = _ConvolutionWithGelu(convolution), nn.Identity()


def _is_plain(convolution: nn.Conv2d) -> bool:
    return convolution.padding_mode == "zeros" and isinstance(convolution.padding, tuple)


def _is_exact_gelu(layer: nn.Module) -> bool:
    return isinstance(layer, nn.GELU) and layer.approximate == "none"


def _can_fuse() -> bool:
    """Whether this torch has oneDNN and the two operations, which are no part of its public interface."""
    of_one = ("_convolution_pointwise", "_reorder_convolution_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in of_one)
