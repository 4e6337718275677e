"""Hits on screens of which it is known who does something."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import kstest

from contrascope.benchmarks.hits import hits
from contrascope.benchmarks.hits_table import METRICS
from contrascope.benchmarks.result import Result
from contrascope.errors import BenchmarkError
from contrascope.profiles.correct import corrected

STATISTICS = list(METRICS)


def screen(
    genes: int = 8,
    *,
    acting: int = 0,
    effect: float = 1.0,
    guide_sd: float = 0.0,
    batch_sd: float = 0.0,
    cells: int = 15,
    control_guides: int = 12,
    width: int = 6,
    seed: int = 0,
) -> AnnData:
    """Genes of four guides in three batches; the first ones act, all guides differ a little if asked to."""
    random = np.random.default_rng(seed)
    guides = [(f"G{g:03d}", f"G{g:03d}_{i}") for g in range(genes) for i in range(4)]
    guides += [("nt", f"nt_{i:02d}") for i in range(control_guides)]
    number = np.repeat(np.arange(len(guides)), cells)
    names = np.array(guides)[number]
    batch = random.integers(0, 3, len(number))
    gene = np.array([int(p[1:]) if p != "nt" else genes for p in names[:, 0]])
    x = random.normal(size=(len(number), width))
    x += guide_sd * random.normal(size=(len(guides), width))[number] + batch_sd * random.normal(size=(3, width))[batch]
    x[gene < acting, 0] += effect
    obs = pd.DataFrame(
        {"perturbation": names[:, 0], "guide": names[:, 1], "control": names[:, 0] == "nt", "batch": batch},
        index=[f"c{i}" for i in range(len(number))],
    )
    return AnnData(obs=obs, obsm={"salient": x})


def perturbations(result: Result) -> pd.DataFrame:
    return result.table[result.table["rank"].notna()].set_index("perturbation").sort_index()


@pytest.mark.parametrize("statistic", STATISTICS)
def test_what_acts_is_found_and_what_does_not_is_not(statistic: str) -> None:
    result = hits(screen(acting=4, effect=1.5), statistic=statistic, permutations=399)  # type: ignore[arg-type]
    rows = perturbations(result)
    for kind in ("cells", "guides"):
        assert (rows[f"q_{kind}"].iloc[:4] < 0.05).all()
        assert (rows[f"q_{kind}"].iloc[4:] > 0.05).all()
    assert set(rows.sort_values("rank").index[:4]) == set(rows.index[:4])
    assert (rows["effect"].iloc[:4] > 3).all()
    assert (rows["mahalanobis"].iloc[:4] > 1).all()
    headline = result.headline.set_index("metric")
    assert headline.loc["share with q <= 0.05, cells permuted", "value"] == 0.5
    assert headline.loc["share with p <= 0.05, cells permuted", "chance"] == 0.05


@pytest.mark.parametrize("statistic", STATISTICS)
def test_p_values_of_cells_are_uniform_where_nothing_acts(statistic: str) -> None:
    data = screen(genes=150, batch_sd=1.0, cells=5, control_guides=40)
    result = hits(data, statistic=statistic, permutations=99)  # type: ignore[arg-type]
    rows = perturbations(result)
    # P-values are multiples of 1/100, half a step above uniform ones.
    assert kstest(rows["p_cells"] - 0.005, "uniform").pvalue > 0.01
    gap = rows["value"] - rows["chance"]
    assert abs(gap.mean()) < 4 * gap.std() / len(gap) ** 0.5


def test_guides_that_differ_by_themselves_fool_cells_but_not_guides() -> None:
    found = []
    for seed in range(80):
        data = screen(genes=1, guide_sd=0.5, cells=8, seed=seed)
        data.obs["screen"] = "one"
        found.append(perturbations(hits(data, replicates="screen", permutations=99)).iloc[0])
    rows = pd.DataFrame(found)
    assert (rows["p_cells"] < 0.05).mean() > 0.2
    assert kstest(rows["p_guides"].astype(float), "uniform").pvalue > 0.01


@pytest.mark.parametrize("statistic", STATISTICS)
def test_guides_of_few_cells_are_no_hits_beside_control_guides_of_many(statistic: str) -> None:
    p = []
    for seed in range(3):
        data = screen(genes=60, cells=40, control_guides=30, seed=seed)
        small = data.obs["perturbation"].isin([f"G{g:03d}" for g in range(25)]).to_numpy()
        fewer = data[~small | (data.obs.groupby("guide").cumcount().to_numpy() < 8)].copy()
        found = perturbations(hits(fewer, statistic=statistic, permutations=99))  # type: ignore[arg-type]
        p.append(found["p_guides"].iloc[:25].to_numpy(dtype=float))
    assert (np.concatenate(p) <= 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 75)


def test_batches_that_differ_by_themselves_are_no_effect() -> None:
    data = screen(genes=40, batch_sd=3.0, cells=6)
    # Perturbed cells are mostly of the first batch, controls mostly of the others.
    keep = np.random.default_rng(0).random(data.n_obs) < np.where(
        data.obs["control"].to_numpy() == (data.obs["batch"].to_numpy() == 0), 0.1, 1.0
    )
    data = data[keep].copy()
    within = perturbations(hits(data, permutations=99))
    across = perturbations(hits(AnnData(obs=data.obs.drop(columns="batch"), obsm=dict(data.obsm)), permutations=99))
    assert (within["p_cells"] < 0.05).mean() < 0.15
    assert (across["p_cells"] < 0.05).mean() > 0.5


def test_the_value_and_its_p_are_those_of_a_loop() -> None:
    data = screen(genes=1, acting=1, effect=0.4, cells=10, control_guides=6)
    data.obs["batch"] = 0
    row = perturbations(hits(data, permutations=999)).iloc[0]
    x, control = np.asarray(data.obsm["salient"]), data.obs["control"].to_numpy()
    distance = cdist(*(2 * [(x - x[control].mean(axis=0)) / x[control].std(axis=0)]))

    def energy(first: NDArray[np.bool_]) -> float:
        n, m = first.sum(), (~first).sum()
        within = distance[first][:, first].sum() / (n * (n - 1)) + distance[~first][:, ~first].sum() / (m * (m - 1))
        return float(2 * distance[first][:, ~first].mean() - within)

    assert row["value"] == pytest.approx(energy(~control), abs=1e-4)
    random = np.random.default_rng(0)
    null = np.array([energy(random.permutation(~control)) for _ in range(999)])
    assert row["p_cells"] == pytest.approx((1 + (null >= energy(~control)).sum()) / 1000, abs=0.03)
    assert row["effect"] == pytest.approx((energy(~control) - null.mean()) / null.std(), rel=0.1)


def test_cells_that_cannot_be_told_apart_tie_and_are_no_hits() -> None:
    data = screen(acting=2)
    data.obsm["salient"] = np.tile([[0.0, 1.0], [1.0, 0.0]], (data.n_obs // 2, 1))
    data.obs["batch"] = np.arange(data.n_obs) % 2
    rows = perturbations(hits(data, permutations=99))
    assert (rows["p_cells"] == 1).all() and (rows["effect"] == 0).all()


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_order_of_rows_does_not_matter(statistic: str) -> None:
    data = screen(acting=2)
    shuffled = data[np.random.default_rng(0).permutation(data.n_obs)].copy()
    options = {"statistic": statistic, "permutations": 99, "max_cells": 30}
    expected = hits(data, **options).table  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(hits(shuffled, **options).table, expected)  # type: ignore[arg-type]


def test_other_perturbations_do_not_matter_before_q() -> None:
    data = screen(acting=2)
    fewer = data[data.obs["perturbation"].isin(["G001", "nt"])].copy()
    kept = ["value", "effect", "p_cells", "p_guides", "p_map", "mahalanobis", "map"]
    alone = perturbations(hits(fewer, permutations=99))[kept]
    pd.testing.assert_frame_equal(alone, perturbations(hits(data, permutations=99))[kept].loc[["G001"]])


def test_few_control_guides_are_said_and_cells_stand_alone() -> None:
    result = hits(screen(acting=2, control_guides=4), permutations=99)
    assert any("4 control guides" in note and "p_cells stands alone" in note for note in result.notes)
    rows = perturbations(result)
    assert rows["p_guides"].isna().all() and rows["p_cells"].notna().all()
    assert not any("guides permuted" in metric for metric in result.headline["metric"])


def test_control_guides_stand_below_the_perturbations() -> None:
    table = hits(screen(acting=2), permutations=99).table
    assert list(table["rank"].dropna()) == list(range(1, 9))
    guides = table[table["rank"].isna()]
    assert len(guides) == 12 and guides["q_cells"].isna().all() and (guides.index > 7).all()
    assert (guides["metric"] == "energy distance, control guide").all()


def test_too_few_permutations_for_so_many_perturbations_are_said() -> None:
    notes = " ".join(hits(screen(genes=20, cells=5), permutations=99).notes)
    assert "q <= 0.05 takes 4 of 20 perturbations" in notes


def test_p_of_exactly_005_counts_and_chance_is_what_p_can_reach() -> None:
    acting = screen(genes=6, acting=6, effect=4.0, control_guides=7)
    found = hits(acting, permutations=19).headline.set_index("metric")
    assert found.loc["share with p <= 0.05, cells permuted", "value"] == 1
    assert found.loc["share with p <= 0.05, cells permuted", "chance"] == pytest.approx(1 / 20)
    assert found.loc["share with q <= 0.05, cells permuted", "value"] == 1
    assert hits(acting, permutations=24).headline["chance"].iloc[0] == pytest.approx(1 / 25)
    alone = acting[acting.obs["control"] | acting.obs["guide"].str.endswith("_0")].copy()
    found = hits(alone, permutations=199).headline.set_index("metric")
    # One guide among seven of controls: p is an eighth at least.
    assert found.loc["share with p <= 0.05, guides permuted", ["value", "chance"]].tolist() == [0, 0]


def test_what_cannot_be_compared_is_said() -> None:
    data = screen()
    with pytest.raises(BenchmarkError, match="Choose one of: energy, hotelling, auc"):
        hits(data, statistic="student")  # type: ignore[arg-type]
    with pytest.raises(BenchmarkError, match="At least 19 permutations"):
        hits(data, permutations=3)
    data.obs["well"] = data.obs["perturbation"]
    with pytest.raises(BenchmarkError, match="within='plate'"):
        hits(data, within="well")
    data.obs["batch"] = data.obs["well"]
    with pytest.raises(BenchmarkError, match="within='plate'"):
        hits(data)
    data.obs["plate"] = "P1"
    assert any("permuted within plates" in note for note in hits(data, permutations=19).notes)
    del data.obs["batch"]
    with pytest.raises(BenchmarkError, match="'wall'"):
        hits(data, replicates="wall")
    data.obsm["salient"] = np.ones((data.n_obs, 2))
    with pytest.raises(BenchmarkError, match=r"No space varies among the controls\. 2 of 2 features"):
        hits(data)
    data.obsm["salient"][0, 0] = np.nan
    with pytest.raises(BenchmarkError, match="NaN"):
        hits(data)


def test_a_perturbation_of_few_cells_is_left_out_and_named() -> None:
    data = screen(cells=8)
    few = (data.obs["perturbation"] == "G003") & ~data.obs.index.duplicated() & (np.arange(data.n_obs) % 8 > 0)
    result = hits(data[~few].copy(), permutations=99)
    assert "G003" not in perturbations(result).index
    assert any(note.startswith("G003: fewer than 5 cells") for note in result.notes)


def test_without_replicates_there_is_no_average_precision() -> None:
    data = screen()
    data.obs["guide"] = np.where(data.obs["control"], data.obs["guide"], data.obs["perturbation"])
    result = hits(data, permutations=99)
    assert perturbations(result)["map"].isna().all()
    assert any("Mean average precision was left out" in note for note in result.notes)


def test_cells_whitened_on_the_controls_they_are_compared_with_are_refused_where_those_are_few() -> None:
    cells = screen(control_guides=18, width=20)  # 90 controls a batch for 20 features
    for how in ("tvn-whiten", "sphere-batch"):
        with pytest.raises(BenchmarkError, match=rf"'{how}'.*as few as \d\d controls for the 20 features of salient"):
            hits(corrected(cells, how), permutations=19)
    again = corrected(corrected(cells, "tvn-whiten"), "standardise")
    with pytest.raises(BenchmarkError, match="'tvn-whiten'"):
        hits(again, permutations=19)
    for foreign in (True, "yes", {"how": "mine"}, {"how": "mine", "controls": 3}):
        again.uns["corrected"] = foreign
        hits(again, permutations=19)
    few = cells[:, :].copy()
    few.obsm["salient"] = few.obsm["salient"][:, :6]
    for how, given in (("tvn-whiten", few), ("sphere", cells), ("standardise-batch", cells)):
        hits(corrected(given, how), permutations=19)


def test_cells_standardised_on_few_of_the_controls_they_are_compared_with_are_warned_of() -> None:
    cells = screen(control_guides=12)  # 60 controls a batch, 180 in all
    for how, said in (("standardise-batch", True), ("centre-batch", True), ("standardise", False)):
        notes = hits(corrected(cells, how), permutations=19).notes
        assert any(f"'{how}' on as few as" in note for note in notes) == said
    again = corrected(corrected(cells, "standardise-batch"), "standardise")
    assert any("'standardise-batch'" in note for note in hits(again, permutations=19).notes)


@pytest.mark.parametrize(("genes", "permutations", "said"), [(8, 999, False), (40, 99, True)])
def test_what_retrieval_can_say_at_best_is_noted_where_it_takes_many(genes: int, permutations: int, said: bool) -> None:
    result = hits(screen(genes=genes, acting=3, effect=30.0), permutations=permutations)
    rows = perturbations(result)
    least = rows.loc[rows["map"] == 1, "p_map"].min()
    notes = [note for note in result.notes if "p_map is" in note]
    assert bool(notes) == said == (least * genes > 0.05)
    if said:
        assert f"takes {math.ceil(least * genes / 0.05 - 1e-9)} of {genes} such perturbations" in notes[0]
