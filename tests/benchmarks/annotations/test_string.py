"""STRING's links, cut at a score."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from contrascope.benchmarks.annotations import annotations_from
from contrascope.errors import BenchmarkError

LINKS = "protein1 protein2 combined_score\n{0}1 {0}2 999\n{0}2 {0}1 999\n{0}1 {0}3 950\n{0}2 {0}3 700\n{0}3 {0}4 980\n"
INFO = "#string_protein_id\tpreferred_name\tprotein_size\tannotation\n" + "".join(
    f"9606.P{i}\t{gene}\t100\tsaid to be {gene}\n" for i, gene in enumerate("ABC", start=1)
)


@pytest.fixture
def links(tmp_path: Path) -> Path:
    path = tmp_path / "9606.protein.links.v12.0.txt.gz"
    path.write_bytes(gzip.compress(LINKS.format("9606.P").encode()))
    return path


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "9606.protein.info.v12.0.txt"
    path.write_text(INFO)
    return path


def test_links_as_strong_as_the_cut_are_pairs_of_genes(links: Path, names: Path) -> None:
    known = annotations_from(links, protein_names=names)
    assert known.pairs == {("A", "B"), ("A", "C")}
    assert known.notes == ("1 of 4 proteins of STRING have no gene name and were left out.",)
    assert annotations_from(links, protein_names=names, min_score=700).pairs == known.pairs | {("B", "C")}
    assert annotations_from(links, protein_names=names, min_score=951).pairs == {("A", "B")}


def test_links_between_genes_need_no_names(tmp_path: Path) -> None:
    path = tmp_path / "links.tsv"
    path.write_text(LINKS.format("G").replace(" ", "\t"))
    assert annotations_from(path).pairs == {("G1", "G2"), ("G1", "G3"), ("G3", "G4")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"names proteins as STRING does \(9606.P1\), not genes. Give STRING's protein.info"),
        ({"min_score": 1000}, "no link with a combined_score of 1000 or more"),
        ({"min_score": 0.9}, "min_score is 0.9. STRING's scores go from 1 to 1000"),
    ],
)
def test_what_is_missing_is_said(links: Path, options: dict, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        annotations_from(links, **options)


def test_files_in_each_others_place_are_told_apart(links: Path, names: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="list of proteins, not of links"):
        annotations_from(names)
    with pytest.raises(BenchmarkError, match=r"is not STRING's protein\.info"):
        annotations_from(links, protein_names=links)
    names.write_text(INFO.replace("9606.", "10090."))
    with pytest.raises(BenchmarkError, match=r"names none of the proteins of the links, such as 9606\.P1"):
        annotations_from(links, protein_names=names)
    bare = tmp_path / "bare.txt"
    bare.write_text("protein1 protein2\nA B\n")
    with pytest.raises(BenchmarkError, match="it lacks one of protein1, protein2, combined_score"):
        annotations_from(bare)
    bare.write_text("protein1 protein2 combined_score\nA B high\n")
    with pytest.raises(BenchmarkError, match="cannot be read as STRING's links"):
        annotations_from(bare)
