"""Which embeddings a table carries, and each as a matrix.

A space is a key of ``obsm``. ``combined`` is background and salient side by side and is never stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import dense, refuse_shapeless, refuse_unfinite
from contrascope.vocabulary import BACKGROUND, CELLPROFILER, COMBINED, INTENSITY, SALIENT, TECHNICAL, UNTRAINED

OURS = (BACKGROUND, SALIENT, COMBINED, TECHNICAL, CELLPROFILER, UNTRAINED, INTENSITY)


def chosen_spaces(data: AnnData, spaces: Sequence[str] | None) -> list[str]:
    """The spaces asked for; else those of ours that are there; else (a foreign embedding) every ``obsm`` key.

    Raises:
        BenchmarkError: A space is asked for that the data do not have, or there is none at all.
    """
    available = list(data.obsm.keys())
    if BACKGROUND in available and SALIENT in available and COMBINED not in available:
        available.append(COMBINED)
    if not available:
        raise BenchmarkError("There is no embedding to judge: obsm is empty. Embed the cells first.")
    if spaces is None:
        return [space for space in OURS if space in available] or available
    wanted = [spaces] if isinstance(spaces, str) else list(dict.fromkeys(spaces))
    unknown = [space for space in wanted if space not in available]
    if unknown or not wanted:
        found = f"There is no space '{first_few(unknown)}' in obsm" if unknown else "spaces names no space"
        raise BenchmarkError(f"{found}. Choose among: {first_few(sorted(available), 12)}.")
    return wanted


def embedding(data: AnnData, space: str) -> NDArray[np.float64]:
    """A space as a matrix (N, F), float64.

    Raises:
        BenchmarkError: It has no features, or some entries are no numbers, NaN, infinite or too large to square.
    """
    if space == COMBINED and COMBINED not in data.obsm:
        return np.hstack([embedding(data, BACKGROUND), embedding(data, SALIENT)])
    refuse_shapeless(data.obsm[space], space=space)
    matrix = dense(data.obsm[space], space=space)
    refuse_unfinite(matrix, space=space)
    return matrix


def constant_note(matrix: NDArray[np.float64], space: str) -> list[str]:
    """A sentence if some features of an embedding (N, F) are the same in all rows; else nothing."""
    constant = int((np.ptp(matrix, axis=0) == 0).sum()) if len(matrix) else 0
    if constant == matrix.shape[1]:
        return [f"{space} is the same in all {len(matrix):,} rows: it can say nothing."]
    return [f"{constant:,} of {matrix.shape[1]:,} features of {space} are the same in all rows."] if constant else []
