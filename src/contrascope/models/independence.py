"""How much two things about the same cells depend on each other: the Hilbert-Schmidt independence criterion.

    HSIC(x, y) = 0 exactly where x and y are independent, whatever the form of their dependence

Used as a penalty it keeps one space from saying what another says, or from saying how a cell was imaged or perturbed
(Lopez et al. 2018). The estimator is the unbiased one of Song et al. 2012 (eq. 5): a biased one is positive on every
small batch, and its gradient then shrinks the spaces. Kernels are Gaussian, as wide as the median distance between
cells; of labels, 1 where two cells have the same and 0 where not.
"""

from __future__ import annotations

import torch
from torch import Tensor

MINIMUM = 4
"""Cells that the unbiased estimator needs."""
_NOTHING = 1e-6
"""What rounding leaves of the HSIC with itself of what does not vary; two cells of 512 that differ have 3e-5."""


def dependence(x: Tensor, y: Tensor) -> Tensor:
    """HSIC in units of the two's own: 0 where independent, 1 where one can be had from the other by moving and scaling.

    Args:
        x: (B, Z), at least four cells.
        y: (B, S) numbers of the same cells; or (B, F) whole numbers, a label of each of F kinds.

    Returns:
        (), about 0 to 1. On independent numbers it is 0 on average, so that single batches may lie below 0. Where one
        of the two is the same for all cells, or for all but one, it is 0 and has no gradient.
    """
    K, L = _kernel(x), _kernel(y)
    own_x, own_y = hsic(K, K), hsic(L, L)
    in_its_units = hsic(K, L) / (own_x.clamp_min(_NOTHING) * own_y.clamp_min(_NOTHING)).sqrt()
    return torch.where((own_x > _NOTHING) & (own_y > _NOTHING), in_its_units, 0.0)


def hsic(K: Tensor, L: Tensor) -> Tensor:
    """The unbiased estimate from two (B, B) kernel matrices, B >= 4."""
    B = len(K)
    if B < MINIMUM:
        raise ValueError(f"HSIC needs at least {MINIMUM} cells, not {B}.")
    K, L = (matrix - torch.diag(matrix.diagonal()) for matrix in (K, L))
    trace = (K * L).sum()
    sums = K.sum() * L.sum() / ((B - 1) * (B - 2))
    rows = 2 * (K.sum(0) * L.sum(0)).sum() / (B - 2)
    return (trace + sums - rows) / (B * (B - 3))


def gaussian_kernel(x: Tensor) -> Tensor:
    """(B, B) exp(-|x_i - x_j|^2 / m) with m the median of |x_i - x_j|^2 over pairs of cells; no gradient through m."""
    # In (B, B) numbers, not (B, B, Z); and in full precision, as what is left of the difference is small.
    with torch.autocast(x.device.type, enabled=False):
        length = x.square().sum(1)
        square = (length[:, None] + length - 2 * x @ x.T).clamp_min(0)
    pairs = square.detach()[~torch.eye(len(x), dtype=torch.bool, device=x.device)]
    return torch.exp(-square / pairs.median().clamp_min(1e-12))


def label_kernel(labels: Tensor) -> Tensor:
    """(B, B) share of the F labels that two cells have in common, float32, for (B, F) whole numbers."""
    return (labels[:, None] == labels).float().mean(2)


def _kernel(x: Tensor) -> Tensor:
    return gaussian_kernel(x) if x.is_floating_point() else label_kernel(x)
