"""P-values by permutation, and Benjamini-Hochberg."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, permutation_test
from statsmodels.stats.multitest import multipletests

from contrascope.benchmarks import significance as sig


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), batches=st.integers(1, 6))
def test_labels_are_permuted_within_batches_only(seed: int, batches: int) -> None:
    random = np.random.default_rng(seed)
    batch, perturbed = random.integers(0, batches, 40), random.random(40) < 0.3
    labels = sig.permuted_labels(perturbed, batch, 30, random)
    assert (labels[0] == perturbed).all()
    for b in range(batches):
        assert (labels[:, batch == b].sum(axis=1) == perturbed[batch == b].sum()).all()


def test_ties_count_against_a_hit() -> None:
    assert sig.permutation_p(np.array([1.0, 0, 0, 1, 2]), rounding=0) == 3 / 5
    assert sig.permutation_p(np.ones(10), rounding=0) == 1.0
    assert sig.permutation_p(np.array([1.0, 1 - 1e-9, 0, 0]), rounding=1e-6) == 0.5


def alike(own: np.ndarray | float, controls: np.ndarray) -> np.ndarray:
    """Guides and control guides that have the same value in each slot."""
    both = np.concatenate([np.atleast_1d(own), controls])
    return np.repeat(both[:, None], np.size(own), axis=1)


@pytest.mark.parametrize("controls", [5, 40])
def test_guides_in_slots_of_their_own_are_compared_with_all_that_fill_them(controls: int) -> None:
    values = np.random.default_rng(1).normal(size=(2 + controls, 2)) * [1, 5]
    means = [(values[i, 0] + values[j, 1]) / 2 for i, j in permutations(range(2 + controls), 2)]
    expected = np.mean([mean >= values[[0, 1], [0, 1]].mean() - 1e-12 for mean in means])
    found = sig.guide_p(values, 999, np.random.default_rng(0))
    assert found == pytest.approx(expected, abs=1e-12 if controls == 5 else 0.05)


def test_few_guides_are_compared_in_every_way_there_is() -> None:
    random = np.random.default_rng(0)
    own, controls = random.normal(size=3) + 1, random.normal(size=5)
    both = np.concatenate([own, controls])
    means = [np.mean(chosen) for chosen in combinations(both, 3)]
    expected = np.mean([mean >= own.mean() - 1e-12 for mean in means])
    assert sig.guide_p(alike(own, controls), 999, random) == pytest.approx(expected)
    scipys = permutation_test((own, controls), lambda a, b: a.mean() - b.mean(), alternative="greater")
    assert sig.guide_p(alike(own, controls), 999, random) == pytest.approx(scipys.pvalue)


def test_one_guide_is_ranked_among_the_control_guides() -> None:
    controls = np.arange(19.0)
    random = np.random.default_rng(0)
    assert sig.guide_p(alike(30.0, controls), 999, random) == 1 / 20 == sig.least_guide_p(1, 19, 999)
    assert sig.guide_p(alike(16.5, controls), 999, random) == 3 / 20
    assert sig.guide_p(alike(16.0, controls), 999, random) == 4 / 20


def test_many_guides_are_sampled_and_their_p_values_uniform() -> None:
    random = np.random.default_rng(0)
    p = [sig.guide_p(alike(random.normal(size=4), random.normal(size=30)), 199, random) for _ in range(600)]
    assert min(p) >= 1 / 200
    assert kstest(p, "uniform").pvalue > 0.01


def test_q_values_are_those_of_statsmodels_and_leave_out_what_has_no_p() -> None:
    p = np.random.default_rng(0).random(50) ** 2
    expected = multipletests(p, method="fdr_bh")[1]
    np.testing.assert_allclose(sig.q_values(p), expected)
    gaps = np.insert(p, [0, 20], np.nan)
    np.testing.assert_allclose(sig.q_values(gaps)[np.isfinite(gaps)], expected)
    assert np.isnan(sig.q_values(gaps)[[0, 21]]).all()
    assert np.isnan(sig.q_values(np.full(3, np.nan))).all()


def test_p_values_in_steps_reach_the_level_or_the_step_below() -> None:
    found = [sig.reached_p(1 / n, 0.05) for n in (20, 1000, 25, 13)]
    np.testing.assert_allclose(found, [0.05, 0.05, 0.04, 0])


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_as_many_hits_are_expected_by_chance_as_there_are(count: int) -> None:
    random = np.random.default_rng(count)
    found = np.array([(sig.q_values(random.random(count)) < 0.05).mean() for _ in range(8000)])
    assert sig.hits_by_chance(count) == pytest.approx(found.mean(), abs=4 * found.std() / len(found) ** 0.5)
