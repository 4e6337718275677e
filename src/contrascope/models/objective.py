"""The objective, one function for the whole family: equations 1 to 4 of the paper, in nats per cell.

    perturbed  -log p(x|z,s) + beta [ KL(q(z|x) || p(z|m)) + KL(q(s|x) || p(s|m)) ]
    control    -log p(x|z,0) + beta [ KL(q(z|x) || p(z|0)) + lambda W2^2(q(s|x), delta_0) ]

A member of the family differs in its priors p(z|m) and p(s|m) alone; the vae has no s. Beyond the paper, a weight may
be put on the dependence of z and s among the perturbed cells of a batch (``independence.py``).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from contrascope.models.contrastive import ContrastiveVAE, Normal, Posterior
from contrascope.models.independence import MINIMUM, dependence
from contrascope.models.peers import noise_like, of_all
from contrascope.vocabulary import Batch


class Terms(NamedTuple):
    """The objective's terms for each cell, (B,) each, in nats and not yet weighted.

    Attributes:
        reconstruction: -log p(x | z, s), or of (z, 0) for a control.
        background: KL(q(z|x) || p(z|m)).
        salient: KL(q(s|x) || p(s|m)) of a perturbed cell; 0 for a control.
        leak: W2^2(q(s|x), delta_0) of a control; 0 for a perturbed cell. In latent units squared.
        dependence: Of z and s over the batch's perturbed cells, about 0 to 1, the same for each cell; 0 if not asked
            for, or with too few cells.
    """

    reconstruction: Tensor
    background: Tensor
    salient: Tensor
    leak: Tensor
    dependence: Tensor

    def total(self, *, beta: float, wasserstein_weight: float, independence_weight: float = 0.0) -> Tensor:
        """(B,) the objective of each cell; its mean is the loss."""
        prior = self.background + self.salient + wasserstein_weight * self.leak
        return self.reconstruction + beta * (prior + independence_weight * self.dependence)


def objective(
    model: ContrastiveVAE, batch: Batch, *, generator: torch.Generator | None = None, dependent: bool = False
) -> Terms:
    """The objective's terms for each cell of a batch.

    Args:
        model: Any member of the family.
        batch: B cells; perturbation 0 is control.
        generator: Source of the posterior sample; torch's own when None.
        dependent: Also say how much z and s depend on each other.
    """
    x, m, control = batch.images, batch.perturbation, batch.perturbation == 0
    q = model.encode(x)
    z = q.background.sample(noise_like(q.background.mean, generator))
    kl_background = kl_to_unit_normal(q.background, model.priors["background"](m))
    if q.salient is None:
        zero = torch.zeros_like(kl_background)
        return Terms(model.likelihood(x, model.decode(z, None)), kl_background, zero, zero, zero)
    s = q.salient.sample(noise_like(q.salient.mean, generator))
    s = torch.where(control[:, None], 0.0, s)  # controls are decoded from (z, 0)
    kl_salient = kl_to_unit_normal(q.salient, model.priors["salient"](m))
    return Terms(
        reconstruction=model.likelihood(x, model.decode(z, s)),
        background=kl_background,
        salient=torch.where(control, 0.0, kl_salient),
        leak=torch.where(control, squared_wasserstein_to_zero(q.salient), 0.0),
        dependence=_dependence(q, ~control) if dependent else torch.zeros_like(kl_background),
    )


def kl_to_unit_normal(q: Normal, prior_mean: Tensor) -> Tensor:
    """KL(q || N(prior_mean, I)), in nats.

    Args:
        q: Diagonal normal over (B, Z).
        prior_mean: (B, Z).

    Returns:
        (B,), >= 0.
    """
    square = (q.mean - prior_mean).square() + q.log_variance.exp()
    return 0.5 * (square - 1 - q.log_variance).sum(1)


def squared_wasserstein_to_zero(q: Normal) -> Tensor:
    """Squared 2-Wasserstein distance from q(s | x) to a point mass at 0, in latent units squared.

    Args:
        q: Diagonal normal over (B, S).

    Returns:
        (B,), >= 0: |mean|^2 + |std|^2. The penalty of Weinberger et al. 2022b.
    """
    return (q.mean.square() + q.log_variance.exp()).sum(1)


def _dependence(q: Posterior, perturbed: Tensor) -> Tensor:
    """(B,) dependence of the two spaces' means among perturbed cells; controls have nothing in s to depend on."""
    assert q.salient is not None
    z, s = of_all(q.background.mean[perturbed]), of_all(q.salient.mean[perturbed])
    value = dependence(z, s) if len(z) >= MINIMUM else z.new_zeros(())
    return value.expand(len(perturbed))
