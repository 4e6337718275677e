"""Annotations inside an installed efaar-benchmarking."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from contrascope.benchmarks.annotations import annotations_from
from contrascope.errors import BenchmarkError


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of that name whose import fails, as the real one's does without its dependencies."""
    folder = tmp_path / "efaar_benchmarking/benchmark_annotations"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise ImportError('imported')")
    (folder / "Toy.txt").write_text("entity1,entity2\nA,B\nB,A\n")
    (folder / "Toy_clusters.tsv").write_text("a complex\tA B C\nanother\tC D\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "efaar_benchmarking", raising=False)
    return folder


@pytest.mark.usefixtures("installed")
def test_its_tables_are_found_by_name_and_it_is_not_imported() -> None:
    assert annotations_from("efaar:Toy").pairs == {("A", "B")}
    assert annotations_from("efaar:Toy_clusters").sets == {"a complex": frozenset("ABC"), "another": frozenset("CD")}
    assert "efaar_benchmarking" not in sys.modules


@pytest.mark.usefixtures("installed")
def test_an_unknown_name_shows_those_there_are() -> None:
    with pytest.raises(BenchmarkError, match=r"no annotations 'CORUM'\. It has Toy, Toy_clusters"):
        annotations_from("efaar:CORUM")
    with pytest.raises(BenchmarkError, match="which know no organism"):
        annotations_from("efaar:Toy", organism="Human")


def test_a_cluster_without_genes_is_named(installed: Path) -> None:
    (installed / "Toy_clusters.tsv").write_text("a complex\n")
    with pytest.raises(BenchmarkError, match=r"Line 1 of .* is no set"):
        annotations_from("efaar:Toy_clusters")


def test_without_the_package_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrascope.benchmarks.annotations.efaar.find_spec", lambda _: None)
    with pytest.raises(BenchmarkError, match=r"not installed here\..*`pip install --no-deps efaar-benchmarking"):
        annotations_from("efaar:CORUM")


@pytest.mark.skipif(find_spec("efaar_benchmarking") is None, reason="efaar-benchmarking is not installed")
def test_the_real_tables_can_be_read() -> None:
    assert len(annotations_from("efaar:CORUM").pairs) > 10_000
    assert len(annotations_from("efaar:CORUM_clusters").sets) > 1_000
