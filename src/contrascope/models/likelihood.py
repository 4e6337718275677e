"""Likelihood of an image: normal, independent pixels, and a scale that sets what counts as detail.

    -log p(x | x^) = sum over pixels of (x - x^)^2 / (2 sigma^2) + log sigma + log(2 pi) / 2

The scale decides how many nats a latent dimension may cost, so it matters more than any weight.
``LearnedScale`` is the paper's: one scalar, learned with the rest; Adam moves it by about the learning rate
a step, so on few data it never arrives. ``ClosedFormScale`` is sigma-VAE (Rybkin et al. 2021, eq. 9): the
scale that maximises the likelihood of the batch, which is its root mean squared error, here per channel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class LearnedScale(nn.Module):
    """One learned log sigma for all pixels.

    Args:
        channels: C; not used, one scalar serves them all.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """(B,) negative log-likelihood in nats, for two (B, C, H, W)."""
        error = (x - reconstruction).square().flatten(1).sum(1)
        pixels = x[0].numel()
        return error / (2 * torch.exp(2 * self.log_sigma)) + pixels * (self.log_sigma + _HALF_LOG_TWO_PI)


class ClosedFormScale(nn.Module):
    """The best sigma of each channel: of the batch while training, of a running mean while evaluating.

    Args:
        channels: C.
        memory: Share of the running mean that a step keeps.
    """

    mean_squared_error: Tensor
    steps: Tensor

    def __init__(self, channels: int, memory: float = 0.98):
        super().__init__()
        self.memory = memory
        self.register_buffer("mean_squared_error", torch.ones(channels))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """(B,) negative log-likelihood in nats, for two (B, C, H, W)."""
        error = (x - reconstruction).square().sum((2, 3))  # (B, C)
        pixels = x.shape[2] * x.shape[3]
        if self.training:
            # At the optimum the likelihood does not change with sigma, so no gradient runs through it.
            variance = (error.detach().mean(0) / pixels).clamp_min(1e-8)
            self._remember(variance)
        else:
            variance = self.mean_squared_error
        nats = error / (2 * variance) + pixels * (0.5 * variance.log() + _HALF_LOG_TWO_PI)
        return nats.sum(1)

    @torch.no_grad()
    def _remember(self, variance: Tensor) -> None:
        # The first step's errors say nothing of a trained decoder: forget faster while there are few.
        kept = min(self.memory, int(self.steps) / (int(self.steps) + 10))
        self.mean_squared_error.mul_(kept).add_((1 - kept) * variance)
        self.steps += 1


SCALES: dict[str, type[LearnedScale] | type[ClosedFormScale]] = {
    "learned": LearnedScale,
    "closed-form": ClosedFormScale,
}
