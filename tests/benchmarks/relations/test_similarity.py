"""Cosines of all pairs, in the order of numpy's triangle."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from contrascope.benchmarks.relations.similarity import DIGITS, cosine_similarity, pair_positions, pair_similarity


@given(genes=st.integers(2, 150), seed=st.integers(0, 100))
def test_all_pairs_are_those_of_scipy_and_of_the_matrix(genes: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(genes, 5))
    found = pair_similarity(vectors)
    np.testing.assert_allclose(found, 1 - pdist(vectors, "cosine"), atol=1e-11)
    # A product of fewer rows is summed in another order, and so may be rounded to the next number of 12 digits.
    whole = cosine_similarity(vectors)[np.triu_indices(genes, k=1)]
    np.testing.assert_allclose(found, whole, rtol=0, atol=1.5 * 10**-DIGITS)


@given(genes=st.integers(2, 40))
def test_a_pair_stands_where_numpy_counts_it_whichever_gene_comes_first(genes: int) -> None:
    first, second = np.triu_indices(genes, k=1)
    np.testing.assert_array_equal(pair_positions(first, second, genes=genes), np.arange(len(first)))
    np.testing.assert_array_equal(pair_positions(second, first, genes=genes), np.arange(len(first)))


def test_a_profile_of_zeros_is_like_nothing() -> None:
    assert pair_similarity(np.array([[0.0, 0], [1, 0], [2, 0]])).tolist() == [0, 0, 1]
