"""Priors of a latent space, as the mean of a unit-variance normal for each perturbation.

    StandardPrior      p(z | m) = N(0, I)
    PerturbationPrior  p(z | m) = N(mu[m], I), mu[0] = 0
    LevelMeans         p(t | d) = N(sum over f of mu_f[d_f], I)

m = 0 is control. Its mean stays at 0 (Fig. 1A of the paper), so that perturbations are meant to be displacements from
controls. The codes of controls need not lie there: where all cells drift away from the origin together, every mu[m]
goes with them, unless the mean of controls is learned too.
d is how a cell was imaged, its level d_f of each technical column f: its batch, say, and how far it lies from the
middle of its tile.
"""

from __future__ import annotations

from collections.abc import Sequence

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


class LevelMeans(nn.Module):
    """sum over f of mu_f[d_f], with a learned vector for each level of each of F technical columns.

    It is the mean of the technical space's prior, N(., I), and what a conditioned decoder is told.

    Args:
        levels: How many levels each column has.
        size: T, dimensions of each vector.
        spread: Standard deviation of the entries they start with.
    """

    def __init__(self, levels: Sequence[int], size: int, *, spread: float = 0.0):
        super().__init__()
        self.means = nn.ParameterList(spread * torch.randn(n, size) for n in levels)

    def forward(self, levels: Tensor) -> Tensor:
        """(B, T), for (B, F) levels of B cells."""
        return torch.stack([nn.functional.embedding(d, mu) for d, mu in zip(levels.T, self.means, strict=True)]).sum(0)
