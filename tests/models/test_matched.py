"""What controls have in the salient space: against scikit-learn, and on codes whose dependence was planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from contrascope.models.contrastive import Normal, Posterior
from contrascope.models.matched import RIDGE, MatchedControls, fitted_controls, matched_in


def codes(n: int = 600, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Background codes, and salient ones that follow from them by a curve, with a little noise."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4)) * [1, 5, 0.1, 1] + [0, 3, 0, -2]
    s = np.stack([np.sin(z[:, 0]), 0.2 * z[:, 1] + 1, z[:, 0] * (z[:, 3] + 2)], axis=1)
    return torch.tensor(z, dtype=torch.float32), torch.tensor(s + 0.05 * rng.normal(size=s.shape), dtype=torch.float32)


def fitted(z: Tensor, s: Tensor) -> MatchedControls:
    """On cells of rows 0, 10, 20, ..."""
    return fitted_controls(z, s, 10 * torch.arange(len(z)))


def test_it_is_kernel_ridge_regression_as_scikit_learn_has_it() -> None:
    z, s = codes(200)
    new, _ = codes(50, seed=1)
    scaled, at = ((x.numpy() - z.numpy().mean(0)) / z.numpy().std(0) for x in (z, new))
    square = ((scaled[:, None] - scaled) ** 2).sum(2)
    width = np.sort(square[~np.eye(200, dtype=bool)])[(200 * 199 - 1) // 2]  # torch's median is the lower middle
    other = KernelRidge(alpha=RIDGE, kernel="rbf", gamma=1 / width).fit(scaled, s.numpy() - s.numpy().mean(0))
    expected = other.predict(at) + s.numpy().mean(0)
    np.testing.assert_allclose(fitted(z, s)(new).numpy(), expected, rtol=1e-3, atol=1e-4)


def test_what_controls_have_is_gone_from_other_controls() -> None:
    model = fitted(*codes())
    z, s = codes(seed=1)
    rest = s - model(z)
    assert (rest.var(0) < 0.15 * s.var(0)).all()
    cycle = (z[:, 0] > 0.5).numpy()
    read = [LogisticRegression().fit(x[:300], cycle[:300]).decision_function(x[300:]) for x in (s, rest)]
    before, after = (roc_auc_score(cycle[300:], values) for values in read)
    assert before > 0.9
    assert after < 0.6


def test_what_a_perturbation_adds_stays() -> None:
    model = fitted(*codes())
    z, s = codes(seed=1)
    effect = torch.tensor([0.0, 0.7, -0.4])
    torch.testing.assert_close((s + effect - model(z)) - (s - model(z)), effect.expand_as(s), atol=1e-4, rtol=0)


def test_a_control_that_was_fitted_on_is_compared_with_all_others() -> None:
    z, s = codes(60)
    model = fitted(z, s)
    left = model.residual(z, s, 10 * torch.arange(60))
    gamma, mean = 1 / model.width.item(), s.mean(0).numpy()
    for i in (0, 17, 59):
        others = np.delete(np.arange(60), i)
        alone = KernelRidge(alpha=RIDGE, kernel="rbf", gamma=gamma).fit(model.anchors[others], s[others].numpy() - mean)
        expected = s[i].numpy() - mean - alone.predict(model.anchors[[i]])[0]
        np.testing.assert_allclose(left[i].numpy(), expected, rtol=1e-3, atol=1e-4)


def test_cells_that_are_nothing_but_controls_lie_as_close_as_those_that_were_fitted_on() -> None:
    z, s = codes(400)
    model = fitted(z, s)
    new, own, in_sight = (
        rest.square().median(0).values
        for rest in (
            model.residual(*codes(4_000, seed=1), None),
            model.residual(z, s, 10 * torch.arange(400)),
            s - model(z),
        )
    )
    assert ((own / new > 0.8) & (own / new < 1.25)).all()
    assert (in_sight / new < 0.85).all()  # in sight of themselves they would seem closer


def test_cells_of_another_store_are_nobody_it_was_fitted_on() -> None:
    z, s = codes(50)
    model = fitted(z, s)
    assert torch.equal(model.residual(z, s, None), s - model(z))
    assert torch.equal(model.residual(z, s, 10 * torch.arange(50) + 3), s - model(z))
    assert torch.equal(model.residual(z[:2], s[:2], torch.tensor([10**9, 5])), s[:2] - model(z[:2]))


def test_where_controls_do_not_go_nothing_but_their_mean_is_taken_off() -> None:
    z, s = codes()
    torch.testing.assert_close(fitted(z, s)(z[:3] + 1e4), s.mean(0).expand(3, 3), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_controls_or_equal_ones_give_finite_codes(n: int) -> None:
    z, s = codes(n)
    assert torch.isfinite(fitted(z, s)(z)).all()
    assert torch.isfinite(fitted(z[:1].expand(5, 4), s[:1].expand(5, 3))(z)).all()


def test_it_comes_back_from_its_state() -> None:
    z, s = codes()
    model = fitted(z, s)
    assert torch.equal(MatchedControls(**model.state_dict())(z), model(z))


def test_cells_are_matched_in_all_spaces_but_the_salient_one() -> None:
    normals = [Normal(torch.full((2, size), float(size)), torch.zeros(2, size)) for size in (3, 2, 1)]
    assert matched_in(Posterior(*normals)).tolist() == [[3, 3, 3, 1]] * 2
    assert matched_in(Posterior(normals[0], normals[1])).tolist() == [[3, 3, 3]] * 2
