"""Groups of genes and lists of genes, as users keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.benchmarks.gene_groups import gene_groups_from, gene_list_from, one_group_each
from contrascope.errors import BenchmarkError

GROUPS = {"actin": frozenset({"ACTB", "CFL1"}), "spindle": frozenset({"KIF11", "TPX2"})}
NAMES = st.text('ABCabc123- ,"', min_size=1, max_size=6).map(str.strip).filter(bool)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("g.csv", "gene,function\nACTB,actin\nCFL1,actin\n\nKIF11,spindle\nTPX2,spindle\nXYZ,\n"),
        ("g.csv", "\ufeffACTB,actin\r\nCFL1, actin\r\nKIF11,spindle\r\nTPX2,spindle\r\n"),
        ("g.tsv", "Symbol\tgroup\nACTB\tactin\nCFL1\tactin\nKIF11\tspindle\nTPX2\tspindle\n"),
        ("g.gmt", "actin\tx\tACTB\tCFL1\nspindle\tx\tKIF11\tTPX2\n"),
    ],
)
def test_a_table_with_and_without_a_header_and_a_gmt_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert gene_groups_from(tmp_path / name) == gene_groups_from(str(tmp_path / name)) == GROUPS


def test_a_table_of_corum_is_one_also_where_its_name_ends_as_a_users_table_would(tmp_path: Path) -> None:
    header = "ComplexID\tComplexName\tOrganism\tsubunits(Gene name)\n"
    (tmp_path / "c.tsv").write_text(f"{header}1\tactin\tHuman\tACTB;CFL1\n2\tspindle\tHuman\tKIF11;TPX2\n")
    assert gene_groups_from(tmp_path / "c.tsv") == GROUPS


def test_groups_in_memory_go_either_way() -> None:
    assert gene_groups_from(GROUPS) == GROUPS
    assert gene_groups_from({gene: name for name, genes in GROUPS.items() for gene in genes}) == GROUPS
    with pytest.raises(BenchmarkError, match=r"The group of ACTB is \['x'\]"):
        gene_groups_from({"KIF11": "spindle", "ACTB": ["x"]})


@given(groups=st.dictionaries(NAMES, NAMES, min_size=1, max_size=8))
def test_what_a_csv_writer_wrote_is_read_back(tmp_path_factory: pytest.TempPathFactory, groups: dict[str, str]) -> None:
    import polars as pl

    path = tmp_path_factory.mktemp("groups") / "groups.csv"
    pl.DataFrame({"gene": list(groups), "function": list(groups.values())}).write_csv(path)
    read = {gene: name for name, genes in gene_groups_from(path).items() for gene in genes}
    assert read == groups


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("g.csv", b"gene,function\nA,x,y\n", "Line 2 of .* has 3 field.s., 'A,x,y'.* a comma between"),
        ("g.tsv", b"A,x\n", "Line 1 of .* has 1 field.* a tab between"),
        ("g.csv", b"gene,function\nA,\n", "says no gene's group"),
        ("g.csv", b"\xff\xfe\x00", "cannot be read as text"),
        ("g.csv", None, "There is no file"),
        ("g.csv", b"version https://git-lfs.github.com/spec/v1\n", "only the pointer that Git LFS keeps"),
        ("g.csv", b"entity1,entity2\nA,B\n", "sets were needed"),
    ],
)
def test_what_is_no_table_of_groups_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BenchmarkError, match=message):
        gene_groups_from(tmp_path / name)


def test_a_gene_of_two_groups_and_a_group_of_one_gene_are_left_out_and_named() -> None:
    sets = gene_groups_from(GROUPS | {"both": {"ACTB", "A", "B"}, "alone": {"C"}, "elsewhere": {"X", "Y"}})
    group_of, notes = one_group_each(sets, ["ACTB", "CFL1", "KIF11", "TPX2", "A", "B", "C", "D"])
    assert group_of == {"KIF11": "spindle", "TPX2": "spindle", "A": "both", "B": "both"}
    assert notes == [
        "1 gene(s) of more than one group were left out: ACTB.",
        "3 group(s) with fewer than two genes of the screen were left out: actin, alone, elsewhere.",
    ]


def test_one_group_is_nothing_to_tell() -> None:
    with pytest.raises(
        BenchmarkError, match=r"1 of 2 group\(s\) .* two groups were needed.* the screen has ACTB, CFL1"
    ):
        one_group_each(GROUPS, ["ACTB", "CFL1", "kif11", "tpx2"])


def test_a_list_is_a_gene_a_line_or_sets_of_a_gmt(tmp_path: Path) -> None:
    lines, gmt = tmp_path / "genes.txt", tmp_path / "sets.gmt"
    lines.write_text("KIF11\r\n TPX2\n\n")
    gmt.write_text("actin\tx\tACTB\tCFL1\nspindle\tx\tKIF11\tTPX2\nAPC\tx\tCDC20\n")
    assert gene_list_from(lines) == gene_list_from(gmt, sets="spindle") == gene_list_from(["KIF11", "TPX2"])
    assert gene_list_from(gmt, sets=["spindle", "APC"]) == {"KIF11", "TPX2", "CDC20"}
    assert gene_list_from(gmt) == {"KIF11", "TPX2", "CDC20", "ACTB", "CFL1"}
    assert gene_list_from(GROUPS, sets="actin") == GROUPS["actin"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("KIF11\n", {"sets": "spindle"}, "has a gene a line and no sets"),
        ("\n", {}, "is empty"),
        ("a\tx\tB\n", {"sets": "b"}, "There is no set b. The sets are a"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    (tmp_path / "genes.txt").write_text(text)
    with pytest.raises(BenchmarkError, match=message):
        gene_list_from(tmp_path / "genes.txt", **options)
    with pytest.raises(BenchmarkError, match="There is no file"):
        gene_list_from(tmp_path / "nothing.txt")
