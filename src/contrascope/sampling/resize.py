"""Pixels resized and their arcsinh, on a CPU at half of what torch's own two operations take (docs/log.md).

Resizing with anti-aliasing is a weighted sum over neighbours in a row, then over neighbours in a column:

    resized = R_H image R_W^T        R (size, H), a few weights a row

``F.interpolate`` goes through it number by number; ``weigh.py`` takes whole rows of numbers times a weight. On other
devices, and where somebody asks for gradients, it is ``F.interpolate``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_AS_THEY_ARE = (torch.uint8, torch.uint16, torch.float32)
"""Types of pixels for which a program of their own is worth its half second of compiling."""


def resized(x: Tensor, size: int) -> Tensor:
    """(B, C, size, size) float32 of (B, C, H, W) pixels of any type, bilinear with anti-aliasing."""
    if x.shape[-2:] == (size, size):
        return x.float()
    if x.device.type != "cpu" or x.requires_grad:
        return F.interpolate(x.float(), (size, size), mode="bilinear", antialias=True, align_corners=False)
    from contrascope.sampling.weigh import weighed  # numba takes half a second to import

    B, C, H, W = x.shape
    x = x if x.dtype in _AS_THEY_ARE else x.float()
    out = torch.empty(B, C, size, size)
    weighed(x.reshape(B * C, H, W).numpy(), *_weights(H, size), *_weights(W, size), out.view(B * C, size, size).numpy())
    return out


def arcsinh(x: Tensor) -> Tensor:
    """log(|x| + sqrt(x^2 + 1)) with the sign of x, for |x| < 1e19; differs from torch's by some 1e-7.

    It is taken of one less by ``log1p``, which is the quicker of torch's two logarithms.
    """
    y = x.abs()
    one = torch.ones((), dtype=x.dtype, device=x.device)
    return torch.addcmul(one, y, y).sqrt_().add_(y).sub_(1).log1p_().copysign_(x)


@lru_cache(maxsize=8)
def _weights(before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """(after,) first pixel that a resized one is made of, and (after, K) weights from there on, as torch has them."""
    with torch.inference_mode(False), torch.no_grad():
        each = torch.eye(before)[None, None]
        all_ = F.interpolate(each, (after, before), mode="bilinear", antialias=True, align_corners=False)[0, 0].numpy()
    few = int((all_ != 0).sum(1).max())
    first = np.minimum((all_ != 0).argmax(1), before - few)
    return first, np.stack([weights[start : start + few] for start, weights in zip(first, all_, strict=True)])
