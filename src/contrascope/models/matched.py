"""What the salient code of a control is on average, given its background code; to be taken off every cell's.

    s - E[s | z, control]        E by kernel ridge regression on controls:  k(z)^T (K + r I)^-1 (S - mean) + mean

The salient space is to hold what only perturbed cells have. In controls it holds something all the same, as the
encoder of s sees the whole image, and most of that follows from z: cell cycle, size, batch, place in the field. A
perturbed cell is compared here with controls of the same background: what they have in s is no effect of the
perturbation. The kernel is Gaussian, k = exp(-|z - z'|^2 / m) of standardised codes with m the median of |z - z'|^2, as
in ``independence.py``. Far from all controls it is 0 and nothing but the controls' mean is taken off: where controls do
not go, they say nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrascope.models.contrastive import Posterior

MOST_CONTROLS = 4_000
"""More make it no better that we could see, and each cell is compared with all of them."""
RIDGE = 0.1
"""r: noise of s beside a kernel of 1. Chosen on one synthetic screen, confirmed on two others (docs/log.md)."""


class MatchedControls(nn.Module):
    """E[s | z, control], fitted.

    Args:
        center, scale: (Z,) each: codes are standardised by them.
        anchors: (A, Z) standardised codes of controls.
        weights: (A, S) of the anchors.
        mean: (S,) of the controls' salient codes.
        width: () m, the kernel's.
    """

    center: Tensor
    scale: Tensor
    anchors: Tensor
    weights: Tensor
    mean: Tensor
    width: Tensor

    def __init__(self, *, center: Tensor, scale: Tensor, anchors: Tensor, weights: Tensor, mean: Tensor, width: Tensor):
        super().__init__()
        values = {"center": center, "scale": scale, "anchors": anchors, "weights": weights, "mean": mean}
        for name, value in (values | {"width": width}).items():
            self.register_buffer(name, value)

    def forward(self, background: Tensor) -> Tensor:
        """(B, S) salient codes that controls of these (B, Z) background codes have on average."""
        # In full precision: what is left of the difference is small.
        with torch.autocast(background.device.type, enabled=False):
            z = (background.float() - self.center) / self.scale
            return self.mean + torch.exp(-_squared_distances(z, self.anchors) / self.width) @ self.weights


def matched_controls(background: Tensor, salient: Tensor) -> MatchedControls:
    """Fit E[s | z, control].

    Args:
        background: (A, Z) codes of controls; with a technical space, its codes beside them.
        salient: (A, S) codes of the same controls.
    """
    z, s = background.double(), salient.double()
    center, scale = z.mean(0), z.std(0, correction=0).clamp_min(1e-6)
    anchors = (z - center) / scale
    square = _squared_distances(anchors, anchors)
    pairs = square[~torch.eye(len(z), dtype=torch.bool)]
    width = pairs.median().clamp_min(1e-6) if len(pairs) else square.new_ones(())
    kernel = torch.exp(-square / width) + RIDGE * torch.eye(len(z), dtype=torch.float64)
    mean = s.mean(0)
    weights = torch.linalg.solve(kernel, s - mean)
    fitted = {"center": center, "scale": scale, "anchors": anchors, "weights": weights, "mean": mean, "width": width}
    return MatchedControls(**{name: value.float() for name, value in fitted.items()})


def matched_in(q: Posterior) -> Tensor:
    """(B, Z) or (B, Z + T): the means by which a cell is matched to controls."""
    return torch.cat([normal.mean for normal in (q.background, q.technical) if normal is not None], dim=1)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """(B, A) of (B, Z) and (A, Z)."""
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp_min(0)
