"""Profiles: one row for a guide or a perturbation, 0 being the average of them; controls are a row of their own.

    profile(cells) = zscored(centred(averaged(corrected(cells))))

Each step takes an AnnData and returns a new one with the same ``obsm`` keys, so a question that needs less
(norms, say, which must not be z-scored) stops a step earlier. Cells that lie in a file are read once, a block at a
time, whatever the correction.
"""

from __future__ import annotations

from anndata import AnnData

from contrascope.profiles.aggregate import By, averaged
from contrascope.profiles.agreement import guide_agreement
from contrascope.profiles.blocks import Cells
from contrascope.profiles.correct import corrected, corrected_sums
from contrascope.profiles.effects import salient_share
from contrascope.profiles.normalize import centred, zscored
from contrascope.profiles.typical import typical_cells
from contrascope.vocabulary import BATCH

__all__ = [
    "By",
    "Cells",
    "averaged",
    "centred",
    "corrected",
    "guide_agreement",
    "profile",
    "salient_share",
    "typical_cells",
    "zscored",
]


def profile(
    cells: Cells, *, by: By = "perturbation", correct: str = "none", batch: str = BATCH, ridge: float | None = None
) -> AnnData:
    """What each perturbation (or guide) does, in standard deviations over perturbations (or guides).

    Args:
        cells: N cells with ``obs`` columns guide, perturbation and control (bool), embeddings in ``obsm``; or the path
            of a .h5ad or .zarr of them, which is read a block at a time; or the sums of them.
        by: A row for each perturbation, all controls being one row; or a row for each guide.
        correct: How cells are corrected on their controls before they are averaged: none, centre, standardise, robust
            or sphere, each also with ``-batch``, whiten, tvn-whiten, tvn-recolour (formulas: ``corrections.py``).
        batch: The column of batches that corrections go by: plate, say, where wells have no controls of their own.
        ridge: Of sphere, whiten and tvn, in place of their own.

    Returns:
        ``obs``: perturbation, control, n_guides, n_cells (and guide, by guide), named by what ``by`` says.
        ``obsm``: the keys of ``cells``, float64, without unit, about -3 to 3; perturbed rows have mean 0 and
        standard deviation 1 in each feature, features that do not vary are 0. So 0 is the average perturbation, and
        the controls, as far from it as they are, have a row like any other: what lies between them and a perturbation
        is the difference of the two rows, or in the units of the embedding ``centred(averaged(cells))``.
        ``uns["contrascope"]``: what the cells say they are of, and under ``profile`` how the profiles were made.

    Raises:
        BenchmarkError: No controls or too few, a missing column, a guide of two perturbations, NaN in an embedding.
        SettingsError: There is no such correction, or it takes no ridge.
    """
    sums = corrected_sums(cells, correct, batch=batch, ridge=ridge)
    profiles = zscored(centred(averaged(sums, by=by)))
    of_cells = {key: fact for key, fact in sums.uns.get("contrascope", {}).items() if key not in ("holds", "features")}
    made = {"by": by, "correct": correct, "batch": batch} | ({} if ridge is None else {"ridge": ridge})
    profiles.uns["contrascope"] = of_cells | {"profile": made}
    return profiles
