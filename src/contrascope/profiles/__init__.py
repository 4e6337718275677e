"""Profiles: one row for a guide or a perturbation, seen from the controls.

    profile(cells) = zscored(centred(averaged(cells)))

Each step takes an AnnData and returns a new one with the same ``obsm`` keys, so a question that needs less
(norms, say, which must not be z-scored) stops a step earlier.
"""

from __future__ import annotations

from anndata import AnnData

from contrascope.profiles.aggregate import By, averaged
from contrascope.profiles.effects import salient_share
from contrascope.profiles.normalize import centred, zscored
from contrascope.profiles.typical import typical_cells

__all__ = ["By", "averaged", "centred", "profile", "salient_share", "typical_cells", "zscored"]


def profile(cells: AnnData, *, by: By = "perturbation") -> AnnData:
    """What each perturbation (or guide) does, in standard deviations over perturbations (or guides).

    Args:
        cells: N cells with ``obs`` columns guide, perturbation and control (bool), embeddings in ``obsm``.
        by: A row for each perturbation, all controls being one row; or a row for each guide.

    Returns:
        ``obs``: perturbation, control, n_guides, n_cells (and guide, by guide), named by what ``by`` says.
        ``obsm``: the keys of ``cells``, float64, without unit, about -3 to 3; perturbed rows have mean 0 and
        standard deviation 1 in each feature, features that do not vary are 0.

    Raises:
        BenchmarkError: No controls, a missing column, a guide of two perturbations, NaN in an embedding.
    """
    return zscored(centred(averaged(cells, by=by)))
