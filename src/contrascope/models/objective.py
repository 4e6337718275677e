"""The objective, one function for the whole family: equations 1 to 4 of the paper, in nats per cell.

    perturbed  -log p(x|z,s) + beta [ KL(q(z|x) || p(z|m)) + KL(q(s|x) || p(s|m)) ]
    control    -log p(x|z,0) + beta [ KL(q(z|x) || p(z|0)) + lambda W2^2(q(s|x), delta_0) ]

A member of the family differs in its priors p(z|m) and p(s|m) alone; the vae has no s. A technical space t adds
KL(q(t|x) || p(t|d)) for every cell, with d how it was imaged, and the decoder sees it. Beyond the paper, weights may be
put on how much spaces depend on each other, on d, or on m, over the cells of a batch (``independence.py``); they stand
beside beta, and rise with it while it rises.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from contrascope.models.contrastive import ContrastiveVAE, Normal, Posterior
from contrascope.models.critic import total_correlation
from contrascope.models.independence import MINIMUM, dependence
from contrascope.models.peers import noise_like, of_all
from contrascope.vocabulary import Batch

BACKGROUND_SALIENT = "background-salient"
"""How much z and s of perturbed cells depend on each other; controls have nothing in s to depend on."""
SALIENT_TECHNICAL = "salient-technical"
"""How much s of perturbed cells depends on how they were imaged."""
TECHNICAL_PERTURBATION = "technical-perturbation"
"""How much t of a cell depends on its perturbation, control among them."""


class Terms(NamedTuple):
    """The objective's terms for each cell, (B,) each, in nats and not yet weighted.

    Attributes:
        reconstruction: -log p(x | z, s, t), or of (z, 0, t) for a control.
        background: KL(q(z|x) || p(z|m)).
        salient: KL(q(s|x) || p(s|m)) of a perturbed cell; 0 for a control.
        technical: KL(q(t|x) || p(t|d)); 0 without a technical space.
        leak: W2^2(q(s|x), delta_0) of a control; 0 for a perturbed cell. In latent units squared.
        dependence: Of what was asked for, over the batch, () each: HSIC, about 0 to 1, or total correlation in nats.
    """

    reconstruction: Tensor
    background: Tensor
    salient: Tensor
    technical: Tensor
    leak: Tensor
    dependence: dict[str, Tensor]

    def total(
        self, *, beta: float, wasserstein_weight: float, independence: Mapping[str, float] | None = None
    ) -> Tensor:
        """(B,) the objective of each cell; its mean is the loss.

        Args:
            beta: Weight of what the spaces hold: the KLs and the leak.
            wasserstein_weight: lambda, of the leak, within beta.
            independence: Weight, in nats, of each dependence that was asked for; beta does not count for them.
        """
        held = self.background + self.salient + self.technical + wasserstein_weight * self.leak
        total = self.reconstruction + beta * held
        for name, weight in (independence or {}).items():
            total = total + weight * self.dependence[name]
        return total


class _Sample(NamedTuple):
    """(B, Z) and (B, S) drawn from the posteriors; s of controls is 0."""

    z: Tensor
    s: Tensor | None


def objective(
    model: ContrastiveVAE, batch: Batch, *, generator: torch.Generator | None = None, independence: Collection[str] = ()
) -> Terms:
    """The objective's terms for each cell of a batch.

    Args:
        model: Any member of the family.
        batch: B cells; perturbation 0 is control.
        generator: Source of the posterior sample; torch's own when None.
        independence: Which dependences to say as well: the constants above.
    """
    x, m, control = batch.images, batch.perturbation, batch.perturbation == 0
    q = model.encode(x)
    z = _sample(q.background, generator)
    background = kl_to_unit_normal(q.background, model.priors["background"](m))
    salient = leak = technical = torch.zeros_like(background)
    s = t = None
    if q.salient is not None:
        s = torch.where(control[:, None], 0.0, _sample(q.salient, generator))  # controls are decoded from (z, 0)
        salient = torch.where(control, 0.0, kl_to_unit_normal(q.salient, model.priors["salient"](m)))
        leak = torch.where(control, squared_wasserstein_to_zero(q.salient), 0.0)
    if q.technical is not None:
        t = _sample(q.technical, generator)
        technical = kl_to_unit_normal(q.technical, model.priors["technical"](batch.technical))
    return Terms(
        reconstruction=model.likelihood(x, model.decode(z, s, t, levels=batch.technical)),
        background=background,
        salient=salient,
        technical=technical,
        leak=leak,
        dependence={name: _DEPENDENCES[name](model, q, _Sample(z, s), batch) for name in independence},
    )


def kl_to_unit_normal(q: Normal, prior_mean: Tensor) -> Tensor:
    """KL(q || N(prior_mean, I)), in nats.

    Args:
        q: Diagonal normal over (B, Z).
        prior_mean: (B, Z).

    Returns:
        (B,), >= 0.
    """
    return kl_by_dimension(q, prior_mean).sum(1)


def kl_by_dimension(q: Normal, prior_mean: Tensor) -> Tensor:
    """(B, Z) nats of ``kl_to_unit_normal``, each dimension's own."""
    square = (q.mean - prior_mean).square() + q.log_variance.exp()
    return 0.5 * (square - 1 - q.log_variance)


def squared_wasserstein_to_zero(q: Normal) -> Tensor:
    """Squared 2-Wasserstein distance from q(s | x) to a point mass at 0, in latent units squared.

    Args:
        q: Diagonal normal over (B, S).

    Returns:
        (B,), >= 0: |mean|^2 + |std|^2. The penalty of Weinberger et al. 2022b.
    """
    return (q.mean.square() + q.log_variance.exp()).sum(1)


def _background_salient(model: ContrastiveVAE, q: Posterior, sample: _Sample, batch: Batch) -> Tensor:
    """HSIC of the means, or what a critic says of the samples."""
    assert q.salient is not None
    assert sample.s is not None
    perturbed = batch.perturbation > 0
    if model.critic is None:
        return _where_enough(dependence, q.background.mean[perturbed], q.salient.mean[perturbed])
    return _where_enough(partial(total_correlation, model.critic), sample.z[perturbed], sample.s[perturbed])


def _salient_technical(model: ContrastiveVAE, q: Posterior, sample: _Sample, batch: Batch) -> Tensor:
    assert q.salient is not None
    assert batch.technical is not None
    perturbed = batch.perturbation > 0
    return _where_enough(dependence, q.salient.mean[perturbed], batch.technical[perturbed])


def _technical_perturbation(model: ContrastiveVAE, q: Posterior, sample: _Sample, batch: Batch) -> Tensor:
    assert q.technical is not None
    return _where_enough(dependence, q.technical.mean, batch.perturbation[:, None])


_DEPENDENCES = {
    BACKGROUND_SALIENT: _background_salient,
    SALIENT_TECHNICAL: _salient_technical,
    TECHNICAL_PERTURBATION: _technical_perturbation,
}


def _where_enough(measure: Callable[[Tensor, Tensor], Tensor], one: Tensor, other: Tensor) -> Tensor:
    """() of the cells that it is about, of the whole batch; 0 where there are too few of them to say."""
    one, other = of_all(one), of_all(other)
    return measure(one, other) if len(one) >= MINIMUM else one.new_zeros(())


def _sample(q: Normal, generator: torch.Generator | None) -> Tensor:
    return q.sample(noise_like(q.mean, generator))
