"""Which cells are compared with which controls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contrascope.benchmarks.comparisons import CONTROLS_PER_CELL, cast_of, lost_cells
from contrascope.errors import BenchmarkError


def table(n: int = 1200, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    gene = random.integers(0, 6, n)
    name = np.array(["A", "B", "C", "nt", "nt", "nt"])[gene]
    return pd.DataFrame(
        {
            "perturbation": name,
            "guide": [f"{p}{i}" for p, i in zip(name, random.integers(1, 5, n), strict=True)],
            "control": gene > 2,
            "batch": random.integers(0, 3, n),
        },
        index=[f"cell {i}" for i in range(n)],
    )


def test_cells_meet_controls_of_their_batches_in_the_same_proportion() -> None:
    obs = table()
    cast, _ = cast_of(obs, within="batch", seed=0)
    found = cast.of_perturbation(0, 30)
    assert found is not None and found.n == 30
    cells, controls = obs.iloc[found.rows[found.perturbed]], obs.iloc[found.rows[~found.perturbed]]
    assert (cells["perturbation"] == "A").all() and controls["control"].all()
    assert (controls["batch"].value_counts() == CONTROLS_PER_CELL * cells["batch"].value_counts()).all()
    assert (obs["batch"].iloc[found.rows] == found.batch).all()


def test_a_control_guide_meets_other_control_guides() -> None:
    obs = table()
    cast, _ = cast_of(obs, within="batch", seed=0)
    for guide in cast.control_guides:
        found = cast.of_guide(guide, 20)
        assert found is not None
        own = set(obs["guide"].iloc[found.rows[found.perturbed]])
        others = obs.iloc[found.rows[~found.perturbed]]
        assert len(own) == 1 and not own & set(others["guide"]) and others["control"].all()


def test_the_order_of_rows_and_other_perturbations_do_not_matter() -> None:
    obs = table()
    shuffled = obs.iloc[np.random.default_rng(1).permutation(len(obs))]
    fewer = obs[obs["perturbation"] != "A"]
    chosen = []
    for some in (obs, shuffled, fewer):
        cast, _ = cast_of(some, within="batch", seed=0)
        found = cast.of_perturbation(cast.perturbations.index("B"), 25)
        assert found is not None
        chosen.append(list(some.index[found.rows]))
    assert chosen[0] == chosen[1] == chosen[2]


def test_cells_in_batches_without_controls_are_counted_and_left_out() -> None:
    obs = table()
    obs = obs[(obs["batch"] != 2) | ~obs["control"]]
    cast, _ = cast_of(obs, within="batch", seed=0)
    found = cast.of_perturbation(0, 1000)
    assert found is not None and 2 not in found.batch
    assert next(lost_cells(cast)).startswith(f"{int((obs['batch'] == 2).sum())} of {len(obs):,} cells")


def test_guides_of_one_name_in_two_perturbations_are_two() -> None:
    obs = table().assign(guide="g")
    cast, _ = cast_of(obs, within="batch", seed=0)
    assert cast.guides == ["A/g", "B/g", "C/g", "nt/g"]


def test_what_is_wrong_with_the_labels_is_said() -> None:
    obs = table()
    with pytest.raises(BenchmarkError, match="The cells have perturbation, guide, control"):
        cast_of(obs, within="wall", seed=0)
    with pytest.raises(BenchmarkError, match="'guide'"):
        cast_of(obs.drop(columns="guide"), within="batch", seed=0)
    with pytest.raises(BenchmarkError, match="true or false"):
        cast_of(obs.assign(control=1), within="batch", seed=0)
    with pytest.raises(BenchmarkError, match="0 of 1,200 cells are controls"):
        cast_of(obs.assign(control=False), within="batch", seed=0)
    with pytest.raises(BenchmarkError, match="A: control in some cells"):
        cast_of(obs.assign(control=obs["control"] | (obs["guide"] == "A1")), within="batch", seed=0)
    with pytest.raises(BenchmarkError, match=r"1,200 of 1,200 cells have no guide"):
        cast_of(obs.assign(guide=None), within="batch", seed=0)
    notes = cast_of(obs.set_axis(["one"] * len(obs)), within="batch", seed=0)[1]
    assert "share names" in notes[0]
