"""Annotations in memory: cut to a screen, counted, renamed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.benchmarks.annotations import Annotations, overlap_note, pairs_of, sets_in_screen
from contrascope.errors import BenchmarkError

GENES = st.sampled_from("ABCDE")


def test_sets_are_cut_to_the_screen_and_the_unknown_are_counted() -> None:
    sets = {"a": frozenset("ABC"), "b": frozenset("AX"), "c": frozenset("YZ")}
    assert sets_in_screen(sets, "ABD") == {"a": frozenset("AB")}
    assert overlap_note(sets, "ABD").startswith("4 of 6 annotated genes are unknown to the screen; 1 of 3")


def test_pairs_are_cut_to_the_screen_and_the_unknown_are_counted() -> None:
    known = Annotations(pairs=pairs_of([("A", "B"), ("C", "X")]))
    assert known.in_screen("ABCD").pairs == {("A", "B")}
    assert overlap_note(known, "ABCD") == (
        "1 of 4 annotated genes are unknown to the screen; 1 of 4 genes of the screen are in no pair."
    )


@given(pairs=st.lists(st.tuples(GENES, GENES)))
def test_a_pair_and_its_mirror_image_are_one_and_no_gene_is_its_own_partner(pairs: list[tuple[str, str]]) -> None:
    found = pairs_of(pairs)
    assert {frozenset(pair) for pair in found} == {frozenset(pair) for pair in pairs if len(set(pair)) == 2}
    assert len(found) == len({frozenset(pair) for pair in found})
    assert all(a < b for a, b in found)


def test_renamed_genes_may_fall_together() -> None:
    known = Annotations(sets={"a": frozenset("ABC")})
    assert known.renamed({"B": "A"}).sets == {"a": frozenset("AC")}
    assert Annotations(pairs=pairs_of([("A", "B"), ("B", "C")])).renamed({"B": "A"}).pairs == {("A", "C")}


@pytest.mark.parametrize(
    "known",
    [Annotations(sets={"a": frozenset(["ACTB", "TUBB"])}), Annotations(pairs=frozenset([("ACTB", "TUBB")]))],
)
def test_no_overlap_shows_names_of_both_sides(known: Annotations) -> None:
    with pytest.raises(BenchmarkError, match=r"The annotations have ACTB, TUBB; the screen has actb, tubb"):
        known.in_screen(["actb", "tubb"])
