"""A confusion matrix, row-normalised, as rows of a table: what was true, what was said, how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from contrascope.benchmarks.probe import Labels
from contrascope.benchmarks.result import CHANCE, METRIC, VALUE, N

CONFUSION, TRUTH, PREDICTED = "confusion", "truth", "predicted"


def confusion_rows(truth: Labels, predicted: Labels, names: Sequence[str]) -> list[dict[str, Any]]:
    """The share of each class's members that were said to be of each class.

    Args:
        truth, predicted: (N,) classes, 0 ... K - 1, each of them among the truth.
        names: Of the K classes.

    Returns:
        K x K rows. Chance is the share of all N that were said to be of the class: what answers that know nothing of
        the truth come to. n is the number of the true class's members.
    """
    counts = confusion_matrix(truth, predicted, labels=np.arange(len(names)))
    sizes, said = counts.sum(axis=1), counts.sum(axis=0) / counts.sum()
    return [
        {METRIC: CONFUSION, TRUTH: names[i], PREDICTED: names[j], VALUE: counts[i, j] / sizes[i], CHANCE: said[j]}
        | {N: int(sizes[i])}
        for i in range(len(names))
        for j in range(len(names))
    ]
