"""Average precision of pairs and of complexes, against scikit-learn and every way to shuffle names."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from contrascope.benchmarks.annotations import Annotations
from contrascope.benchmarks.relations.ranking import average_precision, each_complex, ranks_of, shuffled_precision
from contrascope.benchmarks.relations.similarity import cosine_similarity, pair_similarity, unit_vectors
from contrascope.benchmarks.relations.truth import Truth, truth_of


def genes(number: int, sets: dict[str, str], *, seed: int = 0) -> tuple[np.ndarray, Truth]:
    """Vectors of so many genes, named by letters, and which of them are related."""
    vectors = np.random.default_rng(seed).normal(size=(number, 4))
    return vectors, truth_of(Annotations(sets={name: frozenset(letters) for name, letters in sets.items()}))


@given(seed=st.integers(0, 1000), ties=st.booleans())
def test_average_precision_is_that_of_scikit_learn(seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    score = random.integers(0, 5, 40).astype(float) if ties else random.normal(size=40)
    truth = np.append(random.random(39) < 0.3, True)
    rank = (score[None, :] >= score[:, None]).sum(axis=1)
    assert average_precision(rank[truth]) == pytest.approx(average_precision_score(truth, score))


@given(seed=st.integers(0, 1000))
def test_ranks_are_those_of_scipy_with_ties_at_their_last(seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 6, 30).astype(float)
    np.testing.assert_array_equal(ranks_of(values, np.sort(values)), rankdata(-values, method="max"))


def test_shuffled_names_give_what_all_ways_to_shuffle_them_give() -> None:
    vectors, truth = genes(6, {"one": "ABC", "two": "DEF"})
    matrix, similarity = cosine_similarity(vectors), pair_similarity(vectors)
    first, second = np.triu_indices(6, k=1)
    every = []
    for order in permutations(range(6)):
        place = np.argsort(order)
        related = place[first] // 3 == place[second] // 3
        every.append(average_precision_score(related, matrix[first, second]))
    null = shuffled_precision(similarity, np.sort(similarity), truth, seed=0)
    assert np.isclose(null[:, None], np.unique(every)[None, :]).any(axis=1).all()
    assert null.mean() == pytest.approx(np.mean(every), abs=4 * np.std(every) / np.sqrt(len(null)))
    np.testing.assert_array_equal(null, shuffled_precision(similarity, np.sort(similarity), truth, seed=0))


@given(seed=st.integers(0, 1000))
def test_pairs_within_a_complex_are_ranked_among_all_pairs_with_a_gene_of_it(seed: int) -> None:
    vectors, truth = genes(9, {"one": "ABC", "two": "CDEF", "three": "GHI"}, seed=seed)
    similarity = cosine_similarity(vectors)
    found = {one.name: one for one in each_complex(unit_vectors(vectors), truth, seed=0)}
    assert set(found) == {"one", "two", "three"}
    for name, letters in {"one": "ABC", "two": "CDEF", "three": "GHI"}.items():
        inside = ["ABCDEFGHI".index(letter) for letter in letters]
        pairs = [(i, j) for i in range(9) for j in range(i + 1, 9) if i in inside or j in inside]
        within = [i in inside and j in inside for i, j in pairs]
        expected = average_precision_score(within, [similarity[pair] for pair in pairs])
        assert found[name].value == pytest.approx(expected)
        assert found[name].pairs == len(pairs)


def test_chance_of_a_complex_is_what_all_complexes_of_its_size_reach() -> None:
    vectors, truth = genes(9, {"one": "ABC", "two": "CDEF", "three": "GHI"})
    found = {one.name: one.chance for one in each_complex(unit_vectors(vectors), truth, seed=0)}
    assert found["one"] == found["three"]
    for name, size in {"one": 3, "two": 4}.items():
        letters = ["".join(some) for some in combinations("ABCDEFGHI", size)]
        _, every = genes(9, {some: some for some in letters})
        reached = [one.value for one in each_complex(unit_vectors(vectors), every, seed=0)]
        assert len(reached) == len(letters)
        assert found[name] == pytest.approx(np.mean(reached), abs=4 * np.std(reached) / np.sqrt(200))
