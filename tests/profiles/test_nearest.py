"""The nearest perturbations are those of the largest cosine, controls left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.profiles import nearest
from contrascope.profiles.nearest import nearest_perturbations


def _profiles(count: int) -> AnnData:
    names = [f"P{i}" for i in range(count)]
    values = np.random.default_rng(0).normal(size=(count, 4))
    values[3:4] = 0
    return AnnData(obs=pd.DataFrame({"control": [i == 0 for i in range(count)]}, index=names), obsm={"salient": values})


def test_neighbours_are_those_that_a_loop_finds(monkeypatch) -> None:
    monkeypatch.setattr(nearest, "_AT_ONCE", 4)
    profiles = _profiles(11)
    table = nearest_perturbations(profiles, space="salient", count=3)
    x = profiles.obsm["salient"]
    for i in [i for i in range(1, 11) if i != 3]:
        cosines = {
            f"P{j}": x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j]) for j in range(1, 11) if j not in (3, i)
        }
        expected = sorted(cosines, key=cosines.__getitem__, reverse=True)[:3]
        own = table[table["perturbation"] == f"P{i}"]
        assert own["neighbour"].tolist() == expected and own["place"].tolist() == [1, 2, 3]
        np.testing.assert_allclose(own["cosine"], [cosines[name] for name in expected])


def test_controls_and_profiles_of_zero_are_nobodys_neighbour() -> None:
    table = nearest_perturbations(_profiles(11), space="salient")
    assert not {"P0", "P3"} & {*table["perturbation"], *table["neighbour"]}


def test_a_single_perturbation_has_no_neighbours() -> None:
    assert nearest_perturbations(_profiles(2), space="salient").empty
