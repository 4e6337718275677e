"""Features standardised, cleaned and reduced, against scikit-learn and pandas; and hostile ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import median_abs_deviation
from sklearn.decomposition import PCA
from sklearn.preprocessing import RobustScaler, StandardScaler

import contrascope.features.scales as scales_module
import contrascope.profiles.blocks as blocks_module
from contrascope.benchmarks.hits import hits
from contrascope.benchmarks.suite import ask_all
from contrascope.errors import BenchmarkError, ContrascopeError, SettingsError
from contrascope.features.choose import (
    CONSTANT,
    CONSTANT_IN_A_BATCH,
    COPY,
    CORRELATED,
    FEW_CONTROLS,
    NOT_FINITE,
)
from contrascope.features.reduce import SPACE, account, reduce_features
from contrascope.tables import read_anndata, write_anndata

F = 12


def cells(seed: int = 0, *, n: int = 600, features: int = F) -> AnnData:
    """Correlated features of very different units, in three batches, each with an origin and unit of its own."""
    random = np.random.default_rng(seed)
    batch = random.integers(3, size=n)
    x = random.normal(size=(n, features)) @ random.normal(size=(features, features))
    x = (x * (1 + batch)[:, None] + 10 * batch[:, None]) * 10.0 ** (np.arange(features) % 7 - 2) + 1e3
    control = random.random(n) < 0.3
    gene = np.where(control, "nt", random.choice(["G1", "G2"], n))
    obs = pd.DataFrame(
        {"batch": [f"B{b}" for b in batch], "control": control, "perturbation": gene, "guide": gene},
        index=[f"c{i}" for i in range(n)],
    )
    named = pd.DataFrame(x, index=obs.index, columns=[f"Cells_{i}" for i in range(features)])
    return AnnData(obs=obs, obsm={"features": named})


def by_scikit(data: AnnData, scaler: StandardScaler | RobustScaler) -> np.ndarray:
    """Each batch by a scaler of its controls; a control by one of the other controls, but not by a robust one."""
    values = data.obsm["features"].to_numpy()
    result = np.empty_like(values)
    for batch in data.obs["batch"].unique():
        here, control = (data.obs["batch"] == batch).to_numpy(), data.obs["control"].to_numpy()
        result[here] = scaler.fit(values[here & control]).transform(values[here])
        for i in np.flatnonzero(here & control) if isinstance(scaler, StandardScaler) else ():
            others = here & control & (np.arange(len(values)) != i)
            result[i] = scaler.fit(values[others]).transform(values[[i]])[0]
    return result


def dropped(reduced: AnnData) -> dict[str, str]:
    table = reduced.uns["contrascope"]["reduced"]["dropped"]
    return dict(zip(table["feature"], table["reason"], strict=True))


def test_components_are_those_of_scikit_learn() -> None:
    data = cells()
    reduced = reduce_features(data, components=5, keep=True)
    expected = by_scikit(data, StandardScaler())
    np.testing.assert_allclose(reduced.obsm["features"], expected, rtol=1e-4, atol=1e-5)
    pca = PCA(5, svd_solver="full").fit(expected)
    facts = reduced.uns["contrascope"]["reduced"]
    np.testing.assert_allclose(facts["explained_variance_ratio"], pca.explained_variance_ratio_, rtol=1e-9)
    assert facts["explained_variance"] == pytest.approx(pca.explained_variance_ratio_.sum())
    signs = np.sign((reduced.varm[SPACE] * pca.components_.T).sum(axis=0))
    np.testing.assert_allclose(reduced.varm[SPACE] * signs, pca.components_.T, atol=1e-8)
    np.testing.assert_allclose(reduced.obsm[SPACE] * signs, pca.transform(expected), rtol=1e-4, atol=1e-4)
    assert list(reduced.var_names) == list(data.obsm["features"])


def inert(controls: int) -> AnnData:
    """Cells that do nothing in 16 batches of so many controls; 40 features."""
    random = np.random.default_rng(0)
    batch = np.repeat(np.arange(16), controls + 20)
    control = np.tile(np.arange(controls + 20) < controls, 16)
    gene = np.where(control, "nt", random.choice([f"G{i:02d}" for i in range(8)], len(batch)))
    obs = pd.DataFrame(
        {"batch": batch, "control": control, "perturbation": gene, "guide": gene}, index=range(len(batch))
    )
    return AnnData(obs=obs.rename(str), obsm={"features": random.normal(size=(len(batch), 40))})


def test_controls_lie_as_far_out_as_cells_that_do_nothing_however_few_there_are() -> None:
    for controls in (12, 100):
        data = inert(controls)
        control = data.obs["control"].to_numpy()
        kept = reduce_features(data, keep=True)
        squares = (kept.obsm["features"] ** 2).mean(axis=1).to_numpy()
        error = squares[control].std() / control.sum() ** 0.5 + squares[~control].std() / (~control).sum() ** 0.5
        assert abs(squares[control].mean() - squares[~control].mean()) < 3 * error
        rows = hits(kept, spaces=[SPACE], permutations=99).table
        assert (rows["p_cells"] < 0.05).sum() <= 2


def test_medians_of_few_controls_are_said_here_and_in_hits() -> None:
    for controls, said in ((12, True), (100, False)):
        reduced = reduce_features(inert(controls), robust=True)
        assert ("as few as 12 controls a batch" in account(reduced)) == said
        notes = hits(reduced, spaces=[SPACE], permutations=19).notes
        assert any("'robust-batch' on as few as 12 controls" in note for note in notes) == said


def test_robust_scales_are_median_and_mad_of_the_controls() -> None:
    data = cells()
    kept = reduce_features(data, robust=True, keep=True).obsm["features"].to_numpy()
    values, obs = data.obsm["features"], data.obs
    for batch, rows in obs.groupby("batch").groups.items():
        controls = values.loc[rows][obs.loc[rows, "control"]]
        mad = median_abs_deviation(controls, scale=1 / 1.4826)
        expected = (values.loc[rows] - controls.median()) / mad
        np.testing.assert_allclose(kept[(obs["batch"] == batch).to_numpy()], expected, rtol=1e-4, atol=1e-5)
    # RobustScaler takes the interquartile range, which is another spread about the same median.
    median_at_zero = by_scikit(data, RobustScaler())
    assert np.array_equal(np.sign(kept.round(9)), np.sign(median_at_zero.round(9)))


def test_a_file_read_in_small_blocks_gives_the_same_as_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cells()
    data.obsm["features"].iloc[5, 2] = np.nan
    for robust in (False, True):
        expected = reduce_features(data, robust=robust, keep=True)
        with monkeypatch.context() as patch:
            patch.setattr(blocks_module, "ROWS_AT_ONCE", 37)
            patch.setattr(scales_module, "HELD", 700)
            for name in ("cells.h5ad", "cells.zarr"):
                found = reduce_features(write_anndata(data, tmp_path / name), robust=robust, keep=True)
                np.testing.assert_allclose(found.obsm[SPACE], expected.obsm[SPACE], rtol=1e-4, atol=1e-5)
                np.testing.assert_allclose(found.obsm["features"], expected.obsm["features"], rtol=1e-5, atol=1e-6)
                pd.testing.assert_frame_equal(found.obs.astype(str), expected.obs.astype(str))
    again = read_anndata(write_anndata(found, tmp_path / "reduced.h5ad"))
    assert account(again) == account(found)


def test_each_feature_that_is_left_out_is_named_with_its_reason() -> None:
    data = cells()
    table = data.obsm["features"]
    control = data.obs["control"].to_numpy()
    in_b0 = (data.obs["batch"] == "B0").to_numpy()
    random = np.random.default_rng(1)
    table["constant"] = 3.3
    table["only treated"] = np.where(control, 0.1, random.normal(size=len(table)))
    table["flat in B0"] = np.where(in_b0, 7.0, random.normal(size=len(table)))
    table["infinite"] = np.where(np.arange(len(table)) % 10 == 0, np.inf, table["Cells_0"])
    table["nothing"] = np.nan
    table["unseen in controls"] = np.where(control & (random.random(len(table)) < 0.95), np.nan, table["Cells_1"])
    table["other units"] = 5 - 0.01 * table["Cells_3"]
    table["huge"] = np.where(np.arange(len(table)) % 2 == 0, 1e300, -1e200)
    table["nearly"] = table["Cells_4"] + 1e-3 * table["Cells_4"].std() * random.normal(size=len(table))
    assert dropped(reduce_features(data, missing=0.4)) == {
        "constant": CONSTANT,
        "only treated": CONSTANT,
        "flat in B0": CONSTANT_IN_A_BATCH,
        "nothing": NOT_FINITE,
        "unseen in controls": FEW_CONTROLS,
        "huge": NOT_FINITE,
        "other units": COPY,
    }
    assert dropped(reduce_features(data))["infinite"] == NOT_FINITE
    strict = reduce_features(data, correlation=0.99)
    assert dropped(strict)["nearly"] == CORRELATED
    like = strict.uns["contrascope"]["reduced"]["dropped"].set_index("feature")["like"]
    assert like["nearly"] == "Cells_4"
    assert like["other units"] == "Cells_3"
    assert "1: " in account(strict)


def test_what_is_missing_counts_as_the_centre_of_the_controls() -> None:
    data = cells()
    data.obsm["features"].iloc[7, 3] = np.nan
    data.obsm["features"].iloc[8, 3] = -np.inf
    kept = reduce_features(data, keep=True).obsm["features"].to_numpy()
    assert (kept[[7, 8], 3] == 0).all()
    others = [i for i in range(len(kept)) if i not in (7, 8)]
    expected = by_scikit(data[others], StandardScaler())
    np.testing.assert_allclose(kept[others, 3], expected[:, 3], rtol=1e-4, atol=1e-5)


def test_cells_that_were_not_measured_are_left_out_and_counted() -> None:
    data = cells()
    data.obsm["features"].iloc[[0, 9]] = np.nan
    reduced = reduce_features(data)
    assert list(reduced.obs_names) == [name for i, name in enumerate(data.obs_names) if i not in (0, 9)]
    assert "2 cells without any measurement" in account(reduced)


@cache
def expected_ratios() -> np.ndarray:
    ratios = PCA().fit(by_scikit(cells(), StandardScaler())).explained_variance_ratio_
    return np.asarray(ratios)


@given(share=st.floats(0.05, 1.0))
def test_a_share_of_variance_takes_as_few_components_as_hold_it(share: float) -> None:
    data = cells()
    ratios = expected_ratios()
    found = reduce_features(data, variance=share).obsm[SPACE].shape[1]
    assert ratios[:found].sum() >= share - 1e-9
    assert ratios[: found - 1].sum() < share + 1e-9


def test_clipped_values_stay_within() -> None:
    kept = reduce_features(cells(), clip=1.5, keep=True).obsm["features"].to_numpy()
    assert np.abs(kept).max() == 1.5


def test_one_control_in_a_batch_is_refused_and_a_coarser_batch_is_not() -> None:
    data = cells()
    few = (data.obs["batch"] == "B1").to_numpy() & data.obs["control"].to_numpy()
    data.obs.loc[data.obs_names[np.flatnonzero(few)[1:]], "control"] = False
    with pytest.raises(BenchmarkError, match=r"1 of 3 batches have too few: B1 \(1\)"):
        reduce_features(data)
    data.obs["plate"] = "P1"
    assert reduce_features(data, batch="plate").n_obs == data.n_obs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"components": 3, "variance": 0.5}, "Give one of them"),
        ({"components": 0}, "At least 1"),
        ({"variance": 1.5}, "up to 1"),
        ({"correlation": 0.0}, "above 0"),
        ({"missing": 1.0}, "below 1"),
        ({"clip": 0.0}, "above 0"),
    ],
)
def test_options_out_of_range_say_what_was_needed(options: dict[str, float], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        reduce_features(cells(), **options)  # type: ignore[arg-type]


def test_cells_without_what_is_needed_say_so() -> None:
    data = cells()
    with pytest.raises(BenchmarkError, match="no 'other' in obsm"):
        reduce_features(data, space="other")
    with pytest.raises(BenchmarkError, match="no 'nowhere' in obs"):
        reduce_features(data, batch="nowhere")
    bare = AnnData(obs=data.obs.drop(columns="control"), obsm={"features": data.obsm["features"]})
    with pytest.raises(BenchmarkError, match="lack control"):
        reduce_features(bare)
    flat = AnnData(obs=data.obs, obsm={"features": data.obsm["features"] * 0})
    with pytest.raises(BenchmarkError, match=r"No feature is left of 12 \(12: constant in controls\)"):
        reduce_features(flat)
    nothing = AnnData(obs=data.obs, obsm={"features": data.obsm["features"] * np.nan})
    with pytest.raises(BenchmarkError, match="nothing was measured"):
        reduce_features(nothing)


def test_benchmarks_take_what_comes_out() -> None:
    results, left_out = ask_all(reduce_features(cells()))
    assert {"artifacts", "hits"} <= set(results), left_out


WILD = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-2, 2).map(float))


@settings(max_examples=60)
@given(x=hnp.arrays(float, (40, 4), elements=WILD), robust=st.booleans(), missing=st.sampled_from([0.0, 0.5]))
def test_whatever_the_numbers_components_are_finite_or_refused(x: np.ndarray, robust: bool, missing: float) -> None:
    obs = pd.DataFrame({"control": [True, False] * 20, "batch": "B"}, index=[str(i) for i in range(40)])
    table = pd.DataFrame(x, index=obs.index, columns=list("abcd"))
    try:
        reduced = reduce_features(AnnData(obs=obs, obsm={"features": table}), robust=robust, missing=missing)
    except ContrascopeError as error:
        assert len(str(error)) > 40
    else:
        assert np.isfinite(reduced.obsm[SPACE]).all()
        used = reduced.uns["contrascope"]["reduced"]["used"]
        assert used + len(dropped(reduced)) == 4
        assert reduced.obsm[SPACE].shape[1] <= used
