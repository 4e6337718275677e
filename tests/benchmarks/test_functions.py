"""Gene functions, against scikit-learn's own cross-validation and planted ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, recall_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from contrascope.benchmarks.functions import dealt, functions, resampled_recall
from contrascope.errors import BenchmarkError

GENES = [f"G{g:02d}" for g in range(24)]
GROUP_OF = {gene: "abc"[g % 3] for g, gene in enumerate(GENES)}


def guides(seed: int = 0, *, each: int = 4) -> AnnData:
    """``background`` knows the function, ``gene`` each gene but no function, ``salient`` nothing; plus controls."""
    random = np.random.default_rng(seed)
    gene = np.repeat(GENES, each)
    n = len(gene) + 6
    group = np.array([ord(GROUP_OF[name]) - ord("a") for name in gene])
    own = np.repeat(np.arange(len(GENES)), each)
    obsm = {space: random.normal(size=(n, 6)) for space in ("background", "salient", "gene")}
    obsm["background"][: len(gene)] += 4 * random.normal(size=(3, 6))[group]
    obsm["gene"][: len(gene)] += 8 * random.normal(size=(len(GENES), 6))[own]
    names = [f"{name}_{i % each}" for i, name in enumerate(gene)] + [f"nt_{i}" for i in range(6)]
    obs = pd.DataFrame(
        {"guide": names, "perturbation": [*gene, *["nt"] * 6], "control": [False] * len(gene) + [True] * 6},
        index=names,
    )
    return AnnData(obs=obs, obsm=obsm)


def judged(data: AnnData, space: str, **options: Any) -> pd.DataFrame:
    options = {"annotations": GROUP_OF, "permutations": 2} | options
    return functions(data, spaces=[space], **options).table


def the(table: pd.DataFrame, metric: str, **where: str) -> pd.Series:
    rows = table[table["metric"] == metric]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_recall_and_accuracy_are_those_of_scikit_learn() -> None:
    data = guides(1)
    noise = np.random.default_rng(2).normal(size=data.obsm["background"].shape)
    data.obsm["background"] += 8 * noise  # so that not all are told
    table = judged(data, "background", folds=4)
    rows = data[~data.obs["control"]]
    label = np.array([ord(GROUP_OF[gene]) - ord("a") for gene in rows.obs["perturbation"]])
    fold = np.repeat(dealt(np.arange(24) % 3, 4, 0), 4)
    probe = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000, tol=1e-5))
    said = cross_val_predict(probe, rows.obsm["background"], label, cv=PredefinedSplit(fold))
    assert 0.4 < balanced_accuracy_score(label, said) < 0.95
    assert the(table, "balanced accuracy")["value"] == pytest.approx(balanced_accuracy_score(label, said))
    for k, recall in enumerate(recall_score(label, said, average=None)):
        assert the(table, "recall", truth="abc"[k])["value"] == pytest.approx(recall)
        assert the(table, "confusion", truth="abc"[k], predicted="abc"[k])["value"] == pytest.approx(recall)
    for g, gene in enumerate(GENES):
        right = np.mean((said == label)[4 * g : 4 * g + 4])
        assert the(table, "gene recall", gene=gene)["value"] == pytest.approx(right)


def test_a_space_that_knows_each_gene_and_no_function_stays_at_chance() -> None:
    """Were guides of one gene on both sides, every guide of this space would be told rightly."""
    values = [the(judged(guides(seed), "gene"), "balanced accuracy")["value"] for seed in range(12)]
    assert np.mean(values) == pytest.approx(1 / 3, abs=0.12)
    assert the(judged(guides(), "background"), "balanced accuracy")["value"] > 0.95


@given(sizes=st.lists(st.integers(2, 9), min_size=2, max_size=6), folds=st.integers(2, 8), seed=st.integers(0, 50))
def test_every_group_is_seen_by_every_probe_and_every_gene_asked_about_once(
    sizes: list[int], folds: int, seed: int
) -> None:
    group = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    fold = dealt(group, folds, seed)
    assert set(fold) == set(range(min(folds, max(sizes))))
    for number in set(fold):
        assert set(group[fold != number]) == set(group)
    for k in range(len(sizes)):
        counts = np.bincount(fold[group == k], minlength=fold.max() + 1)
        assert counts.max() - counts.min() <= 1


def test_p_values_of_a_space_that_knows_nothing_are_uniform() -> None:
    p = [
        the(judged(guides(seed, each=1), "salient", permutations=9, folds=2, seed=seed), "balanced accuracy")["p"]
        for seed in range(60)
    ]
    assert set(np.round(10 * np.array(p), 9)) <= set(range(1, 11))
    assert np.mean(p) == pytest.approx(0.55, abs=0.12)
    assert np.mean(np.array(p) <= 0.2) < 0.37


def test_what_the_permuted_groups_reach_is_chance_and_a_planted_function_is_beyond_it() -> None:
    row = the(judged(guides(), "background", permutations=40), "balanced accuracy")
    assert row["chance"] == pytest.approx(1 / 3)
    assert row["null_mean"] == pytest.approx(1 / 3, abs=0.06)
    assert row["null_mean"] < row["null_p95"] < row["low"] <= row["value"] <= row["high"]
    assert row["p"] == pytest.approx(1 / 41)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000))
def test_neither_the_order_of_guides_nor_units_nor_names_of_groups_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    data = guides()
    expected = judged(data, "background")
    other = data[random.permutation(data.n_obs)].copy()
    pd.testing.assert_frame_equal(judged(other, "background"), expected)
    other.obsm["background"] = other.obsm["background"] * random.uniform(0.5, 2, 6) + random.normal(size=6)
    new = {"a": "z", "b": "y", "c": "x"}
    renamed = judged(other, "background", annotations={gene: new[name] for gene, name in GROUP_OF.items()})
    for name in "abc":
        assert the(renamed, "recall", truth=new[name])["value"] == the(expected, "recall", truth=name)["value"]


def test_the_interval_is_that_of_a_loop_over_resampled_genes() -> None:
    hits, sizes = np.array([4.0, 1.0, 0.0, 3.0]), np.array([4.0, 4.0, 2.0, 5.0])
    random = np.random.default_rng(5)
    loop = []
    for _ in range(4000):
        drawn = [int(random.integers(4)) for _ in range(4)]
        loop.append(sum(hits[g] for g in drawn) / sum(sizes[g] for g in drawn))
    draws = resampled_recall(hits, sizes, np.random.default_rng(0))
    np.testing.assert_allclose(np.percentile(draws, [2.5, 50, 97.5]), np.percentile(loop, [2.5, 50, 97.5]), atol=0.06)


def test_groups_are_resampled_independently() -> None:
    """Mean over four groups of one size: its interval is half as wide as that of one."""
    data, four = guides(), {gene: "abcd"[g % 4] for g, gene in enumerate(GENES)}
    table = judged(data, "salient", annotations=four)
    width = (table["high"] - table["low"]).groupby(table["metric"]).mean()
    assert width["balanced accuracy"] == pytest.approx(width["recall"] / 2, rel=0.3)


def test_what_was_left_out_is_said() -> None:
    result = functions(guides(), spaces=["salient"], annotations=GROUP_OF | {"G00": "alone"}, permutations=1)
    assert result.notes[0].startswith("Judged 92 guides of 23 genes in 3 groups (a 7, b 8, c 8), in 5 folds")
    assert result.notes[1] == "1 group(s) with fewer than two genes of the screen were left out: alone."
    assert "G00" not in set(result.table["gene"])


def test_profiles_of_perturbations_will_do_and_cells_will_not() -> None:
    data = guides(each=1)
    del data.obs["guide"]
    assert the(judged(data, "background"), "balanced accuracy")["n"] == 24
    cells = guides()
    cells.obs["guide"] = cells.obs["perturbation"]
    with pytest.raises(BenchmarkError, match="96 rows have 24 guides: these are cells"):
        judged(cells, "background")
    del cells.obs["perturbation"]
    with pytest.raises(BenchmarkError, match=r"lack obs\['perturbation'\]"):
        judged(cells, "background")


def test_one_fold_and_no_overlap_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="folds is 1"):
        judged(guides(), "background", folds=1)
    with pytest.raises(BenchmarkError, match="two groups were needed"):
        judged(guides(), "background", annotations={"TP53": "a", "MYC": "b"})


def test_a_constant_feature_raises_no_warning() -> None:
    data = guides()
    data.obsm["odd"] = np.column_stack([np.ones(data.n_obs), data.obsm["background"]])
    assert the(judged(data, "odd"), "balanced accuracy")["value"] > 0.9
