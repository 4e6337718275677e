"""Total correlation of background and salient space, by a critic that tells real pairs from made-up ones.

    TC(z, s) = KL( q(z, s) || q(z) q(s) ) = E over q(z, s) of log q(z, s) / (q(z) q(s))

A classifier of pairs (z, s) of one cell against pairs of two cells has, at its best, that log ratio as its logit
(Kim & Mnih 2018, eq. 3; in a contrastive VAE, Abid & Zou 2019). It learns beside the model, from the same batches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

_WIDTH = 128


class Critic(nn.Module):
    """(B, Z) and (B, S) -> (B,) log-odds that they are of one cell, by two hidden layers.

    Args:
        background_size: Z.
        salient_size: S.
    """

    def __init__(self, background_size: int, salient_size: int):
        super().__init__()
        layers: list[nn.Module] = []
        for before in (background_size + salient_size, _WIDTH):
            layers += [nn.Linear(before, _WIDTH), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(_WIDTH, 1))

    def forward(self, z: Tensor, s: Tensor) -> Tensor:
        """(B,) log-odds."""
        return self.layers(torch.cat([z, s], dim=1)).squeeze(1)


def total_correlation(critic: nn.Module, z: Tensor, s: Tensor) -> Tensor:
    """The critic's estimate, in nats; following its gradient lowers it, and betters the critic.

    Two gradients run through it. That of the estimate goes to z and s alone, that of the critic's own loss to the
    critic alone, whose share of the value is taken off again: one optimizer serves both.

    Args:
        critic: (B, Z), (B, S) -> (B,) log-odds.
        z: (B, Z) samples of the background space, in no particular order.
        s: (B, S) of the same cells.

    Returns:
        (); at its best 0 where z and s are independent. A critic that has learned little says about 0.
    """
    frozen = {name: p.detach() for name, p in critic.named_parameters()}
    estimate = functional_call(critic, frozen, (z, s)).float().mean()
    z, s = z.detach(), s.detach()
    real, made_up = critic(z, s).float(), critic(z, s.roll(1, 0)).float()
    loss = F.softplus(-real).mean() + F.softplus(made_up).mean()
    return estimate + loss - loss.detach()
