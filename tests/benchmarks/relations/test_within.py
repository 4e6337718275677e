"""Similarity within sets, against a loop, and under the null."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.spatial.distance import cosine
from scipy.stats import kstest

from contrascope.benchmarks.annotations import Annotations
from contrascope.benchmarks.relations.similarity import unit_vectors
from contrascope.benchmarks.relations.truth import Truth, truth_of
from contrascope.benchmarks.relations.within import _membership, mean_similarity, within_sets


def overlapping(genes: int = 60, sets: int = 25, *, seed: int = 0) -> Truth:
    random = np.random.default_rng(seed)
    names = np.array([f"G{i:02d}" for i in range(genes)])
    drawn = {
        f"C{k}": frozenset(random.choice(names, random.integers(2, 7), replace=False).tolist()) for k in range(sets)
    }
    return truth_of(Annotations(sets=drawn))


def test_mean_similarity_within_a_set_is_that_of_a_loop_over_its_pairs() -> None:
    truth = overlapping()
    vectors = np.random.default_rng(1).normal(size=(len(truth.genes), 8))
    expected = [
        np.mean([1 - cosine(vectors[a], vectors[b]) for a, b in combinations(inside, 2)])
        for inside in truth.members.values()
    ]
    np.testing.assert_allclose(mean_similarity(unit_vectors(vectors), _membership(truth)), expected, atol=1e-9)


def test_sets_that_lie_together_stand_out() -> None:
    truth = overlapping()
    random = np.random.default_rng(1)
    vectors = random.normal(size=(len(truth.genes), 8))
    for inside in truth.members.values():
        vectors[inside] += 3 * random.normal(size=8)
    found = within_sets(unit_vectors(vectors), truth, seed=0)
    assert found.statistic > np.percentile(found.null, 95)
    assert found.p_value == 1 / 201


def test_p_is_uniform_where_nothing_is_known_though_sets_overlap() -> None:
    truth = overlapping()
    p_values = [
        within_sets(
            unit_vectors(np.random.default_rng(seed).normal(size=(len(truth.genes), 8))), truth, seed=seed
        ).p_value
        for seed in range(40)
    ]
    assert kstest(p_values, "uniform").pvalue > 0.01
