"""Reading numbers, against scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from contrascope.benchmarks.regression import SHUFFLES, explained, predicted_numbers, spearman, with_shuffles


def test_scores_are_those_of_scikit_learn_and_scipy() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 20, (200, 3)).astype(float)
    guessed = truth * [1, -0.5, 0] + random.normal(size=(200, 3)) * [1, 3, 0]
    np.testing.assert_allclose(explained(truth, guessed), r2_score(truth, guessed, multioutput="raw_values"))
    for column in (0, 1):
        assert spearman(truth, guessed)[column] == pytest.approx(spearmanr(truth[:, column], guessed[:, column])[0])
    assert spearman(truth, guessed)[2] == 0


def test_with_many_cells_a_ridge_is_a_linear_regression() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(2000, 5)) * [1, 10, 100, 1, 1]
    values = (features @ [1, 0.1, 0.01, 0, 0] + random.normal(size=2000))[:, None]
    seen, unseen = np.arange(1200), np.arange(1200, 2000)
    truth, guessed = predicted_numbers(features, values, [(seen, unseen)])
    plain = LinearRegression().fit(features[seen], values[seen]).predict(features[unseen])
    np.testing.assert_array_equal(truth, values[unseen])
    np.testing.assert_allclose(guessed, plain, atol=0.03)


def test_numbers_that_are_not_there_score_as_their_shuffles_do() -> None:
    gaps, chances = [], []
    for seed in range(20):
        random = np.random.default_rng(seed)
        values = with_shuffles(random.normal(5, 3, 300), seed)
        truth, guessed = predicted_numbers(
            random.normal(size=(300, 20)), values, [(np.arange(180), np.arange(180, 300))]
        )
        r2, *shuffled = explained(truth, guessed)
        gaps.append(r2 - np.mean(shuffled))
        chances.append(np.mean(shuffled))
    assert np.mean(gaps) == pytest.approx(0, abs=0.02)
    assert -0.15 < np.mean(chances) < 0


def test_shuffles_are_the_same_numbers() -> None:
    values = with_shuffles(np.arange(50.0) * 1e6, seed=0)
    assert values.shape == (50, 1 + SHUFFLES)
    assert values[:, 0].std() == pytest.approx(1)
    np.testing.assert_allclose(np.sort(values, axis=0), np.sort(values[:, [0]], axis=0).repeat(1 + SHUFFLES, axis=1))
