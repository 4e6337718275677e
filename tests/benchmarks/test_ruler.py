"""Standard deviations of the controls."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from contrascope.benchmarks.ruler import Ruler


def test_controls_have_mean_0_and_standard_deviation_1() -> None:
    controls = np.random.default_rng(0).normal(5, [1, 10, 100], size=(200, 3))
    measured = Ruler.of(controls).measured(controls)
    np.testing.assert_allclose(measured.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(measured.std(axis=0), 1)


def test_whitened_distance_is_mahalanobis() -> None:
    random = np.random.default_rng(0)
    controls = random.normal(size=(200, 4)) @ random.normal(size=(4, 4))
    ruler = Ruler.of(controls)
    scaled = ruler.measured(controls)
    d = scaled[0] - scaled[1]
    expected = d @ np.linalg.inv(LedoitWolf().fit(scaled).covariance_) @ d
    assert np.square(d @ ruler.whitening).sum() == pytest.approx(expected)


def test_features_that_do_not_vary_among_controls_are_left_out_and_said() -> None:
    controls = np.random.default_rng(0).normal(size=(50, 3))
    controls[:, 1] = 0.1
    ruler = Ruler.of(controls)
    assert ruler.measured(controls).shape == (50, 2)
    assert list(ruler.remarks("salient")) == [
        "1 of 3 features of salient do not vary among controls and were left out."
    ]
    assert not list(Ruler.of(controls[:, [0, 2]]).remarks("salient"))
