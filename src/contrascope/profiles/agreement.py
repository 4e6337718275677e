"""Do the guides of a perturbation agree, more than guides of different perturbations do?

    between guides:   mean cosine between the profiles of its k guides, over all pairs
    left-out guide:   cosine between one guide's profile and the mean of the k - 1 others

Each stands beside its null: the same number for sets of k guides of k different perturbations, drawn at random. So a
direction that all profiles share, and k itself, are in the null as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import flags, rows_of_each
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import CONTROL, GUIDE, PERTURBATION

BETWEEN, LEFT_OUT = "between guides", "left-out guide"
COLUMNS = ("space", "metric", PERTURBATION, GUIDE, "value", "chance", "percentile", "n")
Values = NDArray[np.float64]


def guide_agreement(
    guides: AnnData, *, spaces: Sequence[str] | None = None, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """How well the guides of each perturbation agree.

    Args:
        guides: Guide profiles seen from the controls, of ``profile(cells, by="guide")``.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        draws: Sets of guides in the null, for each number of guides that a perturbation has.
        seed: Of the draws.

    Returns:
        Columns space, metric, perturbation, guide, value, chance, percentile, n. Of each perturbation with two guides
        or more, one row "between guides" (guide is empty) and a row "left-out guide" for each guide. ``chance`` is
        the mean of the null, ``percentile`` the share of it below the value, ties counting half, 0 to 100; ``n`` the
        number of guides. Control guides, and perturbations with a single guide, have no row.

    Raises:
        BenchmarkError: No guide profiles, no perturbation with two guides, or too few perturbations for a null.
    """
    members = _members(guides)
    most = max(len(rows) for rows in members.values())
    if most > len(members):
        raise BenchmarkError(
            f"The null draws guides of {most} different perturbations, as many as one has guides, and there are "
            f"{len(members)}. More perturbations were needed."
        )
    sets = _drawn_sets(list(members.values()), most, draws, np.random.default_rng(seed))
    judged = {name: rows for name, rows in members.items() if len(rows) > 1}
    names = guides.obs[GUIDE].astype(str).to_numpy()
    rows: list[tuple[object, ...]] = []
    for space in chosen_spaces(guides, spaces):
        profiles = embedding(guides, space)
        null = {k: _statistics(profiles[sets[:, :k]]) for k in sorted({len(own) for own in judged.values()})}
        for perturbation, own in judged.items():
            between, left_out = _statistics(profiles[own][None])
            nulls = null[len(own)]
            found = [(BETWEEN, "", between[0], nulls[0])]
            found += [(LEFT_OUT, names[guide], left_out[0, i], nulls[1][:, 0]) for i, guide in enumerate(own)]
            rows += [
                (space, metric, perturbation, guide, value, chance.mean(), _percentile(value, chance), len(own))
                for metric, guide, value, chance in found
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _members(guides: AnnData) -> dict[str, NDArray[np.intp]]:
    """Perturbation -> rows of its guides; controls left out."""
    if missing := [name for name in (GUIDE, PERTURBATION, CONTROL) if name not in guides.obs]:
        raise BenchmarkError(f"The profiles lack {', '.join(missing)} in obs. Give profile(cells, by='guide').")
    names = guides.obs[GUIDE].astype(str)
    if names.duplicated().any():
        raise BenchmarkError(
            f"{first_few(sorted(set(names[names.duplicated()])))}: guides with several rows, which are cells, or "
            "batches. Give profile(cells, by='guide')."
        )
    found = rows_of_each(guides.obs[PERTURBATION], ~flags(guides.obs[CONTROL]))
    if all(len(rows) < 2 for rows in found.values()):
        raise BenchmarkError(
            f"None of the {len(found):,} perturbations has two guides, so no guides can agree. Give guide profiles of "
            "a screen with several guides a perturbation."
        )
    return found


def _drawn_sets(
    members: Sequence[NDArray[np.intp]], size: int, draws: int, random: np.random.Generator
) -> NDArray[np.intp]:
    """(draws, size) rows of guides, no two in a set of one perturbation."""
    sets = np.empty((draws, size), dtype=np.intp)
    for one in sets:
        chosen = random.choice(len(members), size, replace=False)
        one[:] = [members[p][random.integers(len(members[p]))] for p in chosen]
    return sets


def _statistics(profiles: Values) -> tuple[Values, Values]:
    """Mean cosine over pairs (D,), and of each guide with the mean of the others (D, k), of sets (D, k, F)."""
    k = profiles.shape[1]
    unit = _unit(profiles)
    gram = np.einsum("dkf,djf->dkj", unit, unit)
    between = (gram.sum(axis=(1, 2)) - np.einsum("dkk->d", gram)) / (k * (k - 1))
    others = profiles.sum(axis=1, keepdims=True) - profiles
    return between, np.einsum("dkf,dkf->dk", unit, _unit(others))


def _unit(vectors: Values) -> Values:
    """Of length 1; a vector of zeros, which is like nothing, stays."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0))


def _percentile(value: float, null: Values) -> float:
    return float(100 * ((null < value).mean() + (null == value).mean() / 2))
