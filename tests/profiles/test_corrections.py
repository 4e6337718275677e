"""Corrections as maps, from moments alone: what they promise follows without a cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import fractional_matrix_power

from contrascope.profiles.corrections import CORRECTIONS, FEWEST, power, scaling
from contrascope.profiles.moments import Maps, Moments

M, F = 3, 4
AFFINE = [name for name, how in CORRECTIONS.items() if not how.robust]
UNIT_FREE = [name for name in AFFINE if name not in ("none", "centre", "centre-batch")]


def moments(seed: int = 0, *, units: np.ndarray | float = 1.0) -> Moments:
    """Controls of batches of different size, mean, spread and correlation."""
    random = np.random.default_rng(seed)
    n = np.array([40, 90, 300])
    mixing = random.normal(size=(M, F, F)) + np.eye(F)
    scatter = np.swapaxes(mixing, 1, 2) @ mixing * n[:, None, None]
    each = np.broadcast_to(np.asarray(units, dtype=float), (F,))
    return Moments(n, random.normal(size=(M, F)) * 3 * each, scatter * each[:, None] * each)


def images(maps: Maps, x: np.ndarray, batch: int) -> np.ndarray:
    """What becomes of cells (B, F) of a batch."""
    one = batch if len(maps.matrix) > 1 else 0
    return np.asarray(x @ maps.matrix[one] + maps.offset[batch if len(maps.offset) > 1 else 0])


@pytest.mark.parametrize("name", AFFINE)
def test_controls_end_where_their_correction_says(name: str) -> None:
    before, how = moments(), CORRECTIONS[name]
    after = before.mapped(how.maps(before, ridge=0.0))
    of = after if how.by_batch else after.pooled()
    if name == "none":
        np.testing.assert_array_equal(after.mean, before.mean)
        np.testing.assert_array_equal(after.scatter, before.scatter)
        return
    np.testing.assert_allclose(of.mean, 0, atol=1e-9)
    if name.startswith("standardise"):
        np.testing.assert_allclose(of.deviation(), 1)
    if name.startswith(("sphere", "whiten", "tvn-whiten")):
        np.testing.assert_allclose(of.covariance(), np.broadcast_to(np.eye(F), of.scatter.shape), atol=1e-9)
    if name == "tvn-recolour":
        first = of.covariance()[0]
        np.testing.assert_allclose(of.covariance(), np.broadcast_to(first, of.scatter.shape), atol=1e-9)


@settings(max_examples=20)
@given(name=st.sampled_from(UNIT_FREE), powers=st.lists(st.integers(-6, 6), min_size=F, max_size=F))
def test_units_of_features_do_not_matter(name: str, powers: list[int]) -> None:
    units = 10.0 ** np.array(powers)
    x = np.random.default_rng(1).normal(size=(5, F))
    for batch in range(M):
        plain = images(CORRECTIONS[name].maps(moments()), x, batch)
        other = images(CORRECTIONS[name].maps(moments(units=units)), x * units, batch)
        np.testing.assert_allclose(other, plain, rtol=1e-6, atol=1e-7)


@given(seed=st.integers(0, 99))
def test_whitened_cells_lie_as_far_apart_as_sphered_ones(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(6, F)) * 5
    sphered, white = (images(CORRECTIONS[name].maps(moments(seed)), x, 0) for name in ("sphere", "whiten"))
    np.testing.assert_allclose(white @ white.T, sphered @ sphered.T, rtol=1e-6, atol=1e-8)


def test_a_direction_in_which_controls_hardly_vary_is_not_blown_up() -> None:
    covariance = np.diag([1.0, 1e-9, 1e-9, 0.0])
    for ridge, most in ((0.01, 10.0), (0.5, 2**0.5)):
        assert np.abs(power(covariance[None], -0.5, ridge)).max() <= most
    gains = np.diag(power(covariance[None], -0.5, 0.01)[0])
    np.testing.assert_allclose(gains, [1 / np.sqrt(1.01), 10, 10, 0], rtol=1e-6)


@given(seed=st.integers(0, 999), exponent=st.sampled_from([0.5, -0.5]), ridge=st.sampled_from([0.0, 0.3]))
def test_a_power_of_a_covariance_is_scipys(seed: int, exponent: float, ridge: float) -> None:
    covariance = moments(seed).covariance()
    for found, of in zip(power(covariance, exponent, ridge), covariance, strict=True):
        expected = np.real(fractional_matrix_power(of + ridge * np.eye(F), exponent))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


def test_a_direction_without_variance_is_nothing_however_it_lies() -> None:
    along = np.array([3.0, 4.0, 0.0, 0.0]) / 5
    matrix = power((np.outer(along, along) * 4)[None], -0.5, 0.0)[0]
    np.testing.assert_allclose(matrix, np.outer(along, along) / 2, atol=1e-12)
    assert not matrix[2:].any() and not matrix[:, 2:].any(), "not even rounding is left"


def test_a_scaling_is_a_z_score_and_nothing_where_there_is_no_spread() -> None:
    maps = scaling(np.array([[5.0, 7.0]]), np.array([[2.0, 1e-12]]), np.array([[1e-9, 1e-9]]))
    np.testing.assert_allclose(images(maps, np.array([[9.0, 8.0], [5.0, 0.0]]), 0), [[2, 0], [0, 0]])


def test_a_covariance_takes_more_controls_than_features_and_a_mean_some() -> None:
    for how in CORRECTIONS.values():
        assert how.fewest(2) == FEWEST
        assert how.fewest(500) == (501 if how.covariance else FEWEST)
        assert (how.ridge is not None) == how.covariance
