"""Recall in EFAAR's tails, and at a false positive rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from contrascope.benchmarks.relations.recall import in_efaar_tails, share_at_rate


def similarities(seed: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """Of some pairs, and which of them are related (at least one is, one is not)."""
    random = np.random.default_rng(seed)
    size = int(random.integers(2, 120))
    values = random.integers(0, 6, size) / 4 if ties else random.normal(size=size)
    return values, np.concatenate([random.random(size - 2) < random.uniform(0.1, 0.9), [True, False]])


@given(seed=st.integers(0, 10_000), ties=st.booleans(), tail=st.sampled_from([0.05, 0.1]))
def test_efaar_tails_are_counted_pair_by_pair(seed: int, ties: bool, tail: float) -> None:
    values, related = similarities(seed, ties=ties)
    found = in_efaar_tails(values[related], np.sort(values), tail=tail)
    for value, inside in zip(values[related], found, strict=True):
        assert inside == (np.mean(values <= value) <= tail or np.mean(values < value) >= 1 - tail)


@given(seed=st.integers(0, 10_000), ties=st.booleans(), rate=st.sampled_from([0.05, 0.1, 0.5]))
def test_the_rate_is_read_off_the_curve_of_scikit_learn(seed: int, ties: bool, rate: float) -> None:
    values, related = similarities(seed, ties=ties)
    false, true, _ = roc_curve(related, values)
    found = share_at_rate(values[related], np.sort(values), rate=rate).mean()
    assert found == pytest.approx(np.interp(rate, false, true))


def test_a_rate_without_unrelated_pairs_finds_all() -> None:
    assert share_at_rate(np.array([0.1, 0.2]), np.array([0.1, 0.2])).tolist() == [1, 1]
