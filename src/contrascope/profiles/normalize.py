"""Profiles seen from the controls, then put on one scale.

    centred: v - mean over the control rows              (the control profile is the origin)
    zscored: (v - mean) / standard deviation, both over the perturbed rows, feature by feature

Controls keep their rows but never enter the statistics of the z-score.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError
from contrascope.profiles.aggregate import flags
from contrascope.vocabulary import CONTROL

Values = NDArray[np.float64]
ROUNDING = 1e-10
"""Differences below this share of the control's value are rounding of the sums, not effects."""


def centred(profiles: AnnData) -> AnnData:
    """The profiles minus the control profile, in the units of the embedding.

    Args:
        profiles: Of ``averaged``: G rows, ``obs["control"]`` flags the control rows.

    Raises:
        BenchmarkError: There are no controls.
    """
    control = flags(profiles.obs[CONTROL])
    if not control.any():
        raise BenchmarkError(
            f"None of the {len(control):,} profiles is a control, and profiles are seen from the controls. "
            "Name the control label of the screen, so that obs['control'] is true for its cells."
        )
    return _mapped(profiles, lambda values: _minus_control(values, control))


def zscored(profiles: AnnData) -> AnnData:
    """The profiles in standard deviations over the perturbed rows; features that do not vary are 0.

    Raises:
        BenchmarkError: There is nothing but controls.
    """
    perturbed = ~flags(profiles.obs[CONTROL])
    if not perturbed.any():
        raise BenchmarkError("All profiles are controls. At least one perturbation was needed.")
    return _mapped(profiles, lambda values: _zscores(values, perturbed))


def _minus_control(values: Values, control: NDArray[np.bool_]) -> Values:
    origin = values[control].mean(axis=0)
    difference = values - origin
    return np.where(np.abs(difference) <= ROUNDING * np.abs(origin), 0.0, difference)


def _zscores(values: Values, perturbed: NDArray[np.bool_]) -> Values:
    mean, deviation = values[perturbed].mean(axis=0), values[perturbed].std(axis=0)
    varies = deviation > ROUNDING * np.abs(mean)
    return np.where(varies, (values - mean) / np.where(varies, deviation, 1.0), 0.0)


def _mapped(profiles: AnnData, change: Callable[[Values], Values]) -> AnnData:
    return AnnData(obs=profiles.obs.copy(), obsm={space: change(profiles.obsm[space]) for space in profiles.obsm})
