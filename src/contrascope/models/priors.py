"""Priors of a latent space, as the mean of a unit-variance normal for each perturbation.

    StandardPrior      p(z | m) = N(0, I)
    PerturbationPrior  p(z | m) = N(mu[m], I), mu[0] = 0

m = 0 is control. Its mean stays at 0 (Fig. 1A of the paper): controls are the origin, perturbations are
displacements from it. Where all cells drift away from the origin together, the mean of controls may be learned too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StandardPrior(nn.Module):
    """N(0, I) whatever the perturbation.

    Args:
        perturbations: K, without control.
        size: Z, dimensions of the space.
    """

    def __init__(self, perturbations: int, size: int):
        super().__init__()
        self.size = size

    def forward(self, m: Tensor) -> Tensor:
        """(B, Z) zeros, for (B,) perturbations."""
        return torch.zeros(len(m), self.size, device=m.device)


class PerturbationPrior(nn.Module):
    """N(mu[m], I), with a learned mean for each of the K perturbations, and 0 or a learned one for control.

    Args:
        perturbations: K, without control.
        size: Z, dimensions of the space.
        learned_control: Learn mu[0] as well.
    """

    def __init__(self, perturbations: int, size: int, *, learned_control: bool = False):
        super().__init__()
        self.means = nn.Parameter(torch.zeros(perturbations, size))
        self.control_mean = nn.Parameter(torch.zeros(1, size)) if learned_control else None

    def forward(self, m: Tensor) -> Tensor:
        """(B, Z) means, for (B,) perturbations 0 ... K."""
        # Plain indexing adds up its gradient in no fixed order once a batch is large; an embedding does not.
        if self.control_mean is None:
            return nn.functional.embedding(m, nn.functional.pad(self.means, (0, 0, 1, 0)))
        return nn.functional.embedding(m, torch.cat([self.control_mean, self.means]))
