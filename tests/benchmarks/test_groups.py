"""Groups of perturbations, in the three ways they can be given."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from contrascope.benchmarks.groups import groups_in_screen
from contrascope.errors import BenchmarkError

SETS = {"alpha": ["A1", "A2"], "beta": ["B1", "X9"], "gamma": ["A2", "G1"]}
SCREEN = ["A1", "A2", "B1", "G1", "H1"]


def test_perturbations_are_grouped_one_by_one_or_by_sets_or_by_groups_of_sets(tmp_path: Path) -> None:
    found, notes = groups_in_screen(SCREEN, groups={"B1": "x", "A1": "y", "A2": "y"})
    assert found == {"x": ["B1"], "y": ["A1", "A2"]}
    assert notes == ()
    gmt = tmp_path / "sets.gmt"
    gmt.write_text("".join("\t".join([name, "", *genes]) + "\n" for name, genes in SETS.items()))
    found, notes = groups_in_screen(SCREEN, annotations=gmt)
    assert found == {"alpha": ["A1", "A2"], "beta": ["B1"], "gamma": ["A2", "G1"]}
    assert notes == ("1 of 5 perturbations named in groups are unknown to the screen.",)
    pairs, zipped = tmp_path / "sets.csv", tmp_path / "sets.csv.gz"
    pairs.write_text("gene,group\n" + "".join(f"{gene},{name}\n" for name, genes in SETS.items() for gene in genes))
    zipped.write_bytes(gzip.compress(pairs.read_bytes()))
    assert groups_in_screen(SCREEN, annotations=pairs) == groups_in_screen(SCREEN, annotations=zipped) == (found, notes)
    found, _ = groups_in_screen(
        SCREEN, annotations=SETS, groups={"alpha": "novel", "gamma": "novel", "zeta": "shifted"}
    )
    assert found == {"novel": ["A1", "A2", "G1"]}
    assert groups_in_screen(SCREEN) == ({}, ())


def test_names_that_are_nowhere_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="name a1; the screen has A1, A2, B1 and 2 more, and none"):
        groups_in_screen(SCREEN, groups={"a1": "x"})
    with pytest.raises(BenchmarkError, match="the annotations have the sets alpha, beta, gamma"):
        groups_in_screen(SCREEN, annotations=SETS, groups={"A1": "novel"})
