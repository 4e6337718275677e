"""Gene sets from GMT files and Enrichr's text libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.benchmarks.annotations import gene_sets_from, read_gene_sets

NAMES = st.text("ABCabc123-", min_size=1, max_size=6)


@given(sets=st.dictionaries(NAMES, st.frozensets(NAMES, min_size=1, max_size=5), min_size=1, max_size=6))
def test_sets_that_are_written_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, sets: dict[str, frozenset[str]]
) -> None:
    path = tmp_path_factory.mktemp("gmt") / "sets.gmt"
    path.write_text("".join("\t".join([name, "about", *sorted(genes)]) + "\n" for name, genes in sets.items()))
    assert read_gene_sets(path) == sets
    assert gene_sets_from(str(path)) == gene_sets_from(sets) == sets


def test_blank_lines_trailing_tabs_and_repeated_names_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_bytes("\ufeffone\tx\tA\tB\t\t\r\n\r\none\tx\tC \tD\n".encode())
    assert read_gene_sets(path) == {"one": frozenset("AB"), "one (2)": frozenset("CD")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("good\tx\tA\nbad line\n", "Line 2 of .* is not GMT"),
        ("name\tabout\t\n", "Line 1 of .* at least one gene"),
    ],
)
def test_a_file_that_is_not_gmt_is_refused_with_its_line(
    refuses: Callable[..., None], content: str, message: str
) -> None:
    refuses(read_gene_sets, content, message)


def test_enrichr_leaves_the_description_empty_and_weighs_genes(tmp_path: Path) -> None:
    path = tmp_path / "CORUM.txt"
    path.write_text("Arp2/3 complex\t\tACTR2,1.0\tARPC3,0.5\t\nTFIID, human\t\tTBP\tTAF1\n")
    assert gene_sets_from(path) == {
        "Arp2/3 complex": frozenset(["ACTR2", "ARPC3"]),
        "TFIID, human": frozenset(["TBP", "TAF1"]),
    }
