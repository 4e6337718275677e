"""Explained: what a group's features say of the controls' first component, on phenotypes of both kinds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from contrascope.benchmarks.explained import DIFFER, EXPLAINED, ROBUST_Z, Component, explained
from contrascope.benchmarks.result import Result
from contrascope.errors import BenchmarkError

F = 24
GROUPS = {"s1": "shifted", "s2": "shifted", "n1": "novel", "n2": "novel", "i1": "inert"}
ASK = {"groups": GROUPS, "spaces": ["x"]}


def screen(seed: int = 0, *, cells: int = 150, batches: int = 2) -> AnnData:
    """Controls vary in one factor, which features 0 to 7 show; shifted genes move it, novel ones features 20 to 23."""
    random = np.random.default_rng(seed)
    names = np.repeat(["nt", "nt", "nt", *GROUPS], cells)
    batch = random.integers(batches, size=len(names))
    factor = random.normal(size=len(names)) + 1.5 * np.isin(names, ["s1", "s2"])
    x = random.normal(size=(len(names), F))
    x[:, :8] += 2 * factor[:, None]
    x[:, 20:] += 1.5 * np.isin(names, ["n1", "n2"])[:, None] * np.array([2.5, 2, 1.5, 1])
    x = x * (1 + batch)[:, None] + 10 * batch[:, None]  # units and origins of each batch
    obs = pd.DataFrame(
        {"perturbation": names, "guide": names, "control": names == "nt", "batch": [f"B{b}" for b in batch]},
        index=[str(i) for i in range(len(names))],
    )
    data = AnnData(obs=obs)
    data.obsm["x"] = pd.DataFrame(x, index=data.obs_names, columns=[f"feature {j}" for j in range(F)])
    return data


def rows(result: Result, metric: str, group: str) -> pd.DataFrame:
    table = result.table
    return table[(table["metric"] == metric) & (table["group"] == group)].set_index("k")


@pytest.fixture(scope="module")
def found() -> Result:
    return explained(screen(), **ASK)  # type: ignore[arg-type]


def test_the_order_of_rows_does_not_matter_though_cells_are_drawn() -> None:
    data = screen()
    shuffled = data[np.random.default_rng(0).permutation(data.n_obs)].copy()
    tables = [explained(cells, max_cells=60, **ASK).table for cells in (data, shuffled)]  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(*tables)


def test_shifted_phenotypes_explain_what_controls_vary_in_and_novel_ones_do_not(found: Result) -> None:
    shifted, novel = rows(found, EXPLAINED, "shifted"), rows(found, EXPLAINED, "novel")
    assert shifted.loc[5, "value"] > shifted.loc[5, "null_high"]
    assert novel.loc[4, "chance"] > 0.5
    assert shifted.loc[5, "value"] > 0.9
    assert novel.loc[4, "value"] < 0.05
    assert list(rows(found, ROBUST_Z, "novel")["feature"]) == [f"feature {j}" for j in (20, 21, 22, 23)]
    assert set(rows(found, ROBUST_Z, "shifted")["feature"]) >= {f"feature {j}" for j in range(8)}


def test_a_group_that_does_nothing_has_no_curve_and_one_with_few_features_uses_those(found: Result) -> None:
    assert rows(found, EXPLAINED, "inert").empty
    assert rows(found, DIFFER, "inert")["value"].item() == 0
    novel = rows(found, EXPLAINED, "novel")
    assert list(novel.index) == list(range(1, 16))
    assert list(novel["features"]) == [1, 2, 3, *[4] * 12]
    assert novel.loc[4:, ["value", "chance", "null_low", "null_high"]].drop_duplicates().shape[0] == 1
    assert any("novel (4), inert (0)" in note for note in found.notes)
    assert set(found.headline["metric"]) >= {"features that differ, inert", "explained share of PC1 by top 5, novel"}


def test_numbers_are_those_of_scipy_and_scikit_learn(found: Result) -> None:
    data = screen()
    x = data.obsm["x"].copy()
    for batch in set(data.obs["batch"]):
        here = data.obs["batch"] == batch
        x[here] = StandardScaler().fit(x[here & data.obs["control"]].to_numpy()).transform(x[here].to_numpy())
    controls, group = x[data.obs["control"]], x[data.obs["perturbation"].isin(["s1", "s2"])]
    p = {name: min(1, F * mannwhitneyu(group[name], controls[name]).pvalue) for name in x}
    spread = (controls - controls.median()).abs().median()
    z = (group.median() - controls.median()) / (1.4826 * spread)
    top = z[[name for name in x if p[name] < 0.05]].sort_values(key=np.abs, ascending=False)
    table = rows(found, ROBUST_Z, "shifted")
    assert list(table["feature"]) == list(top.index[:15])
    np.testing.assert_allclose(table["value"], top[:15])
    np.testing.assert_allclose(table["p"], [p[name] for name in table["feature"]])
    assert set(table["n"]) == {len(group)}
    scaled = controls / controls.std()
    first = PCA(1).fit_transform(scaled)[:, 0]
    for k, row in rows(found, EXPLAINED, "shifted").iterrows():
        chosen = scaled[top.index[: int(row["features"])]].to_numpy()
        assert row["value"] == pytest.approx(LinearRegression().fit(chosen, first).score(chosen, first)), k


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), width=st.integers(1, 8), copies=st.booleans())
def test_shares_of_the_component_are_r_squared(seed: int, width: int, copies: bool) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(60, width)) @ random.normal(size=(width, width)) + 0.1 * random.normal(size=(60, width))
    if copies:
        x = np.hstack([x, 2 * x[:, :1] + 1])
    first = PCA(1).fit_transform(StandardScaler().fit_transform(x))[:, 0]
    chosen = random.permutation(x.shape[1])[: random.integers(1, x.shape[1] + 1)]
    expected = LinearRegression().fit(x[:, chosen], first).score(x[:, chosen], first)
    assert Component.of(x).explained_by(chosen) == pytest.approx(expected, abs=1e-6)


def test_all_features_explain_everything() -> None:
    x = np.random.default_rng(0).normal(size=(50, 6))
    assert Component.of(x).explained_by(np.arange(6)) == pytest.approx(1)


def test_features_that_differ_at_random_explain_as_much_as_random_ones() -> None:
    gaps = []
    for seed in range(30):
        data, random = screen(seed, cells=60), np.random.default_rng(seed)
        moved = random.permutation(F)[:5]
        x = data.obsm["x"].to_numpy() * 0 + random.normal(size=(data.n_obs, 3)) @ random.normal(size=(3, F))
        x += random.normal(size=x.shape)
        x[np.ix_(data.obs["perturbation"] == "i1", moved)] += 4 * x.std(axis=0)[moved]
        data.obsm["x"] = x
        row = rows(explained(data, **ASK), EXPLAINED, "inert").loc[5]  # type: ignore[arg-type]
        assert row["features"] == 5
        gaps.append(row["value"] - row["chance"])
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(len(gaps))


@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_units_signs_and_the_order_of_cells_do_not_matter(seed: int) -> None:
    random, data = np.random.default_rng(seed), screen()
    expected = rows(explained(data, **ASK), EXPLAINED, "shifted")  # type: ignore[arg-type]
    x = data.obsm["x"] * random.choice([-3.0, 0.1, 10.0], F) + random.normal(size=F)
    data.obsm["x"] = x
    data = data[random.permutation(data.n_obs)].copy()
    again = rows(explained(data, **ASK), EXPLAINED, "shifted")  # type: ignore[arg-type]
    pd.testing.assert_series_equal(again["value"], expected["value"], check_index=False)


def test_batches_without_controls_and_features_without_spread_are_left_out_and_said() -> None:
    data = screen()
    x = data.obsm["x"].copy()
    x["feature 9"] = 7.0
    data.obsm["x"] = x
    data.obs["batch"] = np.where(np.arange(data.n_obs) % 9 == 0, "B9", data.obs["batch"].to_numpy(dtype=object))
    data.obs.loc[data.obs["control"] & (data.obs["batch"] == "B9"), "batch"] = "B0"
    lost = int((data.obs["batch"] == "B9").sum())
    found = explained(data, **ASK)  # type: ignore[arg-type]
    assert any(note.startswith(f"{lost} cells were left out") for note in found.notes)
    assert any(note.startswith("1 of 24 features of x hardly vary") for note in found.notes)
    assert set(rows(found, DIFFER, "novel")["n"]) == {23}


def test_measurements_are_looked_at_beside_learned_spaces_unless_spaces_are_named() -> None:
    data = screen()
    data.obsm["features"] = data.obsm["x"].rename(columns={"feature 20": "Nuclei_AreaShape_Area"})
    data.obsm["salient"] = data.obsm.pop("x").to_numpy()
    found = explained(data, groups=GROUPS)
    assert set(found.table["space"]) == {"salient", "features"}
    first = found.table[(found.table["feature"] == "Nuclei_AreaShape_Area") & (found.table["group"] == "novel")]
    assert first["gloss"].tolist() == ["area of the nucleus"]
    assert set(explained(data, groups=GROUPS, spaces=["salient"]).table["space"]) == {"salient"}


def test_at_most_so_many_cells_are_looked_at() -> None:
    found = explained(screen(), **ASK, max_cells=100)  # type: ignore[arg-type]
    assert set(rows(found, ROBUST_Z, "shifted")["n"]) == {100}
    assert set(rows(found, EXPLAINED, "shifted")["n"]) == {100}


def test_what_cannot_be_answered_is_refused() -> None:
    data = screen()
    with pytest.raises(BenchmarkError, match="Give groups, annotations, or both"):
        explained(data)
    with pytest.raises(BenchmarkError, match="none is in both"):
        explained(data, groups={"S1": "shifted"})
    constant = data.copy()
    constant.obsm["x"] = data.obsm["x"] * 0.0
    with pytest.raises(BenchmarkError, match="No feature of x varies"):
        explained(constant, **ASK)  # type: ignore[arg-type]
    data.obs["control"] = False
    with pytest.raises(BenchmarkError, match="no batch has 20 of them, the most is 0"):
        explained(data, **ASK)  # type: ignore[arg-type]
    del data.obs["control"]
    with pytest.raises(BenchmarkError, match="lack control"):
        explained(data, **ASK)  # type: ignore[arg-type]
