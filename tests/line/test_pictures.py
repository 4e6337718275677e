"""Pictures show perturbations, the strongest first, however few there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.line.pictures import SHOWN_PERTURBATIONS, farthest, telling_cells


def _profiles(count: int) -> AnnData:
    names = ["nt", *(f"G{k}" for k in range(count))]
    obs = pd.DataFrame({"perturbation": names, "control": [name == "nt" for name in names]}, index=names)
    return AnnData(obs=obs, obsm={"salient": np.arange(count + 1, dtype=float)[:, None]})


def test_the_farthest_come_first_and_only_some_of_many() -> None:
    assert farthest(_profiles(12)) == [f"G{k}" for k in range(11, 11 - SHOWN_PERTURBATIONS, -1)]


def test_of_few_perturbations_all_are_shown_and_no_control() -> None:
    assert farthest(_profiles(1)) == ["G0"]
    assert farthest(_profiles(3)) == ["G2", "G1", "G0"]


def test_where_few_cells_answer_the_cell_that_is_shown_is_one_of_them() -> None:
    random, n = np.random.default_rng(0), 400
    label, answers = np.repeat(["nt", "MOSAIC", "NOTHING"], n), np.zeros(3 * n, dtype=bool)
    answers[n : n + 100] = True  # a quarter of one perturbation's cells; its mean lies where none is
    salient = random.normal(size=(3 * n, 4)) + 8.0 * answers[:, None]
    order = random.permutation(3 * n)
    obs = pd.DataFrame({"guide": label, "perturbation": label, "control": label == "nt"}).iloc[order]
    cells = AnnData(obs=obs.set_index(pd.Index([f"c{i}" for i in range(3 * n)])))
    cells.obsm["background"], cells.obsm["salient"] = random.normal(size=(3 * n, 3)), salient[order]
    mosaic, nothing = telling_cells(cells, ["MOSAIC", "NOTHING"])
    assert answers[order][mosaic]
    assert obs["perturbation"].iloc[[mosaic, nothing]].tolist() == ["MOSAIC", "NOTHING"]
