"""Other names of genes."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrascope.benchmarks.annotations import Annotations, with_symbols
from contrascope.errors import BenchmarkError

SETS = Annotations(sets={"one": frozenset(["OLD1", "B", "DOUBT"]), "two": frozenset(["B", "C"])})
TABLE = "symbol,alias\nA,OLD1\nC,OLD3\nX,DOUBT\nY,DOUBT\nB,A\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "aliases.csv"
    path.write_text(TABLE)
    return path


def test_aliases_on_both_sides_become_symbols_and_are_counted(table: Path) -> None:
    found = with_symbols(SETS, ["A", "B", "OLD3"], table)
    assert found.annotations.sets == {"one": frozenset(["A", "B", "DOUBT"]), "two": frozenset(["B", "C"])}
    assert found.screen == {"A": "A", "B": "B", "OLD3": "C"}
    assert found.note == (
        "Aliases changed 1 of 4 annotated names and 1 of 3 names of the screen to their symbols. "
        "Ambiguous aliases kept their names: DOUBT (X or Y)."
    )


def test_a_name_that_is_a_symbol_is_no_alias(table: Path) -> None:
    assert with_symbols(SETS, ["A"], table).screen == {"A": "A"}


def test_a_mapping_does_as_well_and_two_genes_never_get_one_name() -> None:
    found = with_symbols(SETS, ["OLD", "NEW", "OLDER"], {"OLD": "NEW", "OLDER": "NEW"})
    assert found.screen == {"OLD": "OLD", "NEW": "NEW", "OLDER": "OLDER"}
    assert "would share a symbol kept their names: OLD, OLDER" in found.note


@pytest.mark.parametrize(
    ("content", "message"),
    [("gene\tname\nA\tB\n", "is no table of aliases: its header is"), ("alias\tsymbol\nA\t\n", "Line 2 of .* lacks")],
)
def test_a_table_of_another_kind_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "aliases.tsv"
    path.write_text(content)
    with pytest.raises(BenchmarkError, match=message):
        with_symbols(SETS, ["A"], path)
