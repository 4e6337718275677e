"""Which pairs are related, and whose they are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contrascope.benchmarks.annotations import Annotations, pairs_of
from contrascope.benchmarks.relations.truth import Truth, truth_of

SETS = st.dictionaries(
    st.sampled_from("abcdef"), st.frozensets(st.sampled_from("ABCDEFGH"), min_size=2, max_size=5), min_size=1
)


def by_name(truth: Truth) -> dict[tuple[str, str], int]:
    ends = zip(truth.first, truth.second, truth.owner, strict=True)
    return {(truth.genes[a], truth.genes[b]): int(owner) for a, b, owner in ends}


@given(sets=SETS)
def test_related_are_the_pairs_that_share_a_set_and_each_counts_once(sets: dict[str, frozenset[str]]) -> None:
    truth = truth_of(Annotations(sets=sets))
    expected = {pair for genes in sets.values() for pair in combinations(sorted(genes), 2)}
    assert set(by_name(truth)) == expected
    assert len(truth.first) == len(expected)
    assert (np.diff(truth.related) > 0).all()
    assert set(truth.owner.tolist()) == set(range(truth.units))


def test_a_shared_pair_goes_with_the_largest_complex_so_copies_are_one() -> None:
    sets = {"small": frozenset("AB"), "large": frozenset("ABC"), "copy": frozenset("ABC"), "other": frozenset("CD")}
    owner = by_name(truth_of(Annotations(sets=sets)))
    assert owner["A", "B"] == owner["A", "C"] == owner["B", "C"] != owner["C", "D"]
    assert truth_of(Annotations(sets=sets)).units == 2


def test_a_pair_without_sets_goes_with_the_gene_of_more_partners() -> None:
    truth = truth_of(Annotations(pairs=pairs_of([("A", "B"), ("B", "C"), ("B", "D"), ("E", "F")])))
    owner = by_name(truth)
    assert owner["A", "B"] == owner["B", "C"] == owner["B", "D"] != owner["E", "F"]
    assert truth.members == {}
    assert truth.units == 2
