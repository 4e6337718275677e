"""Mitotic genes, against scikit-learn, counting by hand, and planted ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, roc_auc_score

from contrascope.benchmarks.mitosis import area, mitosis, resampled_auroc
from contrascope.benchmarks.result import Result
from contrascope.errors import BenchmarkError

GENES = [f"G{g:02d}" for g in range(20)]
MITOTIC = GENES[:6]


def cells(seed: int = 0, *, planted: bool = True, each: int = 30) -> AnnData:
    """Mitotic genes move cells in the background, the others in the salient space; a little more mitosis with them."""
    random = np.random.default_rng(seed)
    names = np.repeat(["nt", *GENES], each)
    n, mitotic = len(names), np.isin(names, MITOTIC)
    obsm = {space: random.normal(size=(n, 5)) for space in ("background", "salient")}
    if planted:
        obsm["background"][:, 0] += 3 * mitotic
        obsm["salient"][:, 0] += 3 * (~mitotic & (names != "nt"))
    share = np.where(mitotic, 0.2, 0.1) if planted else 0.1
    obs = pd.DataFrame(
        {
            "perturbation": names,
            "guide": [f"{name}_{i % 2}" for i, name in enumerate(names)],
            "control": names == "nt",
            "stage": np.where(random.random(n) < share, "mitotic", "interphase"),
        },
        index=[str(i) for i in range(n)],
    )
    return AnnData(obs=obs, obsm=obsm)


def areas(result: Result, metric: str = "AUROC") -> dict[tuple[str, str], pd.Series]:
    rows = result.table[result.table["metric"] == metric]
    return {(row["space"], row["score"]): row for _, row in rows.iterrows()}


def test_genes_whose_effect_is_in_the_background_are_told_better_than_by_counting() -> None:
    result = mitosis(cells(), genes=MITOTIC)
    found = areas(result)
    assert found["combined", "relative background norm"]["value"] == 1
    assert found["background", "effect size"]["value"] == 1
    assert found["salient", "effect size"]["value"] == 0
    assert 0.6 < found["mitotic index", "mitotic index"]["value"] < 1
    gain = areas(result, "AUROC above mitotic index")["combined", "relative background norm"]
    assert gain["value"] == pytest.approx(1 - found["mitotic index", "mitotic index"]["value"])
    assert gain["low"] <= gain["value"] <= gain["high"]


def test_scores_are_those_counted_gene_by_gene() -> None:
    data = cells(3)
    controls = {s: _mean_of_guides(data, "nt", s) for s in data.obsm}
    moved = {s: [_mean_of_guides(data, gene, s) - controls[s] for gene in GENES] for s in data.obsm}
    norms = {s: np.array([np.linalg.norm(v) for v in moved[s]]) for s in moved}
    z, s = (norms[space] / norms[space].mean() for space in ("background", "salient"))
    stage = data.obs["stage"].to_numpy()
    index = [np.mean(stage[data.obs["perturbation"] == gene] == "mitotic") for gene in GENES]
    truth = np.isin(GENES, MITOTIC)
    found = areas(mitosis(data, genes=MITOTIC))
    expected = {
        ("combined", "relative background norm"): z**2 / (z**2 + s**2),
        ("salient", "effect size"): norms["salient"],
        ("combined", "effect size"): np.hypot(norms["background"], norms["salient"]),
        ("mitotic index", "mitotic index"): index,
    }
    for key, score in expected.items():
        assert found[key]["value"] == pytest.approx(roc_auc_score(truth, score)), key


def _mean_of_guides(data: AnnData, gene: str, space: str) -> Any:
    mine = (data.obs["perturbation"] == gene).to_numpy()
    guide = data.obs["guide"].to_numpy()
    return np.mean([data.obsm[space][guide == name].mean(axis=0) for name in sorted(set(guide[mine]))], axis=0)


@given(seed=st.integers(0, 300))
def test_the_area_is_that_of_scikit_learn_ties_and_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    score, known = random.integers(0, 6, 30).astype(float), np.arange(30) < random.integers(1, 29)
    assert area(score[known], score[~known]) == pytest.approx(roc_auc_score(known, score))
    assert area(score[~known], score[known]) == pytest.approx(1 - roc_auc_score(known, score))


def test_the_curve_encloses_the_area() -> None:
    table = mitosis(cells(2), genes=MITOTIC).table
    for (space, score), row in areas(mitosis(cells(2), genes=MITOTIC)).items():
        curve = table[(table["space"] == space) & (table["score"] == score) & (table["metric"] == "true positive rate")]
        assert auc(curve["false_positive_rate"], curve["value"]) == pytest.approx(row["value"])
        assert (curve["chance"] == curve["false_positive_rate"]).all()


def test_the_interval_is_that_of_a_loop_over_resampled_genes() -> None:
    random = np.random.default_rng(0)
    known = np.arange(60) < 20
    score = random.normal(size=60) + known
    loop = []
    for _ in range(600):
        rows = np.concatenate([random.choice(np.flatnonzero(side), side.sum()) for side in (known, ~known)])
        loop.append(roc_auc_score(known[rows], score[rows]))
    draws = resampled_auroc(score, known, seed=1)
    np.testing.assert_allclose(np.percentile(draws, [2.5, 97.5]), np.percentile(loop, [2.5, 97.5]), atol=0.03)


def test_where_nothing_is_planted_intervals_hold_one_half_as_often_as_they_say() -> None:
    """Six genes of twenty, and intervals from resamples: 95 % in name, a little less in truth."""
    held = []
    for seed in range(40):
        row = areas(mitosis(cells(seed, planted=False, each=6), genes=MITOTIC, spaces=["combined"]))
        found = row["combined", "relative background norm"]
        held.append((found["low"] <= 0.5 <= found["high"], found["value"]))
    inside, values = np.array(held).T
    assert inside.mean() > 0.82
    assert values.mean() == pytest.approx(0.5, abs=0.08)


def test_neither_rotation_nor_units_nor_the_order_of_cells_matter() -> None:
    data = cells(4)
    expected = mitosis(data, genes=MITOTIC).table
    random = np.random.default_rng(0)
    other = data[random.permutation(data.n_obs)].copy()
    turn, _ = np.linalg.qr(random.normal(size=(5, 5)))
    other.obsm["background"] = 7 * other.obsm["background"] @ turn + 3
    again = mitosis(other, genes=MITOTIC).table
    # The norm of both spaces side by side is the one score that the unit of either changes.
    kept = [t[(t["score"] != "effect size") | (t["space"] != "combined")] for t in (expected, again)]
    pd.testing.assert_frame_equal(kept[1].reset_index(drop=True), kept[0].reset_index(drop=True))


def test_without_stages_the_index_is_left_out_and_the_norms_are_judged() -> None:
    data = cells()
    del data.obs["stage"]
    result = mitosis(data, genes=MITOTIC)
    assert "The mitotic index was left out: the cells have no obs['stage']" in result.notes[1]
    assert set(result.table["metric"]) == {"AUROC", "true positive rate"}
    assert areas(result)["combined", "relative background norm"]["value"] == 1


def test_an_embedding_with_one_space_is_judged_by_its_effects() -> None:
    data = cells()
    data.obsm = {"theirs": data.obsm["background"]}
    result = mitosis(data, genes=MITOTIC)
    assert set(areas(result)) == {("theirs", "effect size"), ("mitotic index", "mitotic index")}
    assert "relative background norm was left out" in " ".join(result.notes)


def test_genes_without_a_staged_cell_are_left_out_of_every_score() -> None:
    data = cells()
    stage = data.obs["stage"].astype(object).to_numpy().copy()
    stage[data.obs["perturbation"] == "G19"] = None
    data.obs["stage"] = stage
    result = mitosis(data, genes=MITOTIC)
    assert set(result.table["n"]) == {19}
    assert result.notes[1] == "1 gene(s) without a cell of known stage were left out: G19."


def test_sets_of_a_file_and_several_stages_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text("spindle\tx\t" + "\t".join([*MITOTIC, "X"]) + "\nother\tx\tG07\tG08\n")
    data = cells()
    result = mitosis(data, genes=path, sets="spindle", mitotic=["mitotic", "interphase"])
    assert result.notes[0] == "6 of 7 known mitotic genes are in the screen; they are judged against 14 other genes."
    assert areas(result)["mitotic index", "mitotic index"]["value"] == 0.5
    data.obs["dividing"] = (data.obs["stage"] == "mitotic").to_numpy()
    flagged = mitosis(data, genes=MITOTIC, column="dividing", mitotic="True")
    pd.testing.assert_frame_equal(flagged.table, mitosis(data, genes=MITOTIC).table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genes": ["TP53"]}, "0 of the screen's 20 genes are known to be mitotic.* The list has TP53"),
        ({"genes": GENES}, "20 of the screen's 20 genes"),
        ({"genes": MITOTIC, "mitotic": "M"}, "No cell has M in obs.'stage'.* interphase, mitotic"),
        ({"genes": MITOTIC, "column": "phase"}, "mitosis names the column 'phase'"),
    ],
)
def test_what_cannot_be_judged_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        mitosis(cells(), **options)
