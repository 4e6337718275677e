"""A model: perturbations are mixtures of a few programmes.

    p(s | m) = N(w[m] P, I), with P (programmes, S) shared by all perturbations and w[0] = 0

mcvae learns S numbers for each perturbation. Where perturbations have few cells each, as many as there are programmes
are easier to learn, and w says which perturbations do the same thing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrascope.config import TrainingSettings
from contrascope.models.contrastive import ContrastiveVAE
from contrascope.models.variants import Facts, mcvae

PROGRAMMES = 4


class ProgrammePrior(nn.Module):
    """N(w[m] P, I); the mean of control, m = 0, stays at 0.

    Args:
        perturbations: K, without control.
        size: S, dimensions of the space.
    """

    def __init__(self, perturbations: int, size: int):
        super().__init__()
        self.programmes = nn.Parameter(torch.randn(PROGRAMMES, size))
        # Not zero: then neither of the two would feel a gradient.
        self.weights = nn.Parameter(0.01 * torch.randn(perturbations, PROGRAMMES))

    def forward(self, m: Tensor) -> Tensor:
        """(B, S) means, for (B,) perturbations 0 ... K."""
        with_control = nn.functional.pad(self.weights, (0, 0, 1, 0))
        return nn.functional.embedding(m, with_control) @ self.programmes


def programmes(settings: TrainingSettings, facts: Facts) -> ContrastiveVAE:
    """mcvae with another prior of the salient space."""
    model = mcvae(settings, facts)
    model.priors["salient"] = ProgrammePrior(facts.perturbations, settings.salient_size)
    return model
