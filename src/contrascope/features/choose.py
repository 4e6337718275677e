"""Which features are left out, each by name and with the reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrascope.features.scales import Scales, Seen
from contrascope.profiles.corrections import FEWEST

FEATURE, REASON, LIKE = "feature", "reason", "like"
NOT_FINITE = "not finite in too many cells"
FEW_CONTROLS = "measured in too few controls of a batch"
CONSTANT = "constant in controls"
CONSTANT_IN_A_BATCH = "constant in the controls of a batch"
COPY = "copy of another"
CORRELATED = "correlated with another"
_SAME = 1 - 1e-8
"""A correlation above it is that of a feature with itself, in whatever units."""


def unusable(found: Seen, scales: Scales, present: NDArray[np.bool_], *, missing: float) -> NDArray[np.object_]:
    """(F,) why a feature cannot be used, "" where it can.

    Args:
        found: What a pass has found.
        scales: Of the controls.
        present: (M,) which batches have cells.
        missing: Share of cells in which a feature may be not finite.
    """
    varies = scales.varies()[present]
    cells = max(1, int(found.measured.sum()))
    reasons = np.full(len(found.missing), "", object)
    reasons[~varies.all(axis=0)] = CONSTANT_IN_A_BATCH
    reasons[~varies.any(axis=0)] = CONSTANT
    reasons[(found.n[present] < FEWEST).any(axis=0)] = FEW_CONTROLS
    reasons[found.missing > missing * cells] = NOT_FINITE
    return reasons


def repeated(correlations: NDArray[np.float64], *, above: float | None) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Features that say what one before them says, of F in order.

    Args:
        correlations: (F, F).
        above: The correlation, whichever its sign, beyond which a feature is left out; None for copies only.

    Returns:
        (F,) the reason, "" for those that stay; and (F,) which feature it is like, itself for those that stay.
    """
    size = np.abs(correlations)
    limit = _SAME if above is None else min(above, _SAME)
    stays = np.zeros(len(size), bool)
    reasons, like = np.full(len(size), "", object), np.arange(len(size))
    for i in range(len(size)):
        alike = np.flatnonzero(stays[:i] & (size[i, :i] > limit))
        if len(alike):
            like[i] = alike[size[i, alike].argmax()]
            reasons[i] = COPY if size[i, like[i]] > _SAME else CORRELATED
        else:
            stays[i] = True
    return reasons, like


def listed(names: Sequence[str], reasons: NDArray[np.object_], like: NDArray[np.intp]) -> pd.DataFrame:
    """A row for each feature that is left out: its name, why, and which other feature says the same."""
    rows = [
        (names[i], reasons[i], names[int(like[i])] if like[i] != i else "")
        for i in np.flatnonzero(reasons != "").tolist()
    ]
    return pd.DataFrame(rows, columns=[FEATURE, REASON, LIKE])
