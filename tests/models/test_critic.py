"""Total correlation: the closed form between normals, and gradients that go where they should."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrascope.models.critic import Critic, total_correlation


def correlated(rho: float, *, cells: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two standard normals with this correlation, (B, 1) each."""
    z, e = torch.randn(2, cells, 1, generator=torch.Generator().manual_seed(seed))
    return z, rho * z + math.sqrt(1 - rho**2) * e


def learned(rho: float) -> Critic:
    """A critic that has seen many pairs, by following the gradient of the estimate alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        critic = Critic(1, 1)
    optimizer = torch.optim.Adam(critic.parameters(), lr=3e-3)
    for step in range(600):
        optimizer.zero_grad()
        total_correlation(critic, *correlated(rho, cells=512, seed=step)).backward()
        optimizer.step()
    return critic


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_a_critic_comes_to_the_total_correlation_of_two_normals(rho: float) -> None:
    """-log(1 - rho^2) / 2."""
    found = total_correlation(learned(rho), *correlated(rho, cells=20_000, seed=10_000))
    assert found.item() == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.05)


def test_the_spaces_feel_the_estimate_and_the_critic_its_own_loss() -> None:
    critic, (z, s) = Critic(1, 1), correlated(0.5, cells=64, seed=0)
    z.requires_grad_()
    total_correlation(critic, z, s).backward()
    of_estimate = torch.autograd.grad(critic(z, s).mean(), z)[0]
    torch.testing.assert_close(z.grad, of_estimate)
    real, made_up = critic(z.detach(), s), critic(z.detach(), s.roll(1, 0))
    answers = torch.cat([torch.ones(64), torch.zeros(64)])
    loss = 2 * torch.nn.functional.binary_cross_entropy_with_logits(torch.cat([real, made_up]), answers)
    for mine, expected in zip(critic.parameters(), torch.autograd.grad(loss, list(critic.parameters())), strict=True):
        torch.testing.assert_close(mine.grad, expected)


def test_the_value_is_the_mean_log_odds_of_real_pairs() -> None:
    critic, (z, s) = Critic(1, 1), correlated(0.5, cells=64, seed=0)
    torch.testing.assert_close(total_correlation(critic, z, s), critic(z, s).mean())
