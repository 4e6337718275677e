"""Likelihood of an image: normal, independent pixels, and a scale that sets what counts as detail.

    -log p(x | x^) = sum over pixels of (x - x^)^2 / (2 sigma^2) + log sigma + log(2 pi) / 2

The scale decides how many nats a latent dimension may cost, so it matters more than any weight.
``LearnedScale`` is the paper's: one scalar, learned with the rest; Adam moves it by about the learning rate
a step, so on few data it never arrives. ``ClosedFormScale`` is sigma-VAE (Rybkin et al. 2021, eq. 9): the
scale that maximises the likelihood of the batch, which is its root mean squared error, here per channel.

A crop holds more than its cell: neighbours, each with a perturbation of its own. ``cell_weights`` gives pixels
a weight that fades towards the rim, so that latent dimensions are not spent on them; every sum over pixels
above is then a weighted one.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from contrascope.models.peers import mean_over_all

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


_FULL, _FADE, _FLOOR = 0.3, 0.2, 0.05
"""Radius of full weight and width of the fade, in sides of the crop, and the weight beyond."""


def cell_weights(size: int) -> Tensor:
    """(size, size) weights: 1 around the centre, a raised cosine down to 0.05 where the crop's sides are touched."""
    place = (torch.arange(size) - (size - 1) / 2) / size
    radius = (place[:, None].square() + place.square()).sqrt()
    fade = ((radius - _FULL) / _FADE).clamp(0, 1)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + torch.cos(math.pi * fade))


class LearnedScale(nn.Module):
    """One learned log sigma for all pixels.

    Args:
        channels: C; not used, one scalar serves them all.
        weights: (H, W) weight of each pixel; None weighs them all 1.
    """

    weights: Tensor | None

    def __init__(self, channels: int, weights: Tensor | None = None):
        super().__init__()
        self.log_sigma = nn.Parameter(torch.zeros(()))
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """(B,) negative log-likelihood in nats, for two (B, C, H, W)."""
        error = _squared_error(x, reconstruction, self.weights).sum(1)
        pixels = x.shape[1] * _pixels(x, self.weights)
        return error / (2 * torch.exp(2 * self.log_sigma)) + pixels * (self.log_sigma + _HALF_LOG_TWO_PI)


class ClosedFormScale(nn.Module):
    """The best sigma of each channel: of the batch while training, of a running mean while evaluating.

    Args:
        channels: C.
        weights: (H, W) weight of each pixel; None weighs them all 1.
        memory: Share of the running mean that a step keeps.
    """

    mean_squared_error: Tensor
    steps: Tensor
    weights: Tensor | None

    def __init__(self, channels: int, weights: Tensor | None = None, memory: float = 0.98):
        super().__init__()
        self.register_buffer("weights", weights, persistent=False)
        self.memory = memory
        self.register_buffer("mean_squared_error", torch.ones(channels))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """(B,) negative log-likelihood in nats, for two (B, C, H, W)."""
        error, pixels = _squared_error(x, reconstruction, self.weights), _pixels(x, self.weights)
        if self.training:
            # At the optimum the likelihood does not change with sigma, so no gradient runs through it.
            variance = (mean_over_all(error.detach().mean(0)) / pixels).clamp_min(1e-8)
            self._remember(variance)
        else:
            variance = self.mean_squared_error
        nats = error / (2 * variance) + pixels * (0.5 * variance.log() + _HALF_LOG_TWO_PI)
        return nats.sum(1)

    @torch.no_grad()
    def _remember(self, variance: Tensor) -> None:
        # The first step's errors say nothing of a trained decoder: forget faster while there are few.
        # In tensors throughout: a number would have the host wait for a GPU.
        steps = self.steps.double()
        kept = (steps / (steps + 10)).clamp_max(self.memory)
        self.mean_squared_error.mul_(kept).add_((1 - kept) * variance)
        self.steps += 1


def _squared_error(x: Tensor, reconstruction: Tensor, weights: Tensor | None) -> Tensor:
    """(B, C) weighted sum over pixels."""
    error: Tensor = _SquaredError.apply(x, reconstruction, weights)
    return error


class _SquaredError(torch.autograd.Function):
    """sum of w (x - x^)^2, whose gradient -2 w (x - x^) is taken in one pass over the pixels in place of four."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, reconstruction: Tensor, weights: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, reconstruction, weights)
        square = (x - reconstruction).square()
        return (square if weights is None else square * weights).sum((2, 3))

    @staticmethod
    def backward(ctx: Any, of_error: Tensor) -> tuple[Tensor | None, ...]:
        x, reconstruction, weights = ctx.saved_tensors
        wants_x, wants_reconstruction, _ = ctx.needs_input_grad
        of_reconstruction = _times(x - reconstruction, -2 * of_error, weights)
        return -of_reconstruction if wants_x else None, of_reconstruction if wants_reconstruction else None, None


def _times(images: Tensor, factor: Tensor, weights: Tensor | None) -> Tensor:
    """(B, C, H, W) times (B, C) and (H, W).

    Laid out as (H, W, C), a factor changes after C numbers, which are too few to be multiplied at once: so it is
    repeated along a row of pixels.
    """
    if not images.is_contiguous(memory_format=torch.channels_last):
        factor = factor[:, :, None, None]
        return images * (factor if weights is None else factor * weights)
    B, C, H, W = images.shape
    rows, factor = images.permute(0, 2, 3, 1).reshape(B, H, W * C), factor.repeat(1, W)[:, None]
    if weights is not None:
        factor = factor * weights.repeat_interleave(C, dim=1)
    return (rows * factor).view(B, H, W, C).permute(0, 3, 1, 2)


def _pixels(x: Tensor, weights: Tensor | None) -> float | Tensor:
    """How many pixels a channel counts for."""
    return x.shape[2] * x.shape[3] if weights is None else weights.sum()


SCALES: dict[str, type[LearnedScale] | type[ClosedFormScale]] = {
    "learned": LearnedScale,
    "closed-form": ClosedFormScale,
}
