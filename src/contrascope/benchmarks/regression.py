"""A linear probe of numbers: how much of a measured quantity can be read from an embedding.

A ridge regression on standardised features, its strength chosen on the cells it learns from. Chance is what the same
regression reaches when each cell has another's number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from contrascope.benchmarks.probe import Matrix

STRENGTHS = tuple(10.0**power for power in range(-2, 5))
SHUFFLES = 20
Split = tuple[NDArray[np.intp], NDArray[np.intp]]


def predicted_numbers(features: Matrix, values: Matrix, splits: Sequence[Split]) -> tuple[Matrix, Matrix]:
    """Numbers of the cells judged and what was predicted of them, both (M, T), all splits one after another.

    Args:
        features: (N, F).
        values: (N, T) numbers, each column predicted by itself.
        splits: Rows to learn from and rows to judge.
    """
    truth, guessed = [], []
    for seen, unseen in splits:
        scaler = StandardScaler().fit(features[seen])
        probe = RidgeCV(STRENGTHS, alpha_per_target=True).fit(scaler.transform(features[seen]), values[seen])
        truth.append(values[unseen])
        guessed.append(probe.predict(scaler.transform(features[unseen])).reshape(len(unseen), -1))
    return np.concatenate(truth), np.concatenate(guessed)


def with_shuffles(values: NDArray[np.float64], seed: int) -> Matrix:
    """(N, 1 + SHUFFLES): the numbers in standard deviations, then shuffled among the cells."""
    generator = np.random.default_rng(seed)
    scaled = (values - values.mean()) / values.std()
    return np.column_stack([scaled, *(generator.permutation(scaled) for _ in range(SHUFFLES))])


def explained(truth: Matrix, guessed: Matrix) -> NDArray[np.float64]:
    """R2 of each column: 1 is perfect, 0 as good as the mean, less is worse."""
    left = np.square(truth - guessed).sum(axis=0)
    share: NDArray[np.float64] = 1 - left / np.square(truth - truth.mean(axis=0)).sum(axis=0)
    return share


def spearman(truth: Matrix, guessed: Matrix) -> NDArray[np.float64]:
    """Rank correlation of each column; 0 where every prediction is the same."""
    one, other = (rankdata(values, axis=0) - (len(values) + 1) / 2 for values in (truth, guessed))
    norm = np.sqrt(np.square(one).sum(axis=0) * np.square(other).sum(axis=0))
    return np.divide((one * other).sum(axis=0), norm, out=np.zeros(truth.shape[1]), where=norm > 0)
