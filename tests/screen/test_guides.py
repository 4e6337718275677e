"""A guide that contradicts itself is told at the door."""

from __future__ import annotations

import polars as pl
import pytest

from contrascope.errors import TableError
from contrascope.screen.guides import refuse_mixed_guides


def _cells(**columns: list[object]) -> pl.DataFrame:
    base = {"guide": ["g1", "g1", "g2"], "perturbation": ["A", "A", "nt"], "control": [False, False, True]}
    return pl.DataFrame(base | columns)


def test_a_guide_of_one_perturbation_is_taken() -> None:
    refuse_mixed_guides(_cells(), where="cells.csv")
    refuse_mixed_guides(_cells().cast({"guide": pl.Categorical, "perturbation": pl.Categorical}), where="cells.csv")


def test_a_guide_of_two_perturbations_is_named_with_a_way_out() -> None:
    with pytest.raises(TableError, match=r"1 guides of cells.csv have more than one perturbation: g1.*no guides"):
        refuse_mixed_guides(_cells(perturbation=["A", "B", "nt"]), where="cells.csv")


def test_a_guide_that_is_control_in_part_is_named() -> None:
    with pytest.raises(TableError, match="control flag: g1"):
        refuse_mixed_guides(_cells(control=[False, True, True]), where="cells.csv")


def test_cells_without_a_guide_are_no_contradiction() -> None:
    refuse_mixed_guides(_cells(guide=[None, None, "g2"], perturbation=["A", "B", "nt"]), where="cells.csv")
