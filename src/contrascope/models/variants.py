"""Members of the family, each a choice of priors.

name         spaces    prior of z      prior of s
vae          z         N(0, I)         -
cvae         z, s      N(0, I)         N(0, I)
cvae-s       z, s      N(0, I)         N(mu_s[m], I)
cvae-z       z, s      N(mu_z[m], I)   N(0, I)
mcvae        z, s      N(mu_z[m], I)   N(mu_s[m], I)
three-space  z, s, t   N(mu_z[m], I)   N(mu_s[m], I)   and of t N(mu_t[d], I), d how a cell was imaged
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from contrascope import vocabulary as v
from contrascope.config import TrainingSettings
from contrascope.models.contrastive import SHARED, Architecture, ContrastiveVAE
from contrascope.models.critic import Critic
from contrascope.models.likelihood import SCALES, cell_weights
from contrascope.models.priors import LevelMeans, PerturbationPrior, StandardPrior
from contrascope.registry import ARCHITECTURES, MODELS

Prior = Callable[[int, int], nn.Module]
"""(K perturbations, Z dimensions) -> a prior."""

Levels = Callable[[], Sequence[int]]

Spaces = dict[str, tuple[int, Prior]]
"""Name of a space -> its dimensions and its prior."""

_CONDITION = 32
"""Dimensions of what a conditioned decoder is told, as many as the authors gave it."""


class Facts(NamedTuple):
    """What a store says of a model's shape.

    Attributes:
        channels: C.
        perturbations: K, without control.
        levels: Says how many levels each technical column has; asked by models that are told of them alone.
    """

    channels: int
    perturbations: int
    levels: Levels


def vae(settings: TrainingSettings, facts: Facts) -> ContrastiveVAE:
    """One space for all that varies; it sees controls and perturbed cells alike."""
    return _compose(settings, facts, {v.BACKGROUND: (settings.background_size + settings.salient_size, StandardPrior)})


def cvae(settings: TrainingSettings, facts: Facts) -> ContrastiveVAE:
    """Background and salient space; all perturbations are one group (Abid & Zou 2019)."""
    return _compose(settings, facts, _two_spaces(settings, StandardPrior, StandardPrior))


def cvae_s(settings: TrainingSettings, facts: Facts) -> ContrastiveVAE:
    """The perturbation is told to the salient space alone: a half-ablation of the paper's Fig. 2C."""
    return _compose(settings, facts, _two_spaces(settings, StandardPrior, PerturbationPrior))


def cvae_z(settings: TrainingSettings, facts: Facts) -> ContrastiveVAE:
    """The perturbation is told to the background space alone: the other half-ablation of Fig. 2C."""
    return _compose(settings, facts, _two_spaces(settings, _background_prior(settings), StandardPrior))


def mcvae(settings: TrainingSettings, facts: Facts) -> ContrastiveVAE:
    """Background and salient space, with a mean for each perturbation in both: the paper's model."""
    return _compose(settings, facts, _two_spaces(settings, _background_prior(settings), PerturbationPrior))


def three_space(settings: TrainingSettings, facts: Facts) -> ContrastiveVAE:
    """mcvae with a space for what is technical: its prior is told how a cell was imaged (the paper's Discussion)."""
    spaces = _two_spaces(settings, _background_prior(settings), PerturbationPrior)
    technical = (settings.technical_size, lambda _, size: LevelMeans(facts.levels(), size))
    return _compose(settings, facts, spaces | {v.TECHNICAL: technical})


def build_model(
    name: str,
    settings: TrainingSettings,
    *,
    channels: int,
    perturbations: int,
    levels: Levels = tuple,
    seed: int | None = None,
) -> ContrastiveVAE:
    """A model of the registry with random weights.

    Args:
        name: Name in ``registry.MODELS``.
        settings: Sizes, architecture and likelihood.
        channels: C.
        perturbations: K, without control.
        levels: Says how many levels each technical column has; asked by models that are told of them alone.
        seed: Of the weights; the settings' own when None. torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed if seed is None else seed)  # torch's own would do GPUs too
        return MODELS[name](settings, Facts(channels, perturbations, levels))


def _background_prior(settings: TrainingSettings) -> Prior:
    """In the salient space controls have no prior to learn a mean for: they are held at 0 by the leak."""
    return partial(PerturbationPrior, learned_control=settings.control_prior == "learned")


def _two_spaces(settings: TrainingSettings, background: Prior, salient: Prior) -> Spaces:
    return {v.BACKGROUND: (settings.background_size, background), v.SALIENT: (settings.salient_size, salient)}


def _compose(settings: TrainingSettings, facts: Facts, spaces: Spaces) -> ContrastiveVAE:
    architecture: Architecture = ARCHITECTURES[settings.architecture]
    sizes = {name: size for name, (size, _) in spaces.items()}
    encoded = {SHARED: sum(sizes.values())} if settings.encoders == "shared" and len(sizes) > 1 else sizes
    encoders: dict[str, nn.Module] = {
        name: architecture.encoder(facts.channels, settings.image_size, size) for name, size in encoded.items()
    }
    conditioned = settings.decoder_knows == "technical"
    return ContrastiveVAE(
        encoders=encoders,
        decoder=architecture.decoder(
            facts.channels, settings.image_size, sum(sizes.values()) + (_CONDITION if conditioned else 0)
        ),
        priors={name: prior(facts.perturbations, size) for name, (size, prior) in spaces.items()},
        likelihood=SCALES[settings.likelihood_scale](facts.channels, _weights(settings)),
        sizes=sizes,
        condition=LevelMeans(facts.levels(), _CONDITION, spread=1.0) if conditioned else None,
        critic=_critic(settings, sizes),
    )


def _weights(settings: TrainingSettings) -> Tensor | None:
    return cell_weights(settings.image_size) if settings.focus == "cell" else None


def _critic(settings: TrainingSettings, sizes: dict[str, int]) -> Critic | None:
    wanted = settings.independence == "total-correlation" and settings.independence_weight > 0
    return Critic(sizes[v.BACKGROUND], sizes[v.SALIENT]) if wanted and v.SALIENT in sizes else None
