"""Rows of a confusion matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.benchmarks.confusion import confusion_rows


@given(seed=st.integers(0, 300), classes=st.integers(2, 5))
def test_each_row_is_what_was_said_of_a_class_counted_one_by_one(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.append(np.arange(classes), random.integers(0, classes, 20))
    predicted = random.integers(0, classes, len(truth))
    names = [f"class {k}" for k in range(classes)]
    table = pd.DataFrame(confusion_rows(truth, predicted, names)).set_index(["truth", "predicted"])
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            row = table.loc[(one, other)]
            said = [bool(predicted[k] == j) for k in range(len(truth)) if truth[k] == i]
            assert row["value"] == pytest.approx(np.mean(said))
            assert row["n"] == len(said)
            assert row["chance"] == pytest.approx(np.mean(predicted == j))
