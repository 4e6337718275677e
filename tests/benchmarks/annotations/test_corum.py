"""CORUM's tables, as older and newer releases have them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from contrascope.benchmarks.annotations import annotations_from
from contrascope.errors import BenchmarkError

OLD = "ComplexID\tComplexName\tOrganism\tSynonyms\tsubunits(Gene name)\tsubunits(Gene name syn)"
NEW = "complex_id\tcomplex_name\torganism\tsynonyms\tsubunits_gene_name\tsubunits_gene_name_synonyms"
ROWS = (
    "1\tBCL6-HDAC4 complex\tHuman\t-\tBCL6;HDAC4\tBCL5 ZBTB27;KIAA0288",
    '2\tDab2 "complex"\tMouse\tNone\tDab2;Pou2f1;\t-',
    '3\tBCL6-HDAC4 complex\tHuman\t-\t"BCL6; HDAC4;HDAC5"\t-',
    "4\tnameless\tHuman\t-\t\t-",
)


@pytest.mark.parametrize("header", [OLD, NEW])
@pytest.mark.parametrize("zipped", [False, True])
def test_old_and_new_tables_have_the_same_complexes_and_human_ones_are_taken(
    tmp_path: Path, header: str, zipped: bool
) -> None:
    path = tmp_path / "allComplexes.txt"
    content = "\n".join([header, *ROWS]).encode()
    path.write_bytes(gzip.compress(content) if zipped else content)
    known = annotations_from(path)
    assert known.sets == {
        "BCL6-HDAC4 complex": frozenset(["BCL6", "HDAC4"]),
        "BCL6-HDAC4 complex (2)": frozenset(["BCL6", "HDAC4", "HDAC5"]),
    }
    assert known.notes == ("Complexes of CORUM without gene names were left out: 1.",)
    assert annotations_from(path, organism="mouse").sets == {'Dab2 "complex"': frozenset(["Dab2", "Pou2f1"])}


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ([OLD, *ROWS], {"organism": "Rat"}, "no complexes of the organism 'Rat'. It has Human, Mouse"),
        ([OLD.replace("\tOrganism", "\tSpecies"), *ROWS], {}, "its header lacks organism"),
        ([OLD, ROWS[0], "2\tshort\tHuman"], {}, "Line 3 of .* is cut short: 3 fields"),
        ([OLD, *ROWS], {"min_score": 900}, "CORUM table.*which know no min_score"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, lines: list[str], options: dict, message: str) -> None:
    path = tmp_path / "core.txt"
    path.write_text("\n".join(lines))
    with pytest.raises(BenchmarkError, match=message):
        annotations_from(path, **options)
