"""Which perturbations are most like a perturbation: cosines of profiles seen from the controls."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.profiles.aggregate import flags
from contrascope.profiles.spaces import embedding
from contrascope.vocabulary import CONTROL, PERTURBATION

NEIGHBOURS = 5
COLUMNS = (PERTURBATION, "place", "neighbour", "cosine")
_AT_ONCE = 1024


def nearest_perturbations(profiles: AnnData, *, space: str, count: int = NEIGHBOURS) -> pd.DataFrame:
    """The perturbations of the largest cosine, for each.

    Args:
        profiles: Centred profiles of perturbations.
        space: Key of ``obsm``.
        count: So many of each, at most.

    Returns:
        Columns perturbation, place (1 the most alike), neighbour, cosine; controls, and profiles that are zero, are
        no neighbours and have none.
    """
    values = embedding(profiles, space)
    length = np.linalg.norm(values, axis=1)
    there = ~flags(profiles.obs[CONTROL]) & (length > 0)
    names = profiles.obs_names[there].astype(str).to_numpy()
    unit = values[there] / length[there, None]
    rows: list[tuple[str, int, str, float]] = []
    for start in range(0, len(unit), _AT_ONCE):  # never all pairs at once
        cosine = unit[start : start + _AT_ONCE] @ unit.T
        cosine[np.arange(len(cosine)), start + np.arange(len(cosine))] = -np.inf
        order = np.argsort(-cosine, axis=1, kind="stable")[:, : min(count, len(unit) - 1)]
        for own, (others, line) in enumerate(zip(order, cosine, strict=True), start=start):
            rows += [(names[own], k, names[j], float(line[j])) for k, j in enumerate(others, start=1)]
    return pd.DataFrame(rows, columns=list(COLUMNS))
