"""Formats of annotations are told apart by their first line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contrascope.benchmarks.annotations import Annotations, annotations_from, read_gene_sets
from contrascope.benchmarks.annotations.formats import FORMATS
from contrascope.benchmarks.gene_groups import gene_groups_from, gene_list_from
from contrascope.errors import BenchmarkError

FIRST_LINES = {
    "CORUM table": "complex_id\tcomplex_name\torganism\tsubunits_gene_name",
    "STRING links": "protein1 protein2 neighborhood combined_score",
    "pairs": "entity1,entity2",
    "Enrichr text": "a complex\t\tA\tB",
    "GMT": "a complex\tabout it\tA\tB",
}


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_the_first_format_that_knows_a_line_is_the_right_one(known: object) -> None:
    line = FIRST_LINES[known.name]  # type: ignore[attr-defined]
    assert next(f for f in FORMATS if f.recognises(line)) is known


def test_annotations_that_were_read_before_are_taken_as_they_are() -> None:
    known = Annotations(pairs=frozenset([("A", "B")]))
    assert annotations_from(known) is known
    assert annotations_from({"a": ["A", "B"]}, min_score=None).sets == {"a": frozenset("AB")}
    with pytest.raises(BenchmarkError, match="sets in memory, which know no min_score"):
        annotations_from({"a": ["A", "B"]}, min_score=900)


@pytest.mark.parametrize("read", [annotations_from, read_gene_sets, gene_groups_from, gene_list_from])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\xff\xfe\x00", "cannot be read as text"),
        (b"\x1f\x8bno", "cannot be read as text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "only the pointer that Git LFS keeps"),
    ],
)
def test_what_is_no_text_is_refused_by_every_reader_in_the_same_words(
    refuses: Callable[..., None], read: Callable[[Path], object], content: bytes, message: str
) -> None:
    refuses(read, content, message)


def test_a_file_of_no_known_format_is_refused_by_how_it_begins(refuses: Callable[..., None]) -> None:
    refuses(annotations_from, "ACTB\nTUBB\n", "of no kind that can be read: it begins 'ACTB'")


@pytest.mark.parametrize("read", [annotations_from, read_gene_sets, gene_groups_from, gene_list_from])
def test_a_folder_and_a_missing_file_are_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(BenchmarkError, match="cannot be read as text"):
        read(tmp_path)
    with pytest.raises(BenchmarkError, match=r"There is no file .*nowhere\.gmt"):
        read(tmp_path / "nowhere.gmt")
