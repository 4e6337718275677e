"""A linear probe: what a logistic regression can read from an embedding.

Features are standardised on the cells it learns from, classes weighted to balance, weights penalised as scikit-learn
does unless told (C = 1). It learns until there is no more to learn: stopped earlier, a probe of well separated classes
gives other probabilities, and so another axis, after every step.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

MAX_STEPS = 1000
_TOLERANCE = 1e-5
"""Largest entry of the gradient, of the mean loss, at which it has learnt all there is."""
PERMUTATIONS = 100
Matrix = NDArray[np.float64]
Labels = NDArray[np.intp]
"""Classes, 0 ... K - 1."""


class Answers(NamedTuple):
    """What a probe says of things it has not seen.

    Attributes:
        probability: (N, K) of each class.
        converged: Whether it had learnt all there is before ``MAX_STEPS``.
    """

    probability: Matrix
    converged: bool

    @property
    def predicted(self) -> Labels:
        """(N,) the likeliest class."""
        return self.probability.argmax(axis=1)


def linear_probe(seen: Matrix, labels: Labels, unseen: Matrix) -> Answers:
    """Learn from seen (M, F) and their labels (M,), all classes 0 ... K - 1 among them; answer for unseen (N, F)."""
    scaler = StandardScaler().fit(seen)
    probe = LogisticRegression(class_weight="balanced", max_iter=MAX_STEPS, tol=_TOLERANCE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit(scaler.transform(seen), labels)
    return Answers(probe.predict_proba(scaler.transform(unseen)), bool(probe.n_iter_.max() < MAX_STEPS))


def auroc(truth: Labels, probability: Matrix) -> float:
    """Area under the ROC curve; of more than two classes the mean of one against the rest."""
    if probability.shape[1] == 2:
        return float(roc_auc_score(truth, probability[:, 1]))
    return float(roc_auc_score(truth, probability, multi_class="ovr", average="macro"))


def f1_score(truth: Labels, predicted: Labels, *, macro: bool) -> float:
    """F1 of class 1, or the mean over all classes; a class nobody has or names counts 0."""
    n_classes = int(max(truth.max(), predicted.max(), 1)) + 1
    hits = np.bincount(truth[truth == predicted], minlength=n_classes)
    sizes = np.bincount(truth, minlength=n_classes) + np.bincount(predicted, minlength=n_classes)
    f1 = 2 * hits / np.maximum(sizes, 1)
    return float(f1.mean() if macro else f1[1])


def f1_by_chance(truth: Labels, predicted: Labels, *, macro: bool, seed: int) -> float:
    """Expected F1 of the same predictions made of the wrong cells."""
    generator = np.random.default_rng(seed)
    shuffled = [f1_score(truth, generator.permutation(predicted), macro=macro) for _ in range(PERMUTATIONS)]
    return float(np.mean(shuffled))
