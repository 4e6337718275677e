"""A guide's effect is told in multiples of what a guide has that does nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.profiles.agreement import guide_agreement
from contrascope.profiles.guides import guide_table
from contrascope.profiles.normalize import centred


def _guides() -> AnnData:
    obs = pd.DataFrame(
        {
            "guide": [f"g{i}" for i in range(7)],
            "perturbation": ["none"] * 3 + ["a", "a", "b", "b"],
            "control": [True] * 3 + [False] * 4,
            "n_cells": range(10, 17),
        }
    )
    obs.index = obs["guide"].to_numpy()
    values = np.array([[1.0, 0], [0, 2], [0, 4], [6, 0], [8, 0], [0, 2], [2, 0]])
    return AnnData(obs=obs, obsm={"salient": values})


def test_effects_are_in_multiples_of_the_median_control_guide() -> None:
    table = guide_table(_guides(), pd.DataFrame(), space="salient")
    np.testing.assert_allclose(table["effect"], [2, 8 / 3, 2 / 3, 2 / 3])
    assert table["cells"].tolist() == [13, 14, 15, 16] and table["cosine"].isna().all()


def test_a_guide_that_does_nothing_is_as_far_as_a_control_guide() -> None:
    generator, effects = np.random.default_rng(0), []
    for _ in range(200):
        values = generator.standard_normal((9, 40))
        obs = pd.DataFrame({"guide": range(9), "perturbation": "x", "control": np.arange(9) < 3, "n_cells": 100})
        guides = centred(AnnData(obs=obs.set_index(obs["guide"].astype(str)), obsm={"salient": values}))
        effects += guide_table(guides, pd.DataFrame(), space="salient")["effect"].tolist()
    assert abs(np.mean(effects) - 1) < 0.08


def test_the_cosine_is_that_with_the_other_guides() -> None:
    agreement = guide_agreement(_guides(), draws=10)
    table = guide_table(_guides(), agreement, space="salient").set_index("guide")
    np.testing.assert_allclose(table["cosine"], [1, 1, 0, 0], atol=1e-12)
