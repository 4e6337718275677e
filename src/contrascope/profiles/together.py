"""Several spaces as one, each with equal say.

Put side by side as they are, the space whose numbers are large decides alone: principal components of standardised
features have variances of tens, a latent space of ones. So each is divided by the root of its total variance, the sum
over its features of their variance over cells; together they then have a variance of one a space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError
from contrascope.profiles.spaces import embedding


def together(cells: AnnData, spaces: Sequence[str]) -> NDArray[np.float64]:
    """The spaces side by side, each with a total variance of 1 over the cells.

    Args:
        cells: N cells.
        spaces: Keys of ``obsm`` or ``combined``.

    Returns:
        (N, F), F the features of all spaces, in their order.

    Raises:
        BenchmarkError: There is no such space, or one in which cells do not differ.
    """
    return np.hstack([_of_variance_one(embedding(cells, space), space) for space in spaces])


def _of_variance_one(values: NDArray[np.float64], space: str) -> NDArray[np.float64]:
    total = values.var(axis=0).sum()
    if not total > 0:
        raise BenchmarkError(f"All cells are alike in {space}: it has no variance to be scaled by. Leave it out.")
    scaled: NDArray[np.float64] = values / np.sqrt(total)
    return scaled
