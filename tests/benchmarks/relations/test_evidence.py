"""Metrics of resampled complexes, against loops and scikit-learn with weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import squareform
from sklearn.metrics import auc, average_precision_score, roc_curve

from contrascope.benchmarks.annotations import Annotations
from contrascope.benchmarks.relations.evidence import (
    AREA,
    AVERAGE_PRECISION,
    EFAAR,
    PRECISION,
    RECALL,
    TPR,
    Evidence,
    draws,
    gather,
    interval,
    metrics,
    once,
)
from contrascope.benchmarks.relations.similarity import pair_similarity
from contrascope.benchmarks.relations.sweep import PERCENTILES
from contrascope.benchmarks.relations.truth import Truth, truth_of


def seen(seed: int, *, ties: bool = False, noise: float = 1.0) -> tuple[np.ndarray, Truth, Evidence]:
    """Similarities of all pairs of 24 genes in overlapping complexes, which pairs are related, and the evidence."""
    random = np.random.default_rng(seed)
    names = [f"G{i:02d}" for i in range(24)]
    sets = {f"C{k}": frozenset(names[3 * k : 3 * k + 4]) for k in range(8)}
    centres = np.repeat(random.normal(size=(8, 6)), 3, axis=0)
    vectors = centres + noise * random.normal(size=centres.shape)
    truth = truth_of(Annotations(sets=sets))
    similarity = pair_similarity(np.round(vectors) if ties else vectors)
    ascending = np.sort(similarity)
    return similarity, truth, gather(ascending, similarity[truth.related], ascending, truth)


@given(seed=st.integers(0, 1000), ties=st.booleans())
def test_a_draw_counts_each_pair_as_often_as_its_complex(seed: int, ties: bool) -> None:
    similarity, truth, evidence = seen(seed, ties=ties)
    drawn = draws(truth.units, seed=seed)[:3]
    found = metrics(evidence, drawn)
    related = np.zeros(len(similarity), dtype=bool)
    related[truth.related] = True
    matrix = 1 - squareform(similarity, checks=False) - np.eye(len(truth.genes))
    for row, often in enumerate(drawn):
        weight = np.ones(len(similarity))
        weight[truth.related] = often[truth.owner]
        expected = average_precision_score(related, similarity, sample_weight=weight)
        assert found[AVERAGE_PRECISION][row] == pytest.approx(expected)
        false, true, _ = roc_curve(related, similarity, sample_weight=weight, drop_intermediate=False)
        assert found[TPR][row] == pytest.approx(np.interp(0.05, false, true))
        for number, p in enumerate(PERCENTILES):
            low, high = np.percentile(matrix, 100 - p), np.percentile(matrix, p)
            called = (1 - similarity <= low) | (1 - similarity >= high)
            hits, size = weight[called & related].sum(), weight[related].sum()
            assert found[RECALL][row, number] == pytest.approx(hits / size)
            assert found[PRECISION][row, number] == pytest.approx(hits / max(weight[called].sum(), 1e-9))
        assert found[AREA][row] == pytest.approx(auc(found[RECALL][row], found[PRECISION][row]))
        for metric, tail in EFAAR.items():
            inside = [np.mean(similarity <= s) <= tail or np.mean(similarity < s) >= 1 - tail for s in similarity]
            assert found[metric][row] == pytest.approx(weight[related & inside].sum() / weight[related].sum())


def test_every_complex_drawn_once_lies_within_its_interval() -> None:
    _, truth, evidence = seen(0, noise=0.7)
    value, drawn = metrics(evidence, once(truth)), metrics(evidence, draws(truth.units, seed=0))
    for metric in (AVERAGE_PRECISION, AREA, *EFAAR, TPR):
        low, high = interval(drawn[metric], truth.units)
        assert low < value[metric][0] < high


def test_draws_take_as_many_complexes_as_there_are_and_equal_seeds_the_same() -> None:
    drawn = draws(7, seed=3)
    assert (drawn.sum(axis=1) == 7).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.1)
    np.testing.assert_array_equal(drawn, draws(7, seed=3))
    assert (drawn != draws(7, seed=4)).any()


def test_one_complex_alone_has_no_interval() -> None:
    low, high = interval(np.ones(5), 1)
    assert np.isnan(low) and np.isnan(high)


def test_random_embeddings_sit_at_every_chance_level() -> None:
    random, names = np.random.default_rng(0), [f"G{i:03d}" for i in range(120)]
    truth = truth_of(Annotations(sets={f"C{k}": frozenset(names[4 * k : 4 * k + 4]) for k in range(30)}))
    gaps = []
    for _ in range(40):
        similarity = pair_similarity(random.normal(size=(120, 16)))
        ascending = np.sort(similarity)
        evidence = gather(ascending, similarity[truth.related], ascending, truth)
        found = metrics(evidence, once(truth))
        gaps.append({m: found[m][0] / evidence.chance(m) - 1 for m in (AVERAGE_PRECISION, AREA, *EFAAR, TPR)})
    for metric in gaps[0]:
        gap = [one[metric] for one in gaps]
        # Four standard errors; average precision of few positives stands a little above the share of related pairs.
        allowed = 4 * np.std(gap) / np.sqrt(len(gap)) + (0.05 if metric == AVERAGE_PRECISION else 0)
        assert abs(np.mean(gap)) < allowed, metric
