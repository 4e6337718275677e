"""Members of the family, each a choice of priors.

name    spaces           prior of z      prior of s
vae     z (64)           N(0, I)         -
cvae    z (32), s (32)   N(0, I)         N(0, I)
cvae-s  z (32), s (32)   N(0, I)         N(mu_s[m], I)
cvae-z  z (32), s (32)   N(mu_z[m], I)   N(0, I)
mcvae   z (32), s (32)   N(mu_z[m], I)   N(mu_s[m], I)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from contrascope.config import TrainingSettings
from contrascope.models.contrastive import Architecture, ContrastiveVAE
from contrascope.models.likelihood import SCALES, cell_weights
from contrascope.models.priors import PerturbationPrior, StandardPrior
from contrascope.registry import ARCHITECTURES, MODELS

Prior = Callable[[int, int], nn.Module]
"""(K perturbations, Z dimensions) -> a prior."""


def vae(settings: TrainingSettings, *, channels: int, perturbations: int) -> ContrastiveVAE:
    """One space for all that varies; it sees controls and perturbed cells alike."""
    size = settings.background_size + settings.salient_size
    return _compose(settings, channels, perturbations, {"background": (size, StandardPrior)})


def cvae(settings: TrainingSettings, *, channels: int, perturbations: int) -> ContrastiveVAE:
    """Background and salient space; all perturbations are one group (Abid & Zou 2019)."""
    return _two_spaces(settings, channels, perturbations, StandardPrior, StandardPrior)


def cvae_s(settings: TrainingSettings, *, channels: int, perturbations: int) -> ContrastiveVAE:
    """The perturbation is told to the salient space alone: a half-ablation of the paper's Fig. 2C."""
    return _two_spaces(settings, channels, perturbations, StandardPrior, PerturbationPrior)


def cvae_z(settings: TrainingSettings, *, channels: int, perturbations: int) -> ContrastiveVAE:
    """The perturbation is told to the background space alone: the other half-ablation of Fig. 2C."""
    return _two_spaces(settings, channels, perturbations, _background_prior(settings), StandardPrior)


def mcvae(settings: TrainingSettings, *, channels: int, perturbations: int) -> ContrastiveVAE:
    """Background and salient space, with a mean for each perturbation in both: the paper's model."""
    return _two_spaces(settings, channels, perturbations, _background_prior(settings), PerturbationPrior)


def build_model(
    name: str, settings: TrainingSettings, *, channels: int, perturbations: int, seed: int | None = None
) -> ContrastiveVAE:
    """A model of the registry with random weights.

    Args:
        name: Name in ``registry.MODELS``.
        settings: Sizes, architecture and likelihood.
        channels: C.
        perturbations: K, without control.
        seed: Of the weights; the settings' own when None. torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed if seed is None else seed)
        return MODELS[name](settings, channels=channels, perturbations=perturbations)


def _background_prior(settings: TrainingSettings) -> Prior:
    """In the salient space controls have no prior to learn a mean for: they are held at 0 by the leak."""
    return partial(PerturbationPrior, learned_control=settings.control_prior == "learned")


def _two_spaces(
    settings: TrainingSettings, channels: int, perturbations: int, background: Prior, salient: Prior
) -> ContrastiveVAE:
    spaces = {"background": (settings.background_size, background), "salient": (settings.salient_size, salient)}
    return _compose(settings, channels, perturbations, spaces)


def _compose(
    settings: TrainingSettings, channels: int, perturbations: int, spaces: dict[str, tuple[int, Prior]]
) -> ContrastiveVAE:
    architecture: Architecture = ARCHITECTURES[settings.architecture]
    sizes = {name: size for name, (size, _) in spaces.items()}
    encoders: dict[str, nn.Module] = {
        name: architecture.encoder(channels, settings.image_size, size) for name, size in sizes.items()
    }
    return ContrastiveVAE(
        encoders=encoders,
        decoder=architecture.decoder(channels, settings.image_size, sum(sizes.values())),
        priors={name: prior(perturbations, size) for name, (size, prior) in spaces.items()},
        likelihood=SCALES[settings.likelihood_scale](channels, _weights(settings)),
        sizes=sizes,
    )


def _weights(settings: TrainingSettings) -> Tensor | None:
    return cell_weights(settings.image_size) if settings.focus == "cell" else None
