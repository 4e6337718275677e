"""Centres and spreads of controls, block by block, against numpy, scipy and a loop that leaves one out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

import contrascope.features.scales as scales_module
import contrascope.profiles.blocks as blocks_module
from contrascope.features.scales import Labelled, Scales, finite, held_out, plain_scales, robust_scales, seen
from contrascope.profiles.blocks import opened

N, F, M = 90, 4, 3


def cells(seed: int) -> tuple[AnnData, np.ndarray, Labelled]:
    """Features of different units with holes in them, in three batches."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(N, F)) * 10.0 ** np.arange(F) + 1e4
    values[random.random((N, F)) < 0.1] = np.nan
    values[random.random((N, F)) < 0.05] = np.inf
    values[0], values[1, 0] = np.nan, 1e200
    batch, control = random.integers(0, M, N), random.random(N) < 0.6
    obs = pd.DataFrame({"control": control}, index=[str(i) for i in range(N)])
    labelled = Labelled(control, batch.astype(np.intp), ["a", "b", "c"])
    return AnnData(obs=obs, obsm={"features": values}), np.where(np.abs(values) < 1e100, values, np.nan), labelled


def test_a_control_that_alone_varies_is_in_units_of_half_of_the_deviation_of_all() -> None:
    z = np.array([[-0.5], [-0.5], [-0.5], [-0.5], [2.0]])
    np.testing.assert_allclose(held_out(z, np.full((5, 1), 5))[-1], 5.0)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), rows=st.sampled_from([7, 40, 1000]))
def test_what_a_pass_finds_is_what_numpy_finds_of_the_whole(seed: int, rows: int) -> None:
    data, values, labelled = cells(seed)
    with pytest.MonkeyPatch.context() as patch, opened(data, batch=None) as blocks:
        patch.setattr(blocks_module, "ROWS_AT_ONCE", rows)
        found, robust = seen(blocks, "features", labelled), robust_scales(blocks, "features", labelled)
    measured = np.isfinite(values).any(axis=1)
    np.testing.assert_array_equal(found.measured, measured)
    np.testing.assert_array_equal(found.missing, np.isnan(values[measured]).sum(axis=0))
    plain = plain_scales(found)
    for number in range(M):
        here = values[labelled.control & (labelled.batch == number)]
        np.testing.assert_array_equal(found.n[number], np.isfinite(here).sum(axis=0))
        np.testing.assert_allclose(plain.centre[number], np.nanmean(here, axis=0), rtol=1e-12)
        np.testing.assert_allclose(plain.spread[number], np.nanstd(here, axis=0), rtol=1e-8)
        np.testing.assert_allclose(robust.centre[number], np.nanmedian(here, axis=0), rtol=1e-12)
        mad = median_abs_deviation(here, scale=1 / 1.4826, nan_policy="omit")
        np.testing.assert_allclose(robust.spread[number], mad, rtol=1e-12)


def test_medians_of_a_few_features_at_a_time_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    data, _, labelled = cells(0)
    with opened(data, batch=None) as blocks:
        whole = robust_scales(blocks, "features", labelled)
        monkeypatch.setattr(scales_module, "HELD", 2 * int(labelled.control.sum()))
        parts = robust_scales(blocks, "features", labelled)
    np.testing.assert_array_equal(parts.centre, whole.centre)
    np.testing.assert_array_equal(parts.spread, whole.spread)


@given(seed=st.integers(0, 1000), n=st.integers(8, 40))
def test_a_control_is_seen_by_mean_and_deviation_of_the_others(seed: int, n: int) -> None:
    x = np.random.default_rng(seed).normal(5, 3, (n, 2))
    z = held_out((x - x.mean(axis=0)) / x.std(axis=0), np.full((n, 2), n))
    for i in range(n):
        others = np.delete(x, i, axis=0)
        expected = (x[i] - others.mean(axis=0)) / np.maximum(others.std(axis=0), x.std(axis=0) / 2)
        np.testing.assert_allclose(z[i], expected, rtol=1e-9, atol=1e-12)


def test_one_control_alone_is_at_its_centre() -> None:
    assert held_out(np.zeros((1, 1)), np.ones((1, 1), int)).item() == 0


def test_what_is_not_finite_is_at_the_centre_and_what_is_far_is_clipped() -> None:
    scales = Scales(np.array([[1.0, 2.0]]), np.array([[2.0, 1e-3]]))
    values = np.array([[np.nan, np.inf], [1e300, -np.inf], [5.0, 2.004], [1.0, 1e30]])
    z = scales.standardised(values, np.zeros(4, np.intp))
    np.testing.assert_allclose(z, [[0, 0], [0, 0], [2, 4], [0, 1e15]])
    clipped = scales.standardised(values, np.zeros(4, np.intp), clip=3)
    np.testing.assert_allclose(clipped, [[0, 0], [0, 0], [2, 3], [0, 3]])
    assert finite(values).tolist() == [[False, False], [False, False], [True, True], [True, True]]


def test_rounding_is_no_spread() -> None:
    centre = np.array([[1e6, 1e6, 0.0, 0.0]])
    spread = np.array([[1e-5, 1.0, 1e-5, 0.0]])
    assert Scales(centre, spread).varies().tolist() == [[False, True, True, False]]
    assert Scales(centre, np.full((1, 4), np.nan)).varies().sum() == 0
    chosen = Scales(centre, spread, np.array([[10, 11, 12, 13]])).of(np.array([2, 1]))
    assert chosen.varies().all()
    assert chosen.n is not None and chosen.n.tolist() == [[12, 11]]
