"""Statistics of two samples, against scipy, scikit-learn, and loops that can be read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import energy_distance, special_ortho_group, ttest_ind
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from contrascope.benchmarks import two_samples as two


def groups(n: int = 20, m: int = 60, width: int = 5, shift: float = 0.0, seed: int = 0) -> tuple[NDArray, NDArray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(n + m, width))
    x[:n, 0] += shift
    return x, np.arange(n + m) < n


def labellings(first: NDArray[np.bool_], count: int = 20) -> NDArray[np.bool_]:
    random = np.random.default_rng(1)
    return np.array([first, *(random.permutation(first) for _ in range(count))])


def slow_energy_distance(x: NDArray, y: NDArray) -> float:
    across = np.mean([np.linalg.norm(a - b) for a in x for b in y])
    within = [
        np.mean([np.linalg.norm(g[i] - g[j]) for i in range(len(g)) for j in range(len(g)) if i != j]) for g in (x, y)
    ]
    return float(2 * across - sum(within))


def test_energy_distance_is_that_of_a_slow_loop() -> None:
    x, first = groups(shift=1.0)
    labels = labellings(first, 5)
    expected = [slow_energy_distance(x[chosen], x[~chosen]) for chosen in labels]
    np.testing.assert_allclose(two.energy_distances(x, labels), expected, atol=1e-5)


def test_in_one_dimension_energy_distance_is_scipys_squared_once_pairs_of_a_cell_with_itself_count() -> None:
    x, first = groups(width=1, shift=1.0)
    n, m = first.sum(), (~first).sum()
    a, b = x[first], x[~first]
    # scipy's is the square root, of the version with means over all pairs, those of a cell with itself included.
    within = [np.abs(g - g.T).mean() for g in (a, b)]
    biased = two.energy_distances(x, first[None])[0] + within[0] / (n - 1) + within[1] / (m - 1)
    assert biased == pytest.approx(energy_distance(a.ravel(), b.ravel()) ** 2, abs=1e-4)


def test_energy_distance_is_0_on_average_where_nothing_differs() -> None:
    x, first = groups(n=10, m=40)
    assert two.energy_distances(x, labellings(first, 4000)).mean() == pytest.approx(0, abs=0.01)


def test_energy_distance_sees_a_spread_that_means_do_not() -> None:
    x, first = groups(n=60, m=60)
    x[first] *= 3
    values = two.energy_distances(x - np.where(first[:, None], x[first].mean(0), x[~first].mean(0)), labellings(first))
    assert values[0] > values[1:].max()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10))
def test_rotation_and_shift_do_not_matter_and_scale_is_linear(seed: int, scale: float) -> None:
    x, first = groups(shift=1.0, seed=seed)
    labels = labellings(first, 3)
    turned = scale * x @ special_ortho_group.rvs(5, random_state=seed) + 2.0
    np.testing.assert_allclose(
        two.energy_distances(turned, labels), scale * two.energy_distances(x, labels), atol=1e-4 * scale
    )
    # The shrunk covariance turns and grows with the cells.
    np.testing.assert_allclose(two.hotelling(turned, labels), two.hotelling(x, labels), rtol=1e-6)


def test_t2_is_the_formula_with_scikit_learns_covariance() -> None:
    x, first = groups(shift=1.0)
    labels = labellings(first, 4)
    precision = np.linalg.inv(LedoitWolf().fit(x).covariance_)
    for value, chosen in zip(two.hotelling(x, labels), labels, strict=True):
        n, m = chosen.sum(), (~chosen).sum()
        d = x[chosen].mean(axis=0) - x[~chosen].mean(axis=0)
        assert value == pytest.approx(n * m / (n + m) * d @ precision @ d)


def test_t2_of_one_feature_is_the_square_of_students_t_with_the_variance_of_all_cells() -> None:
    x, first = groups(width=1, shift=1.0)
    t = ttest_ind(x[first, 0], x[~first, 0]).statistic
    count = len(x)
    value = two.hotelling(x, first[None])[0]
    assert value == pytest.approx(count * t**2 / (count - 2 + t**2))


def test_features_that_follow_from_others_do_no_harm() -> None:
    x, first = groups(width=1, shift=1.0)
    twice = np.hstack([x, x])
    assert np.isfinite(two.hotelling(twice, first[None])).all()
    assert two.hotelling(np.zeros((len(x), 2)), first[None])[0] == 0


def test_the_auc_is_that_of_scikit_learns_ridge_on_the_same_folds() -> None:
    x, first = groups(n=25, m=100, shift=1.0)
    labels = labellings(first, 3)
    folds = np.arange(len(x)) % 5
    labels[1:] = [np.concatenate([first[25:], first[:25]]), np.roll(first, 5), np.roll(first, 50)]
    for value, chosen in zip(two.probe_aucs(x, labels, folds), labels, strict=True):
        areas = []
        for fold in range(5):
            seen = folds != fold
            probe = Ridge(alpha=two.RIDGE * seen.sum()).fit(x[seen], chosen[seen])
            areas.append(roc_auc_score(chosen[~seen], probe.predict(x[~seen])))
        assert value == pytest.approx(np.mean(areas))


def test_cells_that_are_all_alike_have_an_auc_of_a_half() -> None:
    _, first = groups()
    folds = np.arange(len(first)) % 5
    assert two.probe_aucs(np.ones((len(first), 3)), first[None], folds)[0] == 0.5


def test_each_fold_has_its_share_of_both_groups_and_of_every_batch() -> None:
    first = np.arange(100) < 20
    batch = np.arange(100) % 2
    folds = two.folds_of(first, batch, np.random.default_rng(0))
    for chosen in (first & (batch == 0), first & (batch == 1), ~first & (batch == 0), ~first & (batch == 1)):
        assert np.ptp(np.bincount(folds[chosen], minlength=5)) <= 1
