"""Typical cells are those nearest to the mean, and no others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.errors import BenchmarkError
from contrascope.profiles.typical import typical_cells


@pytest.fixture
def cells() -> AnnData:
    x = np.array([[0.0], [10.0], [4.0], [100.0], [101.0], [105.0]])
    obs = pd.DataFrame({"perturbation": ["a", "a", "a", "b", "b", "b"]}, index=list("uvwxyz"))
    return AnnData(obs=obs, obsm={"salient": x})


def test_the_nearest_to_the_mean_comes_first(cells: AnnData) -> None:
    a, b = typical_cells(cells, ["a", "b"], space="salient", count=2)
    assert a.tolist() == [2, 0]  # mean 4.67
    assert b.tolist() == [4, 3]  # mean 102


def test_a_perturbation_gives_no_more_cells_than_it_has(cells: AnnData) -> None:
    assert [len(rows) for rows in typical_cells(cells, ["b"], space="salient", count=9)] == [3]


def test_a_perturbation_without_cells_is_named(cells: AnnData) -> None:
    with pytest.raises(BenchmarkError, match="no cells of c"):
        typical_cells(cells, ["c"], space="salient")
