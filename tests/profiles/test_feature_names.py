"""Names of features, wherever they are kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.errors import BenchmarkError
from contrascope.profiles.feature_names import feature_names


def cells(**spaces: int) -> AnnData:
    obs = pd.DataFrame(index=list("ABC"))
    return AnnData(obs=obs, obsm={space: np.zeros((3, width)) for space, width in spaces.items()})


def test_a_data_frame_names_its_features_itself() -> None:
    data = cells()
    data.obsm["cellprofiler"] = pd.DataFrame(np.zeros((3, 2)), index=data.obs_names, columns=["Area", "Texture_3"])
    assert feature_names(data, "cellprofiler") == ["Area", "Texture_3"]


def test_names_beside_the_cells_are_taken_if_they_fit() -> None:
    data = cells(X_cp=2)
    data.uns["contrascope"] = {"features": {"X_cp": np.array(["Area", "Solidity"], dtype=object)}}
    assert feature_names(data, "X_cp") == ["Area", "Solidity"]
    data.uns["contrascope"]["features"]["X_cp"] = ["Area"]
    with pytest.raises(BenchmarkError, match="1 names for 2 features"):
        feature_names(data, "X_cp")


def test_intensities_are_channels_and_statistics() -> None:
    data = cells(intensity=14)
    data.uns["contrascope"] = {"channels": np.array(["DAPI", "GFP"], dtype=object)}
    names = feature_names(data, "intensity")
    assert names[:3] == ["DAPI mean", "DAPI standard deviation", "DAPI percentile 1"]
    assert names[7] == "GFP mean"
    assert names[-1] == "GFP percentile 99"


def test_other_features_have_numbers_and_combined_has_those_of_both_spaces() -> None:
    data = cells(background=2, salient=1)
    assert feature_names(data, "combined") == ["background 1", "background 2", "salient 1"]
