"""The most altered features are those farthest from the controls of the same batch, each meaning told once."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.features.altered import altered_features

NAMES = [
    "Nuclei_AreaShape_Area",
    "Cells_Intensity_MeanIntensity_GFP",
    "Nuclei_AreaShape_Solidity",
    "ours_nobody_knows",
    "Cells_AreaShape_Area",
]


def _measured() -> AnnData:
    random = np.random.default_rng(0)
    names = np.tile(["control", "control", "bright", "calm"], 200)
    batch = np.repeat(["x", "y"], 400)
    values = random.normal(size=(800, 5)) * [2, 1, 1, 1, 1] + np.where(batch == "y", 50, 0)[:, None]
    values[names == "bright"] += [6, -2, 0, 9, 0]
    values[:, 4] = 1
    obs = pd.DataFrame({"guide": names, "perturbation": names, "control": names == "control", "batch": batch})
    obs.index = [str(i) for i in range(800)]
    return AnnData(obs=obs, obsm={"features": pd.DataFrame(values, index=obs.index, columns=NAMES)})


def test_what_is_altered_is_found_whatever_batches_do() -> None:
    table = altered_features(_measured())
    assert set(table["perturbation"]) == {"bright"}
    assert table["feature"].tolist() == NAMES[:2]  # not the one without a meaning, nor the one that does not vary
    np.testing.assert_allclose(table["change"], [3, -2], atol=0.5)
    assert table["gloss"].iloc[0] == "area of the nucleus"


def test_the_change_is_that_of_a_loop() -> None:
    cells = _measured()
    table, values = altered_features(cells).set_index("feature"), cells.obsm["features"][NAMES[0]]
    z = []
    for batch in ("x", "y"):
        own = values[(cells.obs["batch"] == batch) & cells.obs["control"]]
        here = values[(cells.obs["batch"] == batch) & (cells.obs["perturbation"] == "bright")]
        z += ((here - own.mean()) / own.std(ddof=0)).tolist()
    np.testing.assert_allclose(table.loc[NAMES[0], "change"], np.mean(z))


def test_plain_features_come_first_and_each_by_its_compartment() -> None:
    random = np.random.default_rng(0)
    names = ["Nuclei_Correlation_Correlation_DNA_GFP", "Nuclei_Intensity_MeanIntensity_GFP"]
    names += ["Cytoplasm_Intensity_MeanIntensity_GFP", "Nuclei_AreaShape_Eccentricity", "Nuclei_AreaShape_Solidity"]
    labels = np.tile(["control", "drug"], 300)
    values = random.normal(size=(600, 5)) + (labels == "drug")[:, None] * np.array([4, 1, -1, 0.5, 3])
    obs = pd.DataFrame({"guide": labels, "perturbation": labels, "control": labels == "control"})
    obs.index = [str(i) for i in range(600)]
    cells = AnnData(obs=obs, obsm={"features": pd.DataFrame(values, index=obs.index, columns=names)})
    found = altered_features(cells)["feature"].tolist()
    assert set(found[:2]) == set(names[1:3])  # not the third plain one, which is altered less
    assert found[2:4] == [names[0], names[4]]
    assert altered_features(cells, count=1)["feature"].tolist() == found[:1]
