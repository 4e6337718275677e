"""Profiles seen from the controls."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import zscore

from contrascope.errors import BenchmarkError
from contrascope.profiles import averaged, centred, profile, zscored


def cells(seed: int = 0, *, scale: float = 1.0, shift: float = 0.0) -> AnnData:
    random = np.random.default_rng(seed)
    guide = np.arange(240) % 12
    obs = pd.DataFrame(
        {
            "guide": [f"g{g:02d}" for g in guide],
            "perturbation": [f"P{g // 3}" for g in guide],
            "control": guide < 3,
        },
        index=[str(i) for i in range(240)],
    )
    effect = random.normal(size=(12, 5))[guide]
    return AnnData(obs=obs, obsm={"salient": scale * (random.normal(size=(240, 5)) + effect) + shift})


def test_controls_are_the_origin_of_centred_profiles() -> None:
    for by in ("perturbation", "guide"):
        profiles = centred(averaged(cells(), by=by))
        control = profiles.obs["control"].to_numpy()
        np.testing.assert_allclose(profiles.obsm["salient"][control].mean(axis=0), 0, atol=1e-12)


def test_controls_do_not_enter_the_z_scores() -> None:
    profiles = profile(cells(), by="guide")
    control = profiles.obs["control"].to_numpy()
    raw = averaged(cells(), by="guide").obsm["salient"]
    np.testing.assert_allclose(profiles.obsm["salient"][~control], zscore(raw[~control]), atol=1e-10)
    assert control.sum() == 3


@given(seed=st.integers(0, 50), scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_profiles_do_not_depend_on_the_unit_of_the_embedding(seed: int, scale: float, shift: float) -> None:
    moved = profile(cells(seed, scale=scale, shift=shift)).obsm["salient"]
    np.testing.assert_allclose(moved, profile(cells(seed)).obsm["salient"], atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_a_feature_that_does_not_vary_is_zero(value: float) -> None:
    data = cells()
    data.obsm["salient"][:, 2] = value
    values = profile(data).obsm["salient"]
    assert (values[:, 2] == 0).all()
    assert np.isfinite(values).all()


def test_a_single_perturbation_has_nothing_to_differ_from() -> None:
    data = cells()
    data = data[data.obs["perturbation"].isin(["P0", "P1"])].copy()
    assert (profile(data).obsm["salient"] == 0).all()


def test_a_screen_without_controls_or_without_perturbations_is_refused() -> None:
    data = cells()
    with pytest.raises(BenchmarkError, match="None of the 3 profiles is a control"):
        profile(data[~data.obs["control"].to_numpy()].copy())
    with pytest.raises(BenchmarkError, match="All profiles are controls"):
        profile(data[data.obs["control"].to_numpy()].copy())
    with pytest.raises(BenchmarkError, match="Choose one of"):
        profile(data, by="gene")  # type: ignore[arg-type]


def test_each_step_leaves_its_input_alone() -> None:
    data = cells()
    before = data.obsm["salient"].copy()
    means = averaged(data)
    raw = means.obsm["salient"].copy()
    zscored(centred(means))
    np.testing.assert_array_equal(data.obsm["salient"], before)
    np.testing.assert_array_equal(means.obsm["salient"], raw)


def test_profiles_survive_writing_and_reading(tmp_path: Path) -> None:
    profiles = profile(cells())
    profiles.write_h5ad(tmp_path / "profiles.h5ad")
    again = anndata.read_h5ad(tmp_path / "profiles.h5ad")
    np.testing.assert_array_equal(again.obsm["salient"], profiles.obsm["salient"])
    assert list(again.obs["perturbation"]) == list(profiles.obs["perturbation"])


def test_flags_that_are_texts_are_refused_as_everywhere() -> None:
    obs = pd.DataFrame({"perturbation": ["a", "b"], "control": ["False", "True"]}, index=["a", "b"])
    profiles = AnnData(obs=obs, obsm={"salient": np.eye(2)})
    for seen in (centred, zscored):
        with pytest.raises(BenchmarkError, match="true or false was needed"):
            seen(profiles)
