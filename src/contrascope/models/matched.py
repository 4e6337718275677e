"""What the salient code of a control is on average, given its background code; to be taken off every cell's.

    s - E[s | z, control]        E by kernel ridge regression on controls:  k(z)^T (K + r I)^-1 (S - mean) + mean

The salient space is to hold what only perturbed cells have. In controls it holds something all the same, as the
encoder of s sees the whole image, and most of that follows from z: cell cycle, size, batch, place in the field. A
perturbed cell is compared here with controls of the same background: what they have in s is no effect of the
perturbation. The kernel is Gaussian, k = exp(-|z - z'|^2 / m) of standardised codes with m the median of |z - z'|^2, as
in ``independence.py``. Far from all controls it is 0 and nothing but the controls' mean is taken off: where controls do
not go, they say nothing.

A control that was fitted on must be compared with the others alone, or controls as a whole lie closer to 0 than cells
that are nothing else but were not fitted on, and every perturbation seems to do something. Its residual without itself
is r a_i / (1 - H_ii), H = K (K + r I)^-1, the leave-one-out residual of ridge regression. Mean, scales and width of
the kernel still know the cell, which counts where controls are fewer than some twenty.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrascope.models.contrastive import Posterior

MOST_CONTROLS = 4_000
"""Each cell is compared with all of them, so there is a limit; what more would give was not measured."""
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
        rows: (A,) rows of the anchors in the store they are of, ascending.
        others: (A,) share of an anchor's own residual that is left in sight of itself: 1 less its leverage.
    """

    center: Tensor
    scale: Tensor
    anchors: Tensor
    weights: Tensor
    mean: Tensor
    width: Tensor
    rows: Tensor
    others: Tensor

    def __init__(self, **fitted: Tensor):
        super().__init__()
        if fitted.keys() != (wanted := set(MatchedControls.__annotations__)):
            raise TypeError(f"{sorted(fitted)} was found, {sorted(wanted)} was needed")
        for name, value in fitted.items():
            self.register_buffer(name, value)

    def forward(self, background: Tensor) -> Tensor:
        """(B, S) salient codes that controls of these (B, Z) background codes have on average."""
        # In full precision: what is left of the difference is small.
        with torch.autocast(background.device.type, enabled=False):
            z = (background.float() - self.center) / self.scale
            return self.mean + _squared_distances(z, self.anchors).div_(-self.width).exp_() @ self.weights

    def residual(self, background: Tensor, salient: Tensor, rows: Tensor | None) -> Tensor:
        """What is left of salient codes, (B, S).

        Args:
            background: (B, Z).
            salient: (B, S).
            rows: (B,) rows in the store of the anchors; None for cells of another. A control that is an anchor is
                compared with all others: in sight of itself it would seem closer to controls than any new one.
        """
        rest = salient - self(background)
        if rows is None:
            return rest
        place = torch.searchsorted(self.rows, rows).clamp_max(len(self.rows) - 1)
        return rest / torch.where(self.rows[place] == rows, self.others[place], 1.0)[:, None]


def fitted_controls(background: Tensor, salient: Tensor, rows: Tensor) -> MatchedControls:
    """Fit E[s | z, control].

    Args:
        background: (A, Z) codes of controls; with a technical space, its codes beside them.
        salient: (A, S) codes of the same controls.
        rows: (A,) their rows in the store, ascending.
    """
    z, s = background.double(), salient.double()
    center, scale = z.mean(0), z.std(0, correction=0).clamp_min(1e-6)
    anchors = (z - center) / scale
    # As much as can be is done in place: of 4,000 controls each (A, A) takes 128 MB.
    kernel = _squared_distances(anchors, anchors)
    pairs = kernel[torch.ones_like(kernel, dtype=torch.bool).tril_(-1)]
    width = pairs.median().clamp_min(1e-6) if len(pairs) else kernel.new_ones(())
    del pairs
    kernel.div_(-width).exp_().diagonal().add_(RIDGE)
    inverse = torch.linalg.inv(kernel)
    fitted = {"center": center, "scale": scale, "anchors": anchors, "width": width, "mean": s.mean(0)}
    fitted |= {"weights": inverse @ (s - s.mean(0)), "others": RIDGE * inverse.diagonal()}
    return MatchedControls(**{name: value.float() for name, value in fitted.items()}, rows=rows.long())


def matched_in(q: Posterior) -> Tensor:
    """(B, Z) or (B, Z + T): the means by which a cell is matched to controls."""
    return torch.cat([normal.mean for normal in (q.background, q.technical) if normal is not None], dim=1)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """(B, A) of (B, Z) and (A, Z)."""
    square = x.square().sum(1)[:, None] + y.square().sum(1)
    return square.sub_(2 * x @ y.T).clamp_min_(0)
