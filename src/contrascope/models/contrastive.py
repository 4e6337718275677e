"""The network: encoders q(z|x), q(s|x) and q(t|x), and one decoder p(x|z, s, t).

A space is a posterior with a prior. A model has a background space, and may have a salient and a technical one;
controls are decoded from (z, 0, t). Which prior a space has is all that tells cvae from mcvae (``variants.py``). Each
space has an encoder of its own, as in the paper, or one encoder has a head for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from contrascope.vocabulary import BACKGROUND, SALIENT, TECHNICAL

SHARED = "shared"
"""Name of the one encoder of all spaces."""


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
    """What the encoders say of a batch; ``salient`` and ``technical`` are None for a model without that space."""

    background: Normal
    salient: Normal | None
    technical: Normal | None = None


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
        encoders: One module a space, ``background`` and maybe ``salient`` and ``technical``: (B, C, H, W) -> (B, 2 Z).
            Or ``shared`` alone, -> (B, 2 (Z + S + T)): the means of all spaces, then their log-variances.
        decoder: (B, Z + S + T), and what ``condition`` says behind them, -> (B, C, H, W).
        priors: One module a space -> (B, Z) means: of (B,) perturbations, the technical one of (B, F) levels.
        likelihood: (x, reconstruction) -> (B,) nats.
        sizes: Dimensions of each space.
        condition: What the decoder is told of how a cell was imaged: (B, F) levels -> (B, D). None: nothing.
        critic: (z, s) -> (B,) how much more likely they are one cell's than two cells' (``critic.py``), where
            the two spaces are to be independent in that sense.
    """

    def __init__(
        self,
        *,
        encoders: dict[str, nn.Module],
        decoder: nn.Module,
        priors: dict[str, nn.Module],
        likelihood: nn.Module,
        sizes: dict[str, int],
        condition: nn.Module | None = None,
        critic: nn.Module | None = None,
    ):
        super().__init__()
        assert priors.keys() == sizes.keys()
        assert encoders.keys() in ({SHARED}, sizes.keys())
        self.encoders, self.priors = nn.ModuleDict(encoders), nn.ModuleDict(priors)
        self.decoder, self.likelihood = decoder, likelihood
        self.condition, self.critic = condition, critic
        self.sizes = sizes

    @property
    def has_salient(self) -> bool:
        """Whether there is a salient space."""
        return SALIENT in self.sizes

    @property
    def has_technical(self) -> bool:
        """Whether there is a technical space."""
        return TECHNICAL in self.sizes

    def encode(self, x: Tensor) -> Posterior:
        """q(z|x), q(s|x) and q(t|x) of a batch of images, in float32 whatever the encoders compute in."""
        normals: dict[str, Normal] = {}
        for name, encoder in self.encoders.items():
            normals |= self.split_output(name, encoder(x))
        return Posterior(normals[BACKGROUND], normals.get(SALIENT), normals.get(TECHNICAL))

    def split_output(self, encoder: str, output: Tensor) -> dict[str, Normal]:
        """Space -> its posterior, of the output (B, 2 Z) of an encoder; the shared one encodes into all spaces."""
        mean, log_variance = output.float().chunk(2, dim=1)
        log_variance = log_variance.clamp_min(-20.0)
        if encoder != SHARED:
            return {encoder: Normal(mean, log_variance)}
        sizes = list(self.sizes.values())
        parts = zip(mean.split(sizes, dim=1), log_variance.split(sizes, dim=1), strict=True)
        return {name: Normal(*part) for name, part in zip(self.sizes, parts, strict=True)}

    def decode(self, z: Tensor, s: Tensor | None, t: Tensor | None = None, *, levels: Tensor | None = None) -> Tensor:
        """(B, C, H, W) mean image of (B, Z), (B, S) and (B, T); a conditioned decoder needs (B, F) levels too."""
        condition = None
        if self.condition is not None:
            assert levels is not None, "this decoder is told how a cell was imaged"
            condition = self.condition(levels)
        return self.decoder(torch.cat([part for part in (z, s, t, condition) if part is not None], dim=1)).float()

    def reconstruct(
        self, x: Tensor, *, control: Tensor, levels: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """Images decoded from the posterior means.

        Args:
            x: (B, C, H, W).
            control: (B,); where it is True, there is no salient part.
            levels: (B, F), for a conditioned decoder.
            shift: (B, Z) or (Z,) to take off the background means.
        """
        q = self.encode(x)
        z = q.background.mean if shift is None else q.background.mean - shift
        s = None if q.salient is None else torch.where(control[:, None], 0.0, q.salient.mean)
        return self.decode(z, s, None if q.technical is None else q.technical.mean, levels=levels)


def in_channels_last(model: ContrastiveVAE) -> ContrastiveVAE:
    """The same model with its convolutions laid out as (H, W, C), which they run faster in."""
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
