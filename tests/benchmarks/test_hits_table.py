"""The table of hits, in its order and beside its chance, on tables of which all is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.benchmarks.hits_table import EXTRA, headline, in_columns, is_perturbation, ranked, with_q_values
from contrascope.benchmarks.result import COLUMNS

ENERGY = "energy distance"


def table(p: list[float], *, space: str = "salient", guides: int = 4, controls: int = 12) -> pd.DataFrame:
    """Perturbations with these p-values, of either kind alike; then two control guides."""
    rows = [
        {"space": space, "metric": ENERGY, "perturbation": f"G{i}", "effect": -value, "p_cells": value}
        | {"p_guides": value, "n_guides": guides, "n_control_guides": controls}
        for i, value in enumerate(p)
    ]
    rows += [
        {"space": space, "metric": "control guide", "perturbation": f"nt{i}", "effect": 9, "p_cells": (0.01, 0.5)[i]}
        for i in range(2)
    ]
    return in_columns([pd.DataFrame(rows)])


def test_a_table_has_all_its_columns_whatever_was_found() -> None:
    found = table([0.5])
    assert set(found.columns) == {*COLUMNS, *EXTRA}
    assert found["map"].isna().all()
    assert is_perturbation(found).tolist() == [True, False, False]


@given(effects=st.lists(st.sampled_from([-1.0, 0.0, 0.5, 3.0]), min_size=1, max_size=8))
def test_the_largest_effect_is_the_first_and_control_guides_stand_below_without_rank(effects: list[float]) -> None:
    rows = table([0.5] * len(effects)).assign(effect=[*effects, 9.0, 8.0]).sample(frac=1, random_state=0)
    found = ranked(rows)
    names = sorted(range(len(effects)), key=lambda i: (-effects[i], f"G{i}"))
    assert found["perturbation"].tolist() == [*(f"G{i}" for i in names), "nt0", "nt1"]
    assert found["rank"].iloc[:-2].tolist() == list(range(1, len(effects) + 1))
    assert found["rank"].iloc[-2:].isna().all()


def by_hand(p: list[float]) -> list[float]:
    """Benjamini and Hochberg: of all p at least as large, the least p K / rank."""
    rank = {value: sum(other <= value for other in p) for value in p}
    return [min(other * len(p) / rank[other] for other in p if other >= value) for value in p]


@settings(max_examples=40)
@given(
    p=st.lists(st.integers(1, 100).map(lambda i: i / 100), min_size=1, max_size=12),
    other=st.lists(st.integers(1, 100).map(lambda i: i / 100), min_size=1, max_size=12),
)
def test_q_is_benjamini_hochberg_over_the_perturbations_of_each_space(p: list[float], other: list[float]) -> None:
    both = pd.concat([table([*p, np.nan]), table(other, space="background")], ignore_index=True)
    found = with_q_values(both)
    for space, values in (("salient", p), ("background", other)):
        here = found[(found["space"] == space) & is_perturbation(found) & found["p_cells"].notna()]
        np.testing.assert_allclose(here["q_cells"], by_hand(values))
    assert found.loc[~is_perturbation(found), "q_cells"].isna().all()
    assert np.isnan(found["q_cells"].iloc[len(p)]), "what was not compared is not counted"
    assert found["q_map"].isna().all()


def shares(found: pd.DataFrame, level: float = 0.05, permutations: int = 99) -> pd.DataFrame:
    said = headline(with_q_values(found), level=level, permutations=permutations)
    assert list(said.columns) == list(COLUMNS)
    return said.set_index("metric")


def test_shares_are_those_of_the_rows_and_a_p_of_the_level_counts() -> None:
    said = shares(table([0.01, 0.05, 0.06, 1.0]))
    assert said.loc["share with p <= 0.05, cells permuted", ["value", "n"]].tolist() == [0.5, 4]
    assert said.loc["share with q <= 0.05, cells permuted", "value"] == 0.25
    assert said.loc["control guides with p <= 0.05, cells permuted", ["value", "n"]].tolist() == [0.5, 2]
    assert not [metric for metric in said.index if "retrieval" in metric], "what was not asked has no row"


@pytest.mark.parametrize(
    ("permutations", "guides", "controls", "cells", "by_guide"),
    [
        (99, 4, 12, 0.05, 0.05),  # steps of a hundredth
        (19, 4, 12, 0.05, 0.05),
        (18, 4, 12, 0, 0),  # the least p is a nineteenth
        (99, 1, 9, 0.05, 0),  # ten guides: a tenth at least
        (99, 2, 5, 0.05, 1 / 21),  # 21 ways to choose two of seven
    ],
)
def test_chance_is_the_largest_p_that_its_steps_allow(
    permutations: int, guides: int, controls: int, cells: float, by_guide: float
) -> None:
    said = shares(table([0.5] * 3, guides=guides, controls=controls), permutations=permutations)
    assert said.loc["share with p <= 0.05, cells permuted", "chance"] == pytest.approx(cells)
    assert said.loc["share with p <= 0.05, guides permuted", "chance"] == pytest.approx(by_guide)


def test_each_space_has_its_own_rows_and_retrieval_what_rankings_reach() -> None:
    one = table([0.02, 0.2]).assign(p_map=[0.01, 0.3, np.nan, np.nan], map_reach=[0.04, 0.02, np.nan, np.nan])
    said = headline(
        with_q_values(pd.concat([one, table([0.2], space="background")], ignore_index=True)),
        level=0.05,
        permutations=99,
    )
    assert said.groupby("space").size().to_dict() == {"salient": 7, "background": 5}
    row = said.set_index("metric").loc["share with p <= 0.05, retrieval"]
    assert (row["space"], row["value"]) == ("salient", 0.5)
    assert row["chance"] == pytest.approx(0.03)
