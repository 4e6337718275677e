"""Priors: controls are the origin, each perturbation has its own displacement."""

from __future__ import annotations

import torch

from contrascope.models.priors import PerturbationPrior, StandardPrior


def prior(K: int = 4, Z: int = 3) -> PerturbationPrior:
    made = PerturbationPrior(K, Z)
    with torch.no_grad():
        made.means.normal_(generator=torch.Generator().manual_seed(0))
    return made


def test_a_standard_prior_knows_no_perturbation() -> None:
    means = StandardPrior(4, 3)(torch.tensor([0, 1, 4]))
    assert torch.equal(means, torch.zeros(3, 3))
    assert not list(StandardPrior(4, 3).parameters())


def test_a_controls_mean_is_zero() -> None:
    assert torch.equal(prior()(torch.tensor([0, 0])), torch.zeros(2, 3))


def test_each_perturbation_has_its_own_mean() -> None:
    p = prior()
    assert torch.equal(p(torch.tensor([3, 1, 4, 2, 1])), p.means[[2, 0, 3, 1, 0]])


def test_means_start_at_the_origin() -> None:
    assert not PerturbationPrior(4, 3).means.any()


def test_a_control_gives_no_gradient() -> None:
    p = prior()
    p(torch.tensor([0, 0, 0])).sum().backward()
    assert p.means.grad is not None
    assert not p.means.grad.any()


def test_a_perturbation_moves_its_own_mean_only() -> None:
    p = prior()
    p(torch.tensor([2, 0, 2])).sum().backward()
    expected = torch.zeros(4, 3)
    expected[1] = 2.0
    assert torch.equal(p.means.grad, expected)


def test_after_a_step_controls_still_have_mean_zero() -> None:
    p = prior()
    optimizer = torch.optim.Adam(p.parameters(), lr=0.1)
    (p(torch.tensor([0, 1, 2])) - 5).square().sum().backward()
    optimizer.step()
    assert not p(torch.tensor([0])).any()


def test_the_gradient_of_a_large_batch_is_the_same_each_time() -> None:
    """With more than 32,768 elements torch adds an index's gradient up in whatever order its threads finish."""
    g = torch.Generator().manual_seed(1)
    m = torch.randint(0, 5, (8192,), generator=g)
    weight = torch.randn(8192, 32, generator=g) * torch.logspace(-2, 2, 8192)[:, None]
    p, gradients = PerturbationPrior(4, 32), []
    for _ in range(10):
        p.zero_grad()
        (p(m) * weight).sum().backward()
        gradients.append(p.means.grad)
    assert all(torch.equal(gradients[0], g) for g in gradients)


def test_the_mean_of_controls_can_be_learned_too() -> None:
    p = PerturbationPrior(2, 3, learned_control=True)
    optimizer = torch.optim.Adam(p.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        (p(torch.tensor([0, 1])) - torch.tensor([[2.0], [-1.0]])).square().sum().backward()
        optimizer.step()
    found = p(torch.tensor([0, 1, 2]))
    torch.testing.assert_close(found[:2], torch.tensor([[2.0] * 3, [-1.0] * 3]), atol=0.05, rtol=0)
    assert not found[2].any()
