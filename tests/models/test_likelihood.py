"""The likelihood's scale: learned as in the paper, or the best there is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from torch import Tensor, distributions

from contrascope.models.likelihood import SCALES, ClosedFormScale, LearnedScale, cell_weights


def images(seed: int = 0, errors: tuple[float, ...] = (0.02, 0.5)) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) images, and reconstructions whose error differs by channel."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(5, len(errors), 6, 7, generator=g) * 2 - 1
    return x, x + torch.randn(x.shape, generator=g) * torch.tensor(errors)[:, None, None]


@given(st.floats(-2, 1), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_a_learned_scale_is_the_normal_of_torch(log_sigma: float, seed: int) -> None:
    x, reconstruction = images(seed)
    scale = LearnedScale(2)
    with torch.no_grad():
        scale.log_sigma.fill_(log_sigma)
    expected = -distributions.Normal(reconstruction, scale.log_sigma.exp()).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(scale(x, reconstruction), expected, rtol=1e-4, atol=1e-2)


def test_a_learned_scale_settles_where_the_error_is() -> None:
    x, reconstruction = images(errors=(0.3, 0.3))
    scale = LearnedScale(2)
    optimizer = torch.optim.Adam(scale.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        scale(x, reconstruction).mean().backward()
        optimizer.step()
    assert scale.log_sigma.exp().item() == pytest.approx((x - reconstruction).square().mean().sqrt().item(), rel=0.01)


def test_the_closed_form_is_the_best_sigma_of_each_channel() -> None:
    x, reconstruction = images()
    nats = ClosedFormScale(2).train()(x, reconstruction).sum().item()
    best = 0.0
    for channel in range(2):
        a, b = (t[:, channel].flatten().double().numpy() for t in (x, reconstruction))
        found = minimize_scalar(lambda log, a=a, b=b: -norm.logpdf(a, b, np.exp(log)).sum(), bounds=(-8, 3))
        error = np.sqrt(np.mean((a - b) ** 2))
        assert np.exp(found.x) == pytest.approx(error, rel=1e-3)
        best += found.fun
    assert nats == pytest.approx(best, rel=1e-4)


def test_channels_do_not_share_a_scale() -> None:
    x, reconstruction = images(errors=(0.02, 0.5))
    scale = ClosedFormScale(2).train()
    for _ in range(50):
        scale(x, reconstruction)
    errors = (x - reconstruction).square().mean((0, 2, 3))
    torch.testing.assert_close(scale.mean_squared_error, errors, rtol=1e-3, atol=0)


def test_the_closed_form_sends_the_gradient_of_the_fixed_scale() -> None:
    """The optimum does not move the likelihood to first order, so sigma may be held fixed in the gradient."""
    x, reconstruction = images()
    reconstruction.requires_grad_()
    ClosedFormScale(2).train()(x, reconstruction).sum().backward()
    held = reconstruction.detach().clone().requires_grad_()
    through = 0.5 * 5 * 42 * (x - held).square().mean((0, 2, 3)).log().sum()  # sigma moves with the images
    through.backward()
    torch.testing.assert_close(reconstruction.grad, held.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", SCALES.values())
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("weights", [None, torch.rand(6, 7, generator=torch.Generator().manual_seed(1))])
def test_the_gradient_of_images_is_that_of_finite_differences(
    scale: type[LearnedScale | ClosedFormScale], layout: torch.memory_format, weights: Tensor | None
) -> None:
    x, reconstruction = (image.double().contiguous(memory_format=layout).requires_grad_() for image in images())
    likelihood = scale(2, None if weights is None else weights.double()).double().eval()
    each_cell = torch.arange(1.0, 6.0, dtype=torch.float64)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda *both: (likelihood(*both) * each_cell).sum(), (x, reconstruction))


def test_evaluating_changes_no_state() -> None:
    x, reconstruction = images()
    scale = ClosedFormScale(2).train()
    scale(x, reconstruction)
    before = {name: value.clone() for name, value in scale.state_dict().items()}
    scale.eval()
    first = scale(x, reconstruction * 3)
    assert torch.equal(first, scale(x, reconstruction * 3))
    assert all(torch.equal(value, before[name]) for name, value in scale.state_dict().items())


def test_training_does() -> None:
    x, reconstruction = images()
    scale = ClosedFormScale(2).train()
    scale(x, reconstruction)
    assert scale.steps == 1
    assert (scale.mean_squared_error != 1).all()


def test_an_evaluated_cell_does_not_depend_on_its_batch() -> None:
    x, reconstruction = images()
    scale = ClosedFormScale(2).train()
    scale(x, reconstruction)
    scale.eval()
    alone = torch.cat([scale(x[i : i + 1], reconstruction[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(scale(x, reconstruction), alone)


def test_the_scale_follows_a_decoder_that_improves() -> None:
    scale = ClosedFormScale(1).train()
    for error in np.geomspace(1.0, 0.05, 400):
        scale(*images(errors=(float(error),)))
    final = images(errors=(0.05,))
    mse = (final[0] - final[1]).square().mean()
    assert scale.mean_squared_error.item() < 2.5 * mse.item()


def test_a_perfect_reconstruction_has_finite_likelihood() -> None:
    x, _ = images()
    assert torch.isfinite(ClosedFormScale(2).train()(x, x)).all()


def test_every_scale_is_known_by_the_name_in_the_settings() -> None:
    assert set(SCALES) == {"learned", "closed-form"}


def test_a_cell_outweighs_its_neighbours() -> None:
    weights = cell_weights(64)
    assert weights[31:33, 31:33].min() > 0.999
    assert torch.allclose(weights[0], weights[-1]) and torch.allclose(weights, weights.T)
    assert weights[0, 0] == weights.min() and 0.049 < float(weights.min()) < 0.051


def test_with_weights_the_closed_form_is_still_the_sigma_that_fits_best() -> None:
    generator = torch.Generator().manual_seed(0)
    x, r = torch.randn(2, 5, 1, 16, 16, generator=generator).unbind(0)
    weights = cell_weights(16)
    nats = ClosedFormScale(1, weights).train()(x, r).mean()
    for factor in (0.9, 1.0, 1.1):
        variance = factor * float(((x - r).square() * weights).sum() / (5 * weights.sum()))
        density = torch.distributions.Normal(r, variance**0.5).log_prob(x)
        assert nats <= -(density * weights).sum((1, 2, 3)).mean() + 1e-3


def test_even_weights_are_no_weights() -> None:
    x, r = torch.rand(2, 4, 3, 16, 16).unbind(0)
    for kind in (ClosedFormScale, LearnedScale):
        assert torch.allclose(kind(3, torch.ones(16, 16))(x, r), kind(3)(x, r), rtol=1e-5)
