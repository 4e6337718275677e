"""What a standard deviation is in a space: that of the controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrascope.benchmarks.two_samples import whitening
from contrascope.profiles.normalize import ROUNDING

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Ruler:
    """Mean and standard deviation of the controls in each feature, and their shrunk covariance.

    Attributes:
        mean, deviation: (V,) of the features that vary among controls.
        varies: (F,) which those are.
        whitening: (V, V) turns measured features into such whose Euclidean distance is Mahalanobis'.
    """

    mean: Values
    deviation: Values
    varies: NDArray[np.bool_]
    whitening: Values

    @classmethod
    def of(cls, controls: Values) -> Ruler:
        """From rows of controls (M, F)."""
        mean, deviation = controls.mean(axis=0), controls.std(axis=0)
        varies = deviation > ROUNDING * np.abs(mean)
        mean, deviation = mean[varies], deviation[varies]
        scaled = (controls[:, varies] - mean) / deviation
        return cls(mean, deviation, varies, whitening(scaled) if varies.any() else np.zeros((0, 0)))

    def measured(self, rows: Values) -> Values:
        """Rows (N, F) as (N, V) standard deviations from the controls' mean."""
        return (rows[:, self.varies] - self.mean) / self.deviation

    def remarks(self, space: str) -> Iterator[str]:
        """A note where features do not vary."""
        if lost := int((~self.varies).sum()):
            yield f"{lost} of {len(self.varies)} features of {space} do not vary among controls and were left out."
