"""What annotations can judge of a screen, and how a space sees it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.spatial.distance import pdist

from contrascope.benchmarks.relations.evidence import EFAAR
from contrascope.benchmarks.relations.judged import judge, look_at, rows_of_genes
from contrascope.errors import BenchmarkError

NAMES = ["Q", "nt", "B", "D", "A", "C", "E"]
SETS = {"one": ["A", "B", "C"], "two": ["C", "D", "missing"], "none": ["nt", "other"]}


def profiles(names: list[str] = NAMES, controls: tuple[str, ...] = ("nt",)) -> AnnData:
    obs = pd.DataFrame(
        {"perturbation": names, "control": [n in controls for n in names]}, index=list(map(str, range(len(names))))
    )
    return AnnData(obs=obs, obsm={"salient": np.random.default_rng(0).normal(size=(len(names), 5))})


def test_genes_of_the_screen_that_share_a_set_are_judged_and_each_has_its_row() -> None:
    judged = judge(profiles(), SETS)
    assert judged.truth.genes == ["A", "B", "C", "D"]
    assert [NAMES[row] for row in judged.rows] == judged.truth.genes
    assert sorted(NAMES[row] for row in judged.screen) == ["A", "B", "C", "D", "E", "Q"], "controls are no perturbation"
    genes = np.array(judged.truth.genes)
    related = {"".join(pair) for pair in zip(genes[judged.truth.first], genes[judged.truth.second], strict=True)}
    assert related == {"AB", "AC", "BC", "CD"}


def test_a_space_is_seen_through_the_judged_genes_and_its_percentiles_through_all() -> None:
    data = profiles()
    vectors, judged = np.asarray(data.obsm["salient"]), judge(data, SETS)
    seen = look_at(vectors, judged)
    names = dict(zip(NAMES, vectors, strict=True))
    np.testing.assert_allclose(seen.similarity, 1 - pdist([names[gene] for gene in "ABCD"], "cosine"), atol=1e-11)
    np.testing.assert_array_equal(seen.ascending, np.sort(seen.similarity))
    np.testing.assert_allclose(np.linalg.norm(seen.unit, axis=1), 1)
    # Genes that nobody annotated count among those of whose pairs EFAAR takes its tails.
    screen = pdist(vectors[judged.screen], "cosine")
    assert (seen.evidence.pairs, seen.evidence.screen_pairs) == (6, len(screen)) == (6, 15)
    for metric, tail in EFAAR.items():
        related = 1 - seen.similarity[judged.truth.related]
        inside = [np.mean(screen >= d - 1e-9) <= tail or np.mean(screen > d + 1e-9) >= 1 - tail for d in related]
        assert seen.evidence.tails[metric].tolist() == inside


def test_other_names_of_genes_are_brought_together_and_told() -> None:
    renamed = profiles(["Q", "nt", "B", "D", "alpha", "C", "E"])
    judged = judge(renamed, SETS, aliases={"alpha": "A"})
    assert judged.truth.genes == ["A", "B", "C", "D"]
    assert renamed.obs["perturbation"].iloc[judged.rows[0]] == "alpha"
    assert any("1" in note and "alias" in note.lower() for note in judged.notes)


def test_rows_of_genes_are_those_of_perturbations_once_each() -> None:
    assert rows_of_genes(profiles()) == {name: row for row, name in enumerate(NAMES) if name != "nt"}
    with pytest.raises(BenchmarkError, match="7 rows have 6 names: these are cells or guide profiles"):
        rows_of_genes(profiles([*NAMES, "A"]))
    assert len(rows_of_genes(profiles([*NAMES, "nt"]))) == 6, "controls may have several"
    nameless = profiles()
    del nameless.obs["perturbation"]
    with pytest.raises(BenchmarkError, match=r"lack obs\['perturbation'\]"):
        rows_of_genes(nameless)


def test_where_every_pair_is_related_nothing_can_be_told() -> None:
    with pytest.raises(BenchmarkError, match=r"All 3 genes that are judged \(A, B, C\) are in one complex"):
        judge(profiles(), {"one": ["A", "B", "C"]})
