"""What a linear probe reads, and how that is scored."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from contrascope.benchmarks.probe import auroc, f1_by_chance, f1_score, linear_probe


def blobs(classes: int, *, apart: float, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Points of classes of very different size, whose means lie apart."""
    random = np.random.default_rng(0)
    labels = np.minimum(random.geometric(0.5, n) - 1, classes - 1)
    means = apart * random.normal(size=(classes, 5))
    return random.normal(size=(n, 5)) + means[labels], labels


@pytest.mark.parametrize("classes", [2, 4])
def test_what_is_far_apart_is_told_apart_whatever_its_unit(classes: int) -> None:
    points, labels = blobs(classes, apart=6)
    for unit in (1.0, 1e6):
        answers = linear_probe(unit * points[::2], labels[::2], unit * points[1::2])
        assert answers.converged
        assert np.mean(answers.predicted == labels[1::2]) > 0.97
        assert auroc(labels[1::2], answers.probability) > 0.99


def test_a_rare_class_is_not_given_up() -> None:
    points, labels = blobs(4, apart=1)
    answers = linear_probe(points, labels, points)
    assert (np.bincount(answers.predicted, minlength=4) > 0.5 * np.bincount(labels)).all()


@pytest.mark.parametrize(("classes", "apart"), [(2, 1.0), (2, 6.0), (4, 1.0), (4, 6.0)])
def test_probabilities_are_those_of_the_best_weights(classes: int, apart: float) -> None:
    """Of -sum of w log p + |W|^2 / 2, w the balancing weight: where its gradient is 0, found by another method."""
    points, labels = blobs(classes, apart=apart)
    scaled = StandardScaler().fit_transform(points)
    best = LogisticRegression(class_weight="balanced", solver="newton-cg", tol=1e-12, max_iter=10_000)
    expected = best.fit(scaled, labels).predict_proba(scaled)
    np.testing.assert_allclose(linear_probe(points, labels, points).probability, expected, atol=0.01)


@given(seed=st.integers(0, 500), classes=st.integers(2, 5))
def test_the_area_is_the_share_of_pairs_in_order(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.append(np.arange(classes), random.integers(0, classes, 20))
    probability = random.dirichlet(np.ones(classes), len(truth))
    areas = []
    for one in [1] if classes == 2 else range(classes):
        inside, outside = probability[truth == one, one], probability[truth != one, one]
        areas.append(np.mean(inside[:, None] > outside))
    assert auroc(truth, probability) == pytest.approx(np.mean(areas))


@given(seed=st.integers(0, 500), classes=st.integers(2, 5))
def test_f1_is_that_of_scikit_learn(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.append(np.arange(classes), random.integers(0, classes, 30))
    predicted = random.integers(0, classes, len(truth))
    macro = sklearn.metrics.f1_score(truth, predicted, average="macro")
    assert f1_score(truth, predicted, macro=True) == pytest.approx(macro)
    if classes == 2:
        assert f1_score(truth, predicted, macro=False) == pytest.approx(sklearn.metrics.f1_score(truth, predicted))


def test_f1_of_guessing_is_that_of_as_many_answers_given_to_the_wrong_cells() -> None:
    """Half the cells are of class 1 and half the answers say so: precision and recall are a half."""
    truth, predicted = np.arange(2000) % 2, np.arange(2000) // 1000
    assert f1_by_chance(truth, predicted, macro=False, seed=0) == pytest.approx(0.5, abs=0.01)
