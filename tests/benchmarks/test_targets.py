"""Which cells are asked what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from contrascope.benchmarks.targets import Classes, NotComputable, Numbers, column_target, field_target, tiles_of

ALL = np.arange(400)


def asked(values: Any, **options: Any) -> Classes | Numbers:
    return column_target(pd.DataFrame({"column": values}), ALL, max_cells=400, column="column", **options)


def test_numbers_are_classes_until_there_are_many_of_them() -> None:
    few = asked(np.arange(400) % 20)
    assert isinstance(few, Classes)
    assert few.problems[0][1].max() == 19
    many = asked(np.arange(400) % 21)
    assert isinstance(many, Numbers)
    np.testing.assert_array_equal(many.values, np.arange(400) % 21)


@pytest.mark.parametrize(
    "values",
    [
        pd.Categorical((np.arange(400) % 2).astype(str), categories=["0", "1", "unused"]),
        pd.Series(np.arange(400) % 2 == 0),
        pd.array(np.arange(400) % 2, dtype="Int64"),
        pd.Series(np.where(np.arange(400) % 2, "a", "b")),
        pd.Series([1 if i % 2 else "a" for i in range(400)], dtype=object),
    ],
    ids=["unused category", "bool", "nullable", "texts", "mixed"],
)
def test_columns_of_every_kind_have_two_classes(values: Any) -> None:
    found = asked(values)
    assert isinstance(found, Classes)
    assert np.bincount(found.problems[0][1]).tolist() == [200, 200]


def test_cells_without_a_value_are_not_asked() -> None:
    values = np.arange(400.0)
    values[:50], values[50:60] = np.nan, np.inf
    found = asked(values)
    assert isinstance(found, Numbers)
    np.testing.assert_array_equal(found.rows, ALL[60:])
    nullable = asked(pd.array([None if i < 50 else i for i in range(400)], dtype="Int64"))
    assert isinstance(nullable, Numbers)
    assert len(nullable.rows) == 350


def test_what_cannot_be_asked_says_why() -> None:
    few = np.full(400, np.nan)
    few[:30] = np.arange(30)
    for values, words in (
        (few, "several in 40"),
        (np.arange(400) * 1j, "complex"),
        (np.full(400, np.nan), "no column"),
        (np.full(400, "a"), "1 value"),
    ):
        with pytest.raises(NotComputable, match=words):
            asked(values)
    obs = pd.DataFrame({"batch": "a", "field_distance": ["far"] * 400})
    with pytest.raises(NotComputable, match="field_distance holds no numbers, but 'far'"):
        field_target(obs, ALL, max_cells=400)


def test_a_tile_is_one_of_its_well_and_cells_without_tile_stand_alone() -> None:
    obs = pd.DataFrame({"plate": "1", "well": ["A1", "A1", "A2", "A2", "A2"], "tile": ["0", "0", "0", None, None]})
    tiles = tiles_of(obs)
    assert tiles is not None
    assert tiles[0] == tiles[1]
    assert len(set(tiles)) == 4
    assert tiles_of(obs.drop(columns="tile")) is None
    grid = tiles_of(pd.DataFrame({"batch": ["a", "a", "b"], "tile_row": [0, 0, 0], "tile_column": [1, 1, 1]}))
    assert grid is not None
    assert grid[0] == grid[1] != grid[2]
