"""Moments of controls: numpy's own, however the cells come."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.profiles.moments import Gathering, Maps


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.lists(st.integers(1, 60), max_size=5), st.floats(-1e6, 1e6))
def test_number_mean_and_covariance_are_numpys_however_the_controls_come(
    seed: int, cuts: list[int], offset: float
) -> None:
    random = np.random.default_rng(seed)
    x, batch = random.normal(size=(120, 3)) + offset, random.permutation(np.arange(120) % 4)
    gathering = Gathering()
    for rows in np.split(np.arange(120), np.cumsum(cuts)):
        if len(rows):
            gathering.add(batch[rows], {"salient": x[rows]})
    found = gathering.moments([0, 1, 2, 3])["salient"]
    for b in range(4):
        np.testing.assert_allclose(found.mean[b], x[batch == b].mean(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.covariance()[b], np.cov(x[batch == b].T), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(found.deviation()[b], x[batch == b].std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.pooled().covariance()[0], np.cov(x.T), rtol=1e-6, atol=1e-8)
    assert found.n.tolist() == np.bincount(batch).tolist()


def test_moments_of_an_image_are_the_image_of_the_moments() -> None:
    random = np.random.default_rng(0)
    x, batch = random.normal(size=(80, 3)), np.arange(80) % 2
    first = Maps(random.normal(size=(1, 3, 3)), random.normal(size=(1, 3)))
    second = Maps(random.normal(size=(2, 3, 3)), random.normal(size=(2, 3)))
    both = first.then(second)
    y = np.einsum("nf,nfg->ng", x @ first.matrix[0] + first.offset[0], second.matrix[batch]) + second.offset[batch]
    np.testing.assert_allclose(np.einsum("nf,nfg->ng", x, both.matrix[batch]) + both.offset[batch], y)
    before, after = Gathering(), Gathering()
    before.add(batch, {"x": x})
    after.add(batch, {"x": y})
    found, expected = before.moments([0, 1])["x"].mapped(both), after.moments([0, 1])["x"]
    np.testing.assert_allclose(found.mean, expected.mean)
    np.testing.assert_allclose(found.scatter, expected.scatter, rtol=1e-9)
