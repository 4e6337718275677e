"""Sizes of effects: planted ones are found, whatever the units of a space."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.errors import BenchmarkError
from contrascope.profiles import salient_share


def planted(background: dict[str, float], salient: dict[str, float], *, unit: float = 1.0) -> AnnData:
    """Twenty cells a perturbation, moved so far along the first axis of each space; controls at (5, 5)."""
    names = ["nt", *background]
    label = np.repeat(names, 20)
    noise = np.tile([-1.0, 1.0], 10 * len(names))  # cancels in every mean
    spaces = {}
    for space, moved in (("background", background), ("salient", salient)):
        x = np.full((len(label), 2), 5.0)
        x[:, 0] += [moved.get(name, 0.0) for name in label]
        x[:, 1] += noise
        spaces[space] = x * (unit if space == "salient" else 1.0)
    obs = pd.DataFrame(
        {"guide": label, "perturbation": label, "control": label == "nt"}, index=map(str, range(len(label)))
    )
    return AnnData(obs=obs, obsm=spaces)


def test_norms_and_shares_are_those_planted() -> None:
    table = salient_share(planted({"a": 1.0, "b": 3.0, "c": 2.0}, {"a": 3.0, "b": 1.0, "c": 2.0}))
    assert list(table.index) == ["a", "b", "c"]
    np.testing.assert_allclose(table["background norm"], [0.5, 1.5, 1.0])
    np.testing.assert_allclose(table["salient norm"], [1.5, 0.5, 1.0])
    np.testing.assert_allclose(table["salient share"], [0.9, 0.1, 0.5])


def test_the_unit_of_a_space_makes_no_difference() -> None:
    moved = ({"a": 1.0, "b": 3.0}, {"a": 3.0, "b": 1.0})
    pd.testing.assert_frame_equal(salient_share(planted(*moved)), salient_share(planted(*moved, unit=100.0)))


def test_one_space_has_no_shares() -> None:
    cells = planted({"a": 1.0}, {"a": 1.0})
    del cells.obsm["salient"]
    with pytest.raises(BenchmarkError, match="obsm has no salient"):
        salient_share(cells)
