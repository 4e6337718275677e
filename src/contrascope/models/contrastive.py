"""The network: encoders q(z|x) and q(s|x), and one decoder p(x|z, s).

A space is an encoder with a prior. A model has a background space, and may have a salient one; controls
are decoded from (z, 0). Which prior a space has is all that tells cvae from mcvae (``variants.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Normal(NamedTuple):
    """A diagonal normal over (B, Z).

    Attributes:
        mean: (B, Z).
        log_variance: (B, Z), not below -20.
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """mean + std * noise."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise


class Posterior(NamedTuple):
    """What the encoders say of a batch; ``salient`` is None for a model without that space."""

    background: Normal
    salient: Normal | None


class Architecture(NamedTuple):
    """An encoder and its mirror.

    Attributes:
        encoder: (channels, image size, latent size) -> module from (B, C, H, W) to (B, 2 * latent size).
        decoder: (channels, image size, latent size) -> module from (B, latent size) to (B, C, H, W) in -1 ... 1.
    """

    encoder: Callable[[int, int, int], nn.Module]
    decoder: Callable[[int, int, int], nn.Module]


class ContrastiveVAE(nn.Module):
    """Encoders, decoder, priors and likelihood, of any member of the family.

    Args:
        encoders: One module a space, ``background`` and maybe ``salient``: (B, C, H, W) -> (B, 2 Z).
        decoder: (B, Z + S) -> (B, C, H, W).
        priors: One module a space, (B,) perturbations -> (B, Z) means.
        likelihood: (x, reconstruction) -> (B,) nats.
        sizes: Dimensions of each space.
    """

    def __init__(
        self,
        *,
        encoders: dict[str, nn.Module],
        decoder: nn.Module,
        priors: dict[str, nn.Module],
        likelihood: nn.Module,
        sizes: dict[str, int],
    ):
        super().__init__()
        assert encoders.keys() == priors.keys() == sizes.keys()
        self.encoders, self.priors = nn.ModuleDict(encoders), nn.ModuleDict(priors)
        self.decoder, self.likelihood = decoder, likelihood
        self.sizes = sizes

    @property
    def has_salient(self) -> bool:
        """Whether there is a salient space."""
        return "salient" in self.encoders

    def encode(self, x: Tensor) -> Posterior:
        """q(z|x) and q(s|x) of a batch of images, in float32 whatever the encoders compute in."""
        normals = {name: _normal(encoder(x)) for name, encoder in self.encoders.items()}
        return Posterior(normals["background"], normals.get("salient"))

    def decode(self, z: Tensor, s: Tensor | None) -> Tensor:
        """(B, C, H, W) mean image of (B, Z) and (B, S)."""
        return self.decoder(z if s is None else torch.cat([z, s], dim=1)).float()

    def reconstruct(self, x: Tensor, *, control: Tensor) -> Tensor:
        """Images decoded from the posterior means; where ``control`` (B,) is True, without salient part."""
        q = self.encode(x)
        if q.salient is None:
            return self.decode(q.background.mean, None)
        return self.decode(q.background.mean, torch.where(control[:, None], 0.0, q.salient.mean))


def _normal(output: Tensor) -> Normal:
    """The two heads of an encoder; the log-variance is clamped from below at -20."""
    mean, log_variance = output.float().chunk(2, dim=1)
    return Normal(mean, log_variance.clamp_min(-20.0))


def in_channels_last(model: ContrastiveVAE) -> ContrastiveVAE:
    """The same model with its convolutions laid out as (H, W, C), which they run faster in."""
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
