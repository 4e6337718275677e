"""Spaces put together have equal say, whatever their units and their number of features."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

from contrascope.errors import BenchmarkError
from contrascope.profiles.together import together


def _cells(scale: float = 1.0) -> AnnData:
    generator = np.random.default_rng(0)
    cells = AnnData(obs={"cell": np.arange(50).astype(str)})
    cells.obsm["salient"] = generator.normal(size=(50, 3))
    cells.obsm["cellprofiler"] = scale * generator.normal(size=(50, 8))
    return cells


def test_every_space_has_a_share_of_the_squared_distances_that_is_the_same() -> None:
    both = together(_cells(scale=30.0), ["salient", "cellprofiler"])
    shares = [np.mean([((a - b) ** 2).sum() for a in part for b in part]) for part in (both[:, :3], both[:, 3:])]
    assert shares == pytest.approx([2.0, 2.0])  # twice the total variance


@given(scale=st.floats(1e-3, 1e3))
def test_units_of_a_space_do_not_count(scale: float) -> None:
    spaces = ["salient", "cellprofiler"]
    assert np.allclose(together(_cells(scale), spaces), together(_cells(), spaces))


def test_a_space_in_which_all_cells_are_alike_is_refused() -> None:
    cells = _cells()
    cells.obsm["flat"] = np.ones((50, 2))
    with pytest.raises(BenchmarkError, match="alike in flat"):
        together(cells, ["salient", "flat"])
