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
from contrascope.models.matched import RIDGE, MatchedControls, matched_controls, matched_in


def codes(n: int = 600, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Background codes, and salient ones that follow from them by a curve, with a little noise."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4)) * [1, 5, 0.1, 1] + [0, 3, 0, -2]
    s = np.stack([np.sin(z[:, 0]), 0.2 * z[:, 1] + 1, z[:, 0] * (z[:, 3] + 2)], axis=1)
    return torch.tensor(z, dtype=torch.float32), torch.tensor(s + 0.05 * rng.normal(size=s.shape), dtype=torch.float32)


def test_it_is_kernel_ridge_regression_as_scikit_learn_has_it() -> None:
    z, s = codes(200)
    new, _ = codes(50, seed=1)
    scaled, at = ((x.numpy() - z.numpy().mean(0)) / z.numpy().std(0) for x in (z, new))
    square = ((scaled[:, None] - scaled) ** 2).sum(2)
    width = np.sort(square[~np.eye(200, dtype=bool)])[(200 * 199 - 1) // 2]  # torch's median is the lower middle
    other = KernelRidge(alpha=RIDGE, kernel="rbf", gamma=1 / width).fit(scaled, s.numpy() - s.numpy().mean(0))
    expected = other.predict(at) + s.numpy().mean(0)
    np.testing.assert_allclose(matched_controls(z, s)(new).numpy(), expected, rtol=1e-3, atol=1e-4)


def test_what_controls_have_is_gone_from_other_controls() -> None:
    fitted = matched_controls(*codes())
    z, s = codes(seed=1)
    rest = s - fitted(z)
    assert (rest.var(0) < 0.15 * s.var(0)).all()
    cycle = (z[:, 0] > 0.5).numpy()
    read = [LogisticRegression().fit(x[:300], cycle[:300]).decision_function(x[300:]) for x in (s, rest)]
    before, after = (roc_auc_score(cycle[300:], values) for values in read)
    assert before > 0.9
    assert after < 0.6


def test_what_a_perturbation_adds_stays() -> None:
    fitted = matched_controls(*codes())
    z, s = codes(seed=1)
    effect = torch.tensor([0.0, 0.7, -0.4])
    torch.testing.assert_close((s + effect - fitted(z)) - (s - fitted(z)), effect.expand_as(s), atol=1e-4, rtol=0)


def test_where_controls_do_not_go_nothing_but_their_mean_is_taken_off() -> None:
    z, s = codes()
    torch.testing.assert_close(matched_controls(z, s)(z[:3] + 1e4), s.mean(0).expand(3, 3), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_controls_or_equal_ones_give_finite_codes(n: int) -> None:
    z, s = codes(n)
    assert torch.isfinite(matched_controls(z, s)(z)).all()
    assert torch.isfinite(matched_controls(z[:1].expand(5, 4), s[:1].expand(5, 3))(z)).all()


def test_it_comes_back_from_its_state() -> None:
    z, s = codes()
    fitted = matched_controls(z, s)
    assert torch.equal(MatchedControls(**fitted.state_dict())(z), fitted(z))


def test_cells_are_matched_in_all_spaces_but_the_salient_one() -> None:
    normals = [Normal(torch.full((2, size), float(size)), torch.zeros(2, size)) for size in (3, 2, 1)]
    assert matched_in(Posterior(*normals)).tolist() == [[3, 3, 3, 1]] * 2
    assert matched_in(Posterior(normals[0], normals[1])).tolist() == [[3, 3, 3]] * 2
