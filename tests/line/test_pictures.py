"""Pictures show perturbations, the strongest first, however few there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.line.pictures import SHOWN_PERTURBATIONS, farthest


def _profiles(count: int) -> AnnData:
    names = ["nt", *(f"G{k}" for k in range(count))]
    obs = pd.DataFrame({"perturbation": names, "control": [name == "nt" for name in names]}, index=names)
    return AnnData(obs=obs, obsm={"salient": np.arange(count + 1, dtype=float)[:, None]})


def test_the_farthest_come_first_and_only_some_of_many() -> None:
    assert farthest(_profiles(12)) == [f"G{k}" for k in range(11, 11 - SHOWN_PERTURBATIONS, -1)]


def test_of_few_perturbations_all_are_shown_and_no_control() -> None:
    assert farthest(_profiles(1)) == ["G0"]
    assert farthest(_profiles(3)) == ["G2", "G1", "G0"]
