"""How large an effect is in each space, and which share of it is salient.

    share = |s|^2 / (|z|^2 + |s|^2)

with z and s a perturbation's profiles seen from the controls, and the norms of each space scaled to mean 1 over
perturbations. Its complement is the relative background norm, by which mitotic genes are told (the authors' longer
manuscript). A phenotype that controls do not have at all is mostly salient; one that moves cells to where
controls are as well has much of it in the background.
"""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from contrascope.errors import BenchmarkError
from contrascope.profiles.aggregate import averaged, flags
from contrascope.profiles.normalize import centred
from contrascope.vocabulary import BACKGROUND, CONTROL, SALIENT

_NORM = " norm"


def salient_share(cells: AnnData) -> pd.DataFrame:
    """Size of each perturbation's effect, and the salient share of it.

    Args:
        cells: N cells as for ``profile``, with ``obsm["background"]`` and ``obsm["salient"]``.

    Returns:
        A row a perturbation, controls left out: ``background norm`` and ``salient norm``, in multiples of the mean
        over perturbations, and ``salient share``, 0 to 1; half where both norms are average.

    Raises:
        BenchmarkError: One of the two spaces is not there, or as of ``profile``.
    """
    if missing := [space for space in (BACKGROUND, SALIENT) if space not in cells.obsm]:
        raise BenchmarkError(f"The share of an effect takes two spaces; obsm has no {' and no '.join(missing)}.")
    profiles = centred(averaged(cells))
    profiles = profiles[~flags(profiles.obs[CONTROL])]
    table = pd.DataFrame(index=profiles.obs_names)
    for space in (BACKGROUND, SALIENT):
        norm = (profiles.obsm[space] ** 2).sum(axis=1) ** 0.5
        table[space + _NORM] = norm / (norm.mean() or 1.0)
    squares = table**2
    table["salient share"] = squares[SALIENT + _NORM] / squares.sum(axis=1)
    return table
