"""Guides that agree are told from guides that do not."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine

from contrascope.errors import BenchmarkError
from contrascope.profiles import guide_agreement


def guides(shared: float, seed: int = 0, *, perturbations: int = 30, each: int = 4) -> AnnData:
    """Guide profiles with a part that the guides of a perturbation share, and two control guides."""
    random = np.random.default_rng(seed)
    of = np.repeat(np.arange(perturbations), each)
    x = shared * random.normal(size=(perturbations, 6))[of] + random.normal(size=(len(of), 6))
    names = [f"g{i:03d}" for i in range(len(of) + 2)]
    obs = pd.DataFrame(
        {
            "guide": names,
            "perturbation": [*(f"P{p:02d}" for p in of), "nt", "nt"],
            "control": [False] * len(of) + [True] * 2,
        },
        index=names,
    )
    return AnnData(obs=obs, obsm={"salient": np.vstack([x, random.normal(size=(2, 6))])})


def test_values_are_plain_cosines() -> None:
    data = guides(1.0)
    table = guide_agreement(data)
    x = data.obsm["salient"][4:8]
    rows = table[table["perturbation"] == "P01"]
    between = np.mean([1 - cosine(a, b) for a, b in combinations(x, 2)])
    assert rows.loc[rows["metric"] == "between guides", "value"].item() == pytest.approx(between)
    left_out = rows[rows["metric"] == "left-out guide"]
    assert left_out["guide"].tolist() == ["g004", "g005", "g006", "g007"]
    for i, value in enumerate(left_out["value"]):
        assert value == pytest.approx(1 - cosine(x[i], np.delete(x, i, axis=0).mean(axis=0)))
    assert (rows["n"] == 4).all()
    assert "nt" not in set(table["perturbation"])


def test_guides_that_share_an_effect_stand_above_chance_and_one_that_strays_is_found() -> None:
    data = guides(4.0)
    data.obsm["salient"][8] = -data.obsm["salient"][9]
    table = guide_agreement(data)
    between = table[table["metric"] == "between guides"]
    assert between["percentile"].median() > 98
    astray = table[table["metric"] == "left-out guide"].set_index("guide")["value"]
    assert astray.loc[["g008", "g009", "g010", "g011"]].idxmin() == "g008"


def test_guides_without_effect_sit_at_chance() -> None:
    tables = [guide_agreement(guides(0.0, seed), draws=400, seed=seed) for seed in range(8)]
    for metric, rows in pd.concat(tables).groupby("metric"):
        assert rows["percentile"].mean() == pytest.approx(50, abs=5), metric
        assert rows["value"].mean() == pytest.approx(rows["chance"].mean(), abs=0.03), metric
        assert (rows["percentile"] > 90).mean() == pytest.approx(0.1, abs=0.04), metric


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 20), st.floats(0.01, 100))
def test_rotation_scale_and_seed_leave_values_alone(seed: int, scale: float) -> None:
    data = guides(1.0, seed, perturbations=6)
    turned = data.copy()
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))[0]
    turned.obsm["salient"] = scale * data.obsm["salient"] @ rotation
    first, second = guide_agreement(data, draws=50), guide_agreement(turned, draws=50)
    np.testing.assert_allclose(second["value"], first["value"], atol=1e-9)
    np.testing.assert_allclose(second["chance"], first["chance"], atol=1e-9)
    pd.testing.assert_frame_equal(guide_agreement(data, draws=50), first)


def test_perturbations_of_one_guide_are_left_out_and_nothing_to_compare_is_refused() -> None:
    data = guides(1.0, perturbations=8)
    single = data[[0, 1, 4, 8, 12, 16, 20]].copy()
    assert set(guide_agreement(single)["perturbation"]) == {"P00"}
    with pytest.raises(BenchmarkError, match="None of the 5 perturbations has two guides"):
        guide_agreement(single[1:6].copy())
    with pytest.raises(BenchmarkError, match="guides of 4 different perturbations"):
        guide_agreement(data[:12].copy())
    with pytest.raises(BenchmarkError, match="lack guide"):
        guide_agreement(AnnData(obs=data.obs.drop(columns="guide"), obsm=dict(data.obsm)))
    data.obs["guide"] = "same"
    with pytest.raises(BenchmarkError, match="several rows"):
        guide_agreement(data)
