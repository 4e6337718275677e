"""Which embeddings a table carries, and each as a matrix.

A space is a key of ``obsm``. ``combined`` is background and salient side by side and is never stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import dense, refuse_unfinite
from contrascope.vocabulary import BACKGROUND, COMBINED, INTENSITY, SALIENT, TECHNICAL, UNTRAINED

OURS = (BACKGROUND, SALIENT, COMBINED, TECHNICAL, UNTRAINED, INTENSITY)


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
        raise BenchmarkError(
            f"There is no space '{first_few(unknown)}' in obsm. Choose among: {first_few(sorted(available), 12)}."
        )
    return wanted


def embedding(data: AnnData, space: str) -> NDArray[np.float64]:
    """A space as a matrix (N, F), float64.

    Raises:
        BenchmarkError: Some entries are NaN or infinite.
    """
    if space == COMBINED and COMBINED not in data.obsm:
        return np.hstack([embedding(data, BACKGROUND), embedding(data, SALIENT)])
    matrix = dense(data.obsm[space])
    if matrix.ndim != 2:
        raise BenchmarkError(f"obsm['{space}'] has the shape {matrix.shape}; rows of features were needed.")
    refuse_unfinite(matrix, space=space)
    return matrix
