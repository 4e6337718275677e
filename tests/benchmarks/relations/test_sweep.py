"""The authors' sweep, counted on pairs in place of the matrix."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc

from contrascope.benchmarks.relations.similarity import cosine_similarity, pair_similarity
from contrascope.benchmarks.relations.sweep import PERCENTILES, area, matrix_percentiles, sweep


@given(genes=st.integers(2, 60), seed=st.integers(0, 1000), ties=st.booleans())
def test_percentiles_are_those_of_the_whole_matrix_to_the_last_bit(genes: int, seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    vectors = random.integers(-1, 2, (genes, 3)).astype(float) if ties else random.normal(size=(genes, 5))
    matrix = 1 - cosine_similarity(vectors)
    np.fill_diagonal(matrix, 0.0)
    every = np.arange(101)
    found = matrix_percentiles(np.sort(1 - pair_similarity(vectors)), every, genes=genes)
    np.testing.assert_array_equal(found, np.percentile(matrix, every))


@given(genes=st.integers(3, 40), seed=st.integers(0, 1000), ties=st.booleans())
def test_called_are_the_pairs_in_either_tail_of_the_matrix(genes: int, seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    vectors = random.integers(-1, 2, (genes, 3)).astype(float) if ties else random.normal(size=(genes, 5))
    similarity = pair_similarity(vectors)
    related = similarity[:: random.integers(1, 4)]
    found = sweep(np.sort(similarity), related, genes=genes)
    matrix = 1 - cosine_similarity(vectors)
    np.fill_diagonal(matrix, 0.0)
    for number, p in enumerate(PERCENTILES):
        low, high = np.percentile(matrix, 100 - p), np.percentile(matrix, p)
        called = ((matrix <= low) | (matrix >= high))[np.triu_indices(genes, k=1)]
        assert found.called[number] == called.sum()
        assert found.hits[:, number].tolist() == [1 - s <= low or 1 - s >= high for s in related]


def test_the_area_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    precision, recall = np.sort(random.random((3, 20)), axis=1), np.sort(random.random((3, 20)), axis=1)[:, ::-1]
    expected = [auc(r, p) for p, r in zip(precision, recall, strict=True)]
    np.testing.assert_allclose(area(precision, recall), expected)
