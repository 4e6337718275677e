"""Tables of pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contrascope.benchmarks.annotations import annotations_from, gene_sets_from


@pytest.mark.parametrize("separator", [",", "\t"])
def test_pairs_are_read_once_whichever_gene_comes_first(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "CORUM.txt"
    rows = [("entity1", "entity2"), ("SUB1", "GTF3C3"), ("GTF3C3", "SUB1"), ("A", "A"), ("B", "A")]
    path.write_text("\n".join(separator.join(row) for row in rows))
    known = annotations_from(path)
    assert known.pairs == {("GTF3C3", "SUB1"), ("A", "B")}
    assert known.sets == {}


def test_columns_may_stand_among_others(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('"score","entity2","entity1"\n1,"A","B"\n')
    assert annotations_from(path).pairs == {("A", "B")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("entity1,entity2\nA,B\nC\n", "Line 3 of .* is no pair: 'C'"),
        ("entity1,entity2\nA,\n", "Line 2 of .* is no pair"),
        ("entity1,entity2\nA,A\n", "no pair of two genes"),
        ("gene,complex\nA,B\n", "of no kind that can be read: it begins 'gene,complex'"),
    ],
)
def test_a_table_of_another_kind_says_what_is_wrong(refuses: Callable[..., None], content: str, message: str) -> None:
    refuses(annotations_from, content, message, name="pairs.csv")


def test_where_sets_are_needed_pairs_are_refused(refuses: Callable[..., None]) -> None:
    refuses(gene_sets_from, "entity1,entity2\nA,B\n", "sets were needed", name="pairs.csv")
