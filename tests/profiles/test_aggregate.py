"""Averages of cells, against pandas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from contrascope.errors import BenchmarkError
from contrascope.profiles import aggregate, averaged
from contrascope.profiles.aggregate import rows_of_each


def cells(n: int = 300, seed: int = 0) -> AnnData:
    random = np.random.default_rng(seed)
    # Guide g belongs to perturbation g // 3; perturbation 0 is the control; guides differ in size.
    guide = random.choice(12, size=n, p=np.arange(1, 13) / 78)
    guide[:12] = np.arange(12)
    obs = pd.DataFrame(
        {
            "guide": pd.Categorical([f"g{g:02d}" for g in guide]),
            "perturbation": pd.Categorical([f"P{g // 3}" for g in guide]),
            "control": guide < 3,
        },
        index=[str(i) for i in range(n)],
    )
    spaces = {"background": random.normal(size=(n, 4)), "salient": random.normal(size=(n, 3)).astype("float32")}
    return AnnData(obs=obs, obsm=spaces)


def by_pandas(data: AnnData, space: str) -> pd.DataFrame:
    """Mean of guides' means, the slow way."""
    frame = pd.DataFrame(np.asarray(data.obsm[space], dtype=float))
    frame["guide"], frame["perturbation"] = data.obs["guide"].to_numpy(), data.obs["perturbation"].to_numpy()
    guides = frame.groupby(["perturbation", "guide"], observed=True).mean()
    return guides.groupby("perturbation", observed=True).mean()


def test_a_perturbation_is_the_mean_of_its_guides_means() -> None:
    data = cells()
    profiles = averaged(data)
    for space in ("background", "salient"):
        np.testing.assert_allclose(profiles.obsm[space], by_pandas(data, space).to_numpy(), rtol=1e-12, atol=1e-14)


def test_a_guide_is_the_mean_of_its_cells_and_is_counted() -> None:
    data = cells()
    guides = averaged(data, by="guide")
    first = data[data.obs["guide"] == "g05"]
    np.testing.assert_allclose(
        guides["g05"].obsm["background"].ravel(), first.obsm["background"].mean(axis=0), rtol=1e-12
    )
    assert guides.obs.loc["g05", "n_cells"] == first.n_obs
    assert guides.obs.loc["g05", "perturbation"] == "P1"
    assert guides.obs["n_cells"].sum() == data.n_obs


def test_perturbations_carry_their_counts_and_the_control_flag() -> None:
    profiles = averaged(cells())
    assert list(profiles.obs_names) == ["P0", "P1", "P2", "P3"]
    assert list(profiles.obs["n_guides"]) == [3, 3, 3, 3]
    assert profiles.obs["n_cells"].sum() == 300
    assert list(profiles.obs["control"]) == [True, False, False, False]


def test_several_control_labels_become_one_row_named_control() -> None:
    data = cells()
    data.obs["perturbation"] = [
        "intergenic" if guide == "g00" else str(p)
        for guide, p in zip(data.obs["guide"], data.obs["perturbation"], strict=True)
    ]
    profiles = averaged(data)
    assert list(profiles.obs_names) == ["P1", "P2", "P3", "control"]
    np.testing.assert_allclose(profiles["control"].obsm["salient"], averaged(cells())["P0"].obsm["salient"], rtol=1e-12)


def test_the_order_of_cells_and_the_size_of_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    data = cells()
    whole = averaged(data).obsm["background"]
    monkeypatch.setattr(aggregate, "ROWS_AT_ONCE", 7)
    shuffled = averaged(data[np.random.default_rng(1).permutation(data.n_obs)].copy())
    np.testing.assert_allclose(shuffled.obsm["background"], whole, rtol=1e-12, atol=1e-14)


def test_sparse_and_labelled_embeddings_are_read_alike() -> None:
    data = cells()
    matrix = data.obsm["background"]
    data.obsm["sparse"] = sparse.csr_matrix(matrix)
    data.obsm["frame"] = pd.DataFrame(matrix, index=data.obs_names, columns=list("abcd"))
    profiles = averaged(data)
    for space in ("sparse", "frame"):
        np.testing.assert_allclose(profiles.obsm[space], profiles.obsm["background"], rtol=1e-12)


def spoil_guide(data: AnnData) -> None:
    data.obs["perturbation"] = ["P3" if i == 40 else "P1" for i in range(data.n_obs)]
    data.obs["control"] = False


def spoil_control(data: AnnData) -> None:
    data.obs["control"] = np.arange(data.n_obs) % 2 == 0


def spoil_values(data: AnnData) -> None:
    data.obsm["salient"][[3, 5], 1] = np.nan
    data.obsm["salient"][7] = np.inf


def spoil_labels(data: AnnData) -> None:
    data.obs["guide"] = pd.Series([None, *["g"] * (data.n_obs - 1)], index=data.obs_names, dtype=object)


def spoil_flag(data: AnnData) -> None:
    data.obs["control"] = "yes"


def spoil_space(data: AnnData) -> None:
    for space in list(data.obsm):
        del data.obsm[space]


def spoil_column(data: AnnData) -> None:
    del data.obs["guide"]


def spoil_perturbation(data: AnnData) -> None:
    data.obs["perturbation"] = [str(p).replace("P1", "P0") for p in data.obs["perturbation"]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_guide, "1 guides have more than one perturbation"),
        (spoil_control, "12 guides have more than one control flag"),
        (spoil_values, r"obsm\['salient'\] is NaN or infinite in 3 of 300 rows"),
        (spoil_labels, "1 of 300 cells have no guide"),
        (spoil_flag, "true or false"),
        (spoil_space, "obsm is empty"),
        (spoil_column, "lack guide"),
        (spoil_perturbation, "P0: control with some guides"),
    ],
)
def test_cells_that_make_no_profiles_are_refused_with_the_reason(
    spoil: Callable[[AnnData], None], message: str
) -> None:
    data = cells()
    spoil(data)
    with pytest.raises(BenchmarkError, match=message):
        averaged(data)


def test_rows_of_each_name_are_what_a_loop_finds() -> None:
    random = np.random.default_rng(0)
    names, wanted = pd.Series(random.choice(["b", "NA", "a1", "7"], 50), dtype=object), random.random(50) < 0.7
    found = rows_of_each(names, wanted)
    assert list(found) == sorted(found)
    for name, rows in found.items():
        assert rows.tolist() == [i for i in range(50) if names[i] == name and wanted[i]]
    assert rows_of_each(names, np.zeros(50, dtype=bool)) == {}
