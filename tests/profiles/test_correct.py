"""Corrections on controls: against scikit-learn and plain loops; what they promise holds; poor controls are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from contrascope.errors import BenchmarkError, SettingsError
from contrascope.profiles import By, averaged, correct, corrected, profile
from contrascope.profiles.aggregate import SUMS
from contrascope.profiles.corrections import CORRECTIONS
from contrascope.profiles.sums import summed
from contrascope.tables import write_anndata

F, BATCHES = 4, 3
BY_BATCH = [name for name, how in CORRECTIONS.items() if how.by_batch]
AFFINE = [name for name, how in CORRECTIONS.items() if not how.robust]
ROBUST = [name for name, how in CORRECTIONS.items() if how.robust]


def cells(n: int = 900, seed: int = 0, *, gain: float = 1.0, shift: float = 0.0) -> AnnData:
    """Guide g of perturbation g // 2, the first the control; each batch has a gain and a shift, and mixes features."""
    random = np.random.default_rng(seed)
    guide = np.concatenate([np.arange(12), random.integers(0, 12, n - 12)])
    batch = random.integers(0, BATCHES, n)
    x = random.normal(size=(n, F)) @ random.normal(size=(F, F)) + random.normal(size=(12, F))[guide]
    x = np.einsum("nf,nfg->ng", x, (np.eye(F) + 0.3 * random.normal(size=(BATCHES, F, F)))[batch])
    x = (1 + batch)[:, None] * x + 3 * random.normal(size=(BATCHES, F))[batch]
    x[batch == 1] = gain * x[batch == 1] + shift
    obs = pd.DataFrame(
        {
            "guide": pd.Categorical([f"g{g:02d}" for g in guide]),
            "perturbation": pd.Categorical([f"P{g // 2}" for g in guide]),
            "control": guide < 4,
            "batch": pd.Categorical([f"b{b}" for b in batch]),
            "plate": pd.Categorical([f"plate{b // 2}" for b in batch]),
        },
        index=[str(i) for i in range(n)],
    )
    obs["perturbation"] = ["P0" if c else p for c, p in zip(obs["control"], obs["perturbation"], strict=True)]
    return AnnData(obs=obs, obsm={"salient": x, "background": random.normal(size=(n, 2)) + 5})


def parts(data: AnnData) -> list[np.ndarray]:
    return [np.flatnonzero(data.obs["batch"] == name) for name in sorted(set(data.obs["batch"]))]


def root(covariance: np.ndarray, exponent: float) -> np.ndarray:
    return np.real(linalg.fractional_matrix_power(covariance, exponent))


def standardised(x: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.asarray(StandardScaler().fit(x[control]).transform(x))


def on_components(data: AnnData) -> np.ndarray:
    """The controls' principal components, standardised on each batch's controls: where both TVNs start."""
    control = data.obs["control"].to_numpy()
    x = standardised(data.obsm["salient"], control)
    x = PCA().fit(x[control]).transform(x)
    for rows in parts(data):
        x[rows] = standardised(x[rows], control[rows])
    return np.asarray(x)


def by_hand(data: AnnData, how: str, ridge: float) -> np.ndarray:
    """Each correction by scikit-learn and a loop over batches."""
    x, control = np.array(data.obsm["salient"]), data.obs["control"].to_numpy()
    if how.startswith("tvn"):
        x = on_components(data)
        colour = root(np.cov(x[control].T) + ridge * np.eye(F), 0.5) if how == "tvn-recolour" else np.eye(F)
        for rows in parts(data):
            white = root(np.cov(x[rows][control[rows]].T) + ridge * np.eye(F), -0.5)
            x[rows] = x[rows] @ white @ colour
        return x
    one = {
        "none": lambda x, c: x,
        "centre": lambda x, c: x - x[c].mean(axis=0),
        "standardise": standardised,
        "robust": lambda x, c: (x - np.median(x[c], axis=0)) / linalg_mad(x[c]),
        "sphere": lambda x, c: standardised(x, c) @ root(np.cov(standardised(x, c)[c].T) + ridge * np.eye(F), -0.5),
        "whiten": pca_whitened,
    }[how.removesuffix("-batch")]
    if not how.endswith("-batch"):
        return np.asarray(one(x, control))
    for rows in parts(data):
        x[rows] = one(x[rows], control[rows])
    return x


def pca_whitened(x: np.ndarray, control: np.ndarray) -> np.ndarray:
    x = standardised(x, control)
    return np.asarray(PCA(whiten=True).fit(x[control]).transform(x))


def linalg_mad(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.4826 * np.median(np.abs(x - np.median(x, axis=0)), axis=0))


def ridge_of(how: str) -> float | None:
    """PCA(whiten) of scikit-learn has no ridge; elsewhere one is tried."""
    return None if CORRECTIONS[how].ridge is None else 0.0 if how == "whiten" else 0.3


@pytest.mark.parametrize("how", CORRECTIONS)
def test_each_correction_is_what_scikit_learn_and_a_loop_make_of_it(how: str) -> None:
    data = cells()
    ridge = ridge_of(how)
    found, expected = corrected(data, how, ridge=ridge).obsm["salient"], by_hand(data, how, ridge or 0.0)
    if how == "whiten" or how.startswith("tvn"):  # the sign of a principal component says nothing
        found, expected = np.abs(found), np.abs(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("by", ["guide", "perturbation"])
@pytest.mark.parametrize("how", AFFINE)
def test_profiles_from_one_pass_are_those_of_corrected_cells(how: str, by: By) -> None:
    data = cells()
    expected, found = profile(corrected(data, how), by=by), profile(data, by=by, correct=how)
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    again = profile(summed(data), by=by, correct=how)
    for space in ("salient", "background"):
        np.testing.assert_allclose(found.obsm[space], expected.obsm[space], rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(again.obsm[space], expected.obsm[space], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("how", ROBUST)
def test_medians_are_taken_of_cells_in_memory_or_in_a_file_and_refused_of_sums(how: str, tmp_path: Path) -> None:
    data = cells()
    expected = averaged(corrected(data, how))
    np.testing.assert_allclose(averaged(correct.corrected_sums(data, how)).obsm["salient"], expected.obsm["salient"])
    with pytest.raises(BenchmarkError, match="medians, which sums of cells do not tell"):
        profile(summed(data), correct=how)
    data.write_h5ad(tmp_path / "cells.h5ad")
    found = profile(tmp_path / "cells.h5ad", correct=how)
    np.testing.assert_allclose(found.obsm["salient"], profile(data, correct=how).obsm["salient"])


@pytest.mark.parametrize("how", ["sphere-batch", "tvn-whiten"])
def test_without_a_ridge_the_controls_of_each_batch_are_white(how: str) -> None:
    data = cells()
    x, control = corrected(data, how, ridge=0.0).obsm["salient"], data.obs["control"].to_numpy()
    for rows in parts(data):
        controls = x[rows][control[rows]]
        np.testing.assert_allclose(np.cov(controls.T), np.eye(F), atol=1e-9)
        np.testing.assert_allclose(controls.mean(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("how", ["sphere", "whiten"])
def test_without_a_ridge_all_controls_together_are_white(how: str) -> None:
    data = cells()
    controls = corrected(data, how, ridge=0.0).obsm["salient"][data.obs["control"].to_numpy()]
    np.testing.assert_allclose(np.cov(controls.T), np.eye(F), atol=1e-9)


def test_recoloured_without_a_ridge_each_batch_has_the_covariance_of_all_controls() -> None:
    data = cells()
    x, control = corrected(data, "tvn-recolour", ridge=0.0).obsm["salient"], data.obs["control"].to_numpy()
    everyone = np.cov(on_components(data)[control].T)
    for rows in parts(data):
        # The sign of a principal component says nothing.
        np.testing.assert_allclose(np.abs(np.cov(x[rows][control[rows]].T)), np.abs(everyone), atol=1e-9)
    assert np.abs(everyone - np.eye(F)).max() > 0.01


@settings(max_examples=20, deadline=None)
@given(how=st.sampled_from(BY_BATCH), shift=st.floats(-50, 50), gain=st.floats(0.1, 10))
def test_shift_and_scale_of_a_batch_are_undone(how: str, shift: float, gain: float) -> None:
    if how == "tvn-recolour":
        how = "tvn-whiten"  # the covariance of all controls has every batch in it
    ridge = 0.0 if how == "tvn-whiten" else None
    plain, moved = cells(seed=3), cells(seed=3, gain=1.0 if how == "centre-batch" else gain, shift=shift)
    first, second = (corrected(data, how, ridge=ridge).obsm["salient"] for data in (plain, moved))
    if how == "tvn-whiten":  # the axes are those of all controls: but for a turn the batch is the same
        first, second = (x[parts(plain)[1]] @ x[parts(plain)[1]].T for x in (first, second))
    np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(how=st.sampled_from(AFFINE), seed=st.integers(0, 99), rows=st.integers(1, 400))
def test_neither_the_order_of_cells_nor_the_size_of_blocks_matters(how: str, seed: int, rows: int) -> None:
    data = cells(seed=1)
    order = np.random.default_rng(seed).permutation(data.n_obs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contrascope.profiles.blocks.ROWS_AT_ONCE", rows)
        patch.setattr("contrascope.profiles.correct.ROWS_AT_ONCE", rows)
        shuffled = profile(data[order].copy(), correct=how)
        in_order = corrected(data, how)
    whole = corrected(data, how)
    np.testing.assert_allclose(in_order.obsm["salient"], whole.obsm["salient"], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(shuffled.obsm["salient"], profile(whole).obsm["salient"], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
@pytest.mark.parametrize("how", ["none", "centre", "tvn-whiten"])
def test_cells_in_a_file_have_the_profiles_of_cells_in_memory(how: str, ending: str, tmp_path: Path) -> None:
    data = cells()
    path = tmp_path / f"cells.{ending}"
    write_anndata(data, path)
    expected, found = profile(data, correct=how, by="guide"), profile(path, correct=how, by="guide")
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    np.testing.assert_allclose(found.obsm["salient"], expected.obsm["salient"], rtol=1e-8, atol=1e-9)


def test_sums_in_a_file_keep_what_corrections_are_made_of(tmp_path: Path) -> None:
    data = cells()
    summed(data).write_h5ad(tmp_path / "cells.sums.h5ad")
    expected, found = (
        profile(data, correct="tvn-recolour"),
        profile(tmp_path / "cells.sums.h5ad", correct="tvn-recolour"),
    )
    np.testing.assert_allclose(found.obsm["salient"], expected.obsm["salient"], rtol=1e-8, atol=1e-9)


def test_batches_may_have_another_name() -> None:
    data = cells()
    other = data.copy()
    other.obs["batch"] = other.obs["plate"]
    expected = profile(other, correct="tvn-whiten")
    found = profile(data, correct="tvn-whiten", batch="plate")
    np.testing.assert_allclose(found.obsm["salient"], expected.obsm["salient"], rtol=1e-9)
    with pytest.raises(BenchmarkError, match="no 'run' in obs"):
        profile(data, correct="centre-batch", batch="run")
    with pytest.raises(BenchmarkError, match="Sums know but the batch"):
        profile(summed(data), correct="centre-batch", batch="plate")


@pytest.mark.parametrize("how", ["sphere", "sphere-batch", "whiten", "tvn-whiten", "tvn-recolour"])
def test_a_direction_in_which_controls_do_not_vary_is_0(how: str) -> None:
    data = cells()
    x, control = data.obsm["salient"].copy(), data.obs["control"].to_numpy()
    x[:, 1] = 3 * x[:, 0] + 1  # a copy in other units, which perturbed cells leave
    off = x.copy()
    off[~control, 0] += x[control, 0].std()
    off[~control, 1] -= x[control, 1].std()
    found = [corrected(AnnData(obs=data.obs, obsm={"salient": values}), how).obsm["salient"] for values in (x, off)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_guide_profiles_are_corrected_on_control_guides() -> None:
    random = np.random.default_rng(0)
    obs = pd.DataFrame({"control": np.arange(60) < 40}, index=[str(i) for i in range(60)])
    guides = AnnData(obs=obs, obsm={"salient": random.normal(size=(60, 3)) @ random.normal(size=(3, 3))})
    found = corrected(guides, "sphere", ridge=0.0).obsm["salient"][:40]
    np.testing.assert_allclose(np.cov(found.T), np.eye(3), atol=1e-9)


@pytest.mark.parametrize("how", [name for name in CORRECTIONS if name not in ("none", "centre", "centre-batch")])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_what_controls_do_not_vary_in_is_zero(how: str, value: float) -> None:
    data = cells()
    data.obsm["salient"][:, 2] = value
    constant = corrected(data, how).obsm["salient"]
    assert np.isfinite(constant).all()
    if how.startswith(("standardise", "robust", "sphere")):
        assert (constant[:, 2] == 0).all()


@pytest.mark.parametrize("how", ["sphere", "whiten", "tvn-whiten", "tvn-recolour"])
def test_a_feature_that_repeats_another_blows_nothing_up(how: str) -> None:
    data = cells()
    data.obsm["salient"][:, 3] = 2 * data.obsm["salient"][:, 1]
    assert np.abs(corrected(data, how, ridge=0.0).obsm["salient"]).max() < 100


def test_float32_stays_float32_and_the_input_is_left_alone() -> None:
    data = cells()
    data.obsm["salient"] = data.obsm["salient"].astype(np.float32)
    before = data.obsm["salient"].copy()
    assert corrected(data, "tvn-whiten").obsm["salient"].dtype == np.float32
    np.testing.assert_array_equal(data.obsm["salient"], before)


def few_in_a_batch(data: AnnData) -> None:
    data.obs["batch"] = [
        "lone" if c and i < 12 else str(b)
        for i, (c, b) in enumerate(zip(data.obs["control"], data.obs["batch"], strict=True))
    ]


def none_in_a_batch(data: AnnData) -> None:
    data.obs["batch"] = [
        "bare" if g == "g11" else str(b) for g, b in zip(data.obs["guide"], data.obs["batch"], strict=True)
    ]


def no_controls(data: AnnData) -> None:
    data.obs["control"] = False


def no_batch(data: AnnData) -> None:
    del data.obs["batch"]


def nan_control(data: AnnData) -> None:
    data.obsm["salient"][2, 1] = np.nan


def nan_cell(data: AnnData) -> None:
    data.obsm["salient"][10, 1] = np.inf


def unknown_batch(data: AnnData) -> None:
    data.obs["batch"] = pd.Series([None, *data.obs["batch"][1:]], index=data.obs_names, dtype=object)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (few_in_a_batch, r"1 of 4 batches have too few: lone \(4\)\. 10 controls were needed in each"),
        (none_in_a_batch, r"too few: bare \(0\)\."),
        (no_controls, "3 of 3 batches have too few"),
        (no_batch, "there is no 'batch' in obs"),
        (nan_control, "NaN or infinite in 1 of"),
        (nan_cell, "NaN or infinite in 1 of"),
        (unknown_batch, "no batch"),
    ],
)
@pytest.mark.parametrize("make", [corrected, lambda data, how: profile(data, correct=how)])
def test_cells_that_cannot_be_corrected_are_refused_with_the_reason(
    make: Callable[[AnnData, str], AnnData], spoil: Callable[[AnnData], None], message: str
) -> None:
    data = cells()
    spoil(data)
    with pytest.raises(BenchmarkError, match=message):
        make(data, "centre-batch")


def test_a_covariance_takes_more_controls_than_features() -> None:
    random = np.random.default_rng(0)
    data = cells(200)
    data.obsm = {"wide": random.normal(size=(200, 40))}
    with pytest.raises(BenchmarkError, match="41 controls, more than the 40 features, were needed in each"):
        corrected(data, "tvn-whiten")
    data.obs["control"] = np.arange(200) < 30
    with pytest.raises(BenchmarkError, match=r"of which there are 30\. 41, more than the 40 features, were needed"):
        corrected(data, "sphere")


def test_unknown_corrections_idle_ridges_and_old_sums_are_refused() -> None:
    data = cells()
    with pytest.raises(SettingsError, match=r"no correction 'combat'\. Choose one of: none, centre"):
        profile(data, correct="combat")
    with pytest.raises(SettingsError, match="'centre' has no covariance"):
        profile(data, correct="centre", ridge=0.1)
    with pytest.raises(SettingsError, match="ridge is -1"):
        profile(data, correct="sphere", ridge=-1)
    old = summed(data, controls=False)
    assert old.uns["contrascope"]["holds"] == SUMS
    with pytest.raises(BenchmarkError, match="Take the sums again"):
        profile(old, correct="centre")
