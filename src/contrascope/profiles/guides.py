"""What is known of each guide: its cells, its effect, and how much it is like the perturbation's other guides."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.profiles.aggregate import N_CELLS, flags
from contrascope.profiles.agreement import LEFT_OUT
from contrascope.profiles.spaces import embedding
from contrascope.vocabulary import CONTROL, GUIDE, PERTURBATION

COLUMNS = (PERTURBATION, GUIDE, "cells", "effect", "cosine")


def guide_table(guides: AnnData, agreement: pd.DataFrame, *, space: str) -> pd.DataFrame:
    """A row a guide, controls left out.

    Args:
        guides: Centred profiles of guides.
        agreement: Of ``guide_agreement`` on them, maybe of other spaces as well; empty where it could not be had.
        space: Key of ``obsm``.

    Returns:
        Columns perturbation, guide, cells; effect, the length of its profile in multiples of what a control guide has
        at the median, seen from the other control guides (empty where there are none; guides with fewer cells lie
        further off by chance); cosine with the mean of the perturbation's other guides, empty where it has no others.
    """
    length = np.linalg.norm(embedding(guides, space), axis=1)
    control = flags(guides.obs[CONTROL])
    # From the mean of all k it is part of, a control guide is (k - 1) / k as far as from that of the others.
    k = int(control.sum())
    usual = float(np.median(length[control])) * k / (k - 1) if k > 1 else np.nan
    table = pd.DataFrame(
        {
            PERTURBATION: guides.obs[PERTURBATION].astype(str).to_numpy(),
            GUIDE: guides.obs[GUIDE].astype(str).to_numpy(),
            "cells": guides.obs[N_CELLS].to_numpy(),
            "effect": length / usual if usual > 0 else np.nan,
        }
    )[~control]
    if agreement.empty:
        return table.assign(cosine=np.nan).reset_index(drop=True)[list(COLUMNS)]
    left_out = agreement[(agreement["space"] == space) & (agreement["metric"] == LEFT_OUT)]
    cosine = left_out.set_index(GUIDE)["value"]
    return table.assign(cosine=table[GUIDE].map(cosine)).reset_index(drop=True)[list(COLUMNS)]
