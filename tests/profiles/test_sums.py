"""Sums by guide and batch are pandas' own, and profiles made of them are those made of the cells."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.errors import BenchmarkError
from contrascope.profiles import By, averaged, profile
from contrascope.profiles.sums import summed

SPACES = ("background", "salient")


def cells(n: int = 400, seed: int = 0, *, guides: int = 12, batches: int = 5) -> AnnData:
    """Guide g belongs to perturbation g // 3, the first of which is the control."""
    random = np.random.default_rng(seed)
    guide = np.concatenate([np.arange(guides), random.integers(0, guides, n - guides)])
    obs = pd.DataFrame(
        {
            "guide": pd.Categorical([f"g{g:02d}" for g in guide]),
            "perturbation": pd.Categorical([f"P{g // 3}" for g in guide]),
            "control": guide < 3,
            "batch": pd.Categorical([f"b{b}" for b in random.integers(0, batches, n)]),
        },
        index=[str(i) for i in range(n)],
    )
    spaces = {"background": random.normal(5, 1, (n, 4)), "salient": random.normal(size=(n, 3)).astype(np.float32)}
    spaces |= {f"{name}_sd": random.random((n, 2)) for name in SPACES}
    return AnnData(obs=obs, obsm=spaces)


def blocks_of(data: AnnData, sizes: list[int]) -> list[tuple[pd.DataFrame, dict[str, np.ndarray]]]:
    ends = [0, *np.cumsum(sizes).tolist(), data.n_obs]
    parts = [slice(a, b) for a, b in pairwise(ends) if a < min(b, data.n_obs)]
    return [(data.obs.iloc[rows], {name: data.obsm[name][rows] for name in data.obsm}) for rows in parts]


@given(st.integers(0, 99), st.lists(st.integers(1, 90), max_size=4))
@settings(max_examples=25, deadline=None)
def test_numbers_sums_and_squares_are_those_of_a_groupby_however_the_cells_come(seed: int, sizes: list[int]) -> None:
    data = cells(seed=seed)
    found = summed(blocks_of(data, sizes), facts={"screen": "toy"})
    assert set(found.obsm) == {"background", "background_squares", "salient", "salient_squares"}
    for space in SPACES:
        frame = pd.DataFrame(np.asarray(data.obsm[space], dtype=float))
        groups = [data.obs["guide"].astype(str).to_numpy(), data.obs["batch"].astype(str).to_numpy()]
        together, squared = frame.groupby(groups), (frame**2).groupby(groups)
        np.testing.assert_allclose(found.obsm[space], together.sum().to_numpy(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.obsm[f"{space}_squares"], squared.sum().to_numpy(), rtol=1e-12)
        assert found.obs["n_cells"].tolist() == together.size().tolist()
        named = zip(found.obs["guide"], found.obs["batch"], strict=True)
        assert list(named) == together.size().index.tolist()
        assert found.obsm[space].dtype == np.float64


@pytest.mark.parametrize("by", ["guide", "perturbation"])
@pytest.mark.parametrize("make", [averaged, profile])
def test_profiles_of_sums_are_profiles_of_the_cells(make: Callable[..., AnnData], by: By) -> None:
    data = cells()
    expected, found = make(data, by=by), make(summed(data), by=by)
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    assert set(found.obsm) == set(expected.obsm) == set(SPACES)
    for space in SPACES:
        np.testing.assert_allclose(found.obsm[space], expected.obsm[space], rtol=1e-9, atol=1e-11)


def test_cells_of_no_batch_are_summed_by_guide() -> None:
    data = cells()
    del data.obs["batch"]
    found = summed(data)
    assert found.obs["guide"].tolist() == sorted(set(data.obs["guide"]))
    np.testing.assert_allclose(averaged(found).obsm["salient"], averaged(data).obsm["salient"], rtol=1e-12)


def test_sums_survive_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("sums") / "sums.h5ad"
    summed(cells()).write_h5ad(path)
    read = ad.read_h5ad(path)
    np.testing.assert_allclose(profile(read).obsm["salient"], profile(cells()).obsm["salient"], rtol=1e-9, atol=1e-11)


def test_a_guide_of_two_perturbations_is_still_refused() -> None:
    data = cells()
    data.obs["perturbation"] = ["P3" if i == 5 else str(p) for i, p in enumerate(data.obs["perturbation"])]
    with pytest.raises(BenchmarkError, match="more than one"):
        averaged(summed(data))


def test_nan_in_a_cell_is_still_refused_and_labels_are_needed() -> None:
    data = cells()
    data.obsm["salient"][7, 1] = np.nan
    with pytest.raises(BenchmarkError, match="NaN or infinite"):
        averaged(summed(data))
    del data.obs["guide"]
    with pytest.raises(BenchmarkError, match="lack guide"):
        summed(data)


def test_blocks_may_number_their_labels_each_in_its_own_way() -> None:
    data = cells()
    blocks = [(obs.apply(lambda column: column.astype(object)), spaces) for obs, spaces in blocks_of(data, [90, 7])]
    blocks[1] = (
        blocks[1][0].assign(guide=pd.Categorical(blocks[1][0]["guide"], [*"zyx", *data.obs["guide"].unique()])),
        blocks[1][1],
    )
    for obs, _ in blocks:
        obs["control"] = obs["control"].astype(bool)
    expected, found = summed(data), summed(blocks)
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    np.testing.assert_allclose(found.obsm["salient"], expected.obsm["salient"], rtol=1e-12, atol=1e-12)


def test_the_moments_of_controls_are_those_of_each_batchs_controls() -> None:
    data = cells()
    stored = summed(data).uns["controls"]
    control = data.obs["control"].to_numpy()
    assert list(stored["batch"]) == [f"b{b}" for b in range(5)]
    for i, name in enumerate(stored["batch"]):
        x = data.obsm["background"][control & (data.obs["batch"] == name).to_numpy()]
        assert stored["n_cells"][i] == len(x)
        moments = stored["spaces"]["background"]
        np.testing.assert_allclose(moments["mean"][i], x.mean(axis=0))
        np.testing.assert_allclose(moments["scatter"][i], (len(x) - 1) * np.cov(x.T), atol=1e-10)


def test_batches_without_controls_take_no_room_among_the_moments_and_change_no_profile() -> None:
    data = cells(batches=3)
    apart = data.obs["batch"].astype(str).where(data.obs["control"], [f"w{i % 90}" for i in range(data.n_obs)])
    data.obs["batch"] = pd.Categorical(apart)
    sums = summed(data)
    assert list(sums.uns["controls"]["batch"]) == ["b0", "b1", "b2"]
    assert sums.uns["controls"]["spaces"]["salient"]["scatter"].shape == (3, 3, 3)
    for how in ("centre", "sphere"):
        np.testing.assert_allclose(
            profile(sums, correct=how).obsm["salient"], profile(data, correct=how).obsm["salient"], atol=1e-9
        )
    for known in (sums, data):
        with pytest.raises(BenchmarkError, match=r"89 of 92 batches have too few: w0 \(0\)"):
            profile(known, correct="centre-batch")


def test_spaces_that_lie_on_disk_are_read_as_they_are_needed(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = cells()
    array = zarr.create_array(
        tmp_path_factory.mktemp("lazy") / "salient", data=data.obsm["salient"], chunks=(64, 3), overwrite=True
    )
    lazy = AnnData(obs=data.obs, obsm={"salient": array})
    np.testing.assert_allclose(summed(lazy).obsm["salient"], summed(data).obsm["salient"], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        profile(lazy, correct="sphere").obsm["salient"], profile(data, correct="sphere").obsm["salient"], atol=1e-9
    )


def test_no_cells_have_no_sums() -> None:
    with pytest.raises(BenchmarkError, match="no cells to sum"):
        summed(cells()[:0].copy())


def test_a_space_without_features_is_refused_whatever_is_done_to_it() -> None:
    labels = {"perturbation": ["A", "c"] * 30, "guide": ["a1", "c1"] * 30, "control": [False, True] * 30}
    obs = pd.DataFrame(labels | {"batch": "b"}, index=[str(i) for i in range(60)])
    for how in ("none", "sphere-batch", "tvn-whiten"):
        with pytest.raises(BenchmarkError, match=r"obsm\['salient'\] has the shape \(60, 0\)"):
            profile(AnnData(obs=obs, obsm={"salient": np.zeros((60, 0))}), correct=how)
