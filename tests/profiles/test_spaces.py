"""Which embeddings a table carries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.errors import BenchmarkError
from contrascope.profiles.spaces import chosen_spaces, embedding


def data(*spaces: str) -> AnnData:
    random = np.random.default_rng(0)
    return AnnData(obs=pd.DataFrame(index=list("ABCDEF")), obsm={space: random.normal(size=(6, 3)) for space in spaces})


def test_known_spaces_come_in_one_order_and_combined_needs_both() -> None:
    assert chosen_spaces(data("intensity", "salient", "background", "X_pca"), None) == [
        "background", "salient", "combined", "intensity",
    ]  # fmt: skip
    assert chosen_spaces(data("background"), None) == ["background"]
    assert chosen_spaces(data("X_cellprofiler"), None) == ["X_cellprofiler"]
    both = data("background", "salient")
    np.testing.assert_array_equal(
        embedding(both, "combined"), np.hstack([both.obsm["background"], both.obsm["salient"]])
    )


def test_embeddings_that_are_missing_or_not_finite_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="obsm is empty"):
        chosen_spaces(data(), None)
    with pytest.raises(BenchmarkError, match="no space 'combined'"):
        chosen_spaces(data("salient"), ["combined"])
    broken = data("salient")
    broken.obsm["salient"][2, 0] = np.inf
    with pytest.raises(BenchmarkError, match="in 1 of 6 rows"):
        embedding(broken, "salient")
