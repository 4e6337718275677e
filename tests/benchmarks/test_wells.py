"""The edge and the centre of a well: by its tiles, and by coordinates."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from contrascope.benchmarks.wells import edge_or_central, inner_or_outer, label_by_grid, label_by_position


def test_a_square_well_has_its_rim_as_edge_and_the_middle_as_centre() -> None:
    tiles = np.array([(r, c) for r in range(8) for c in range(8)], dtype=float)
    label = edge_or_central(tiles).reshape(8, 8)
    rim = np.ones((8, 8), dtype=bool)
    rim[1:-1, 1:-1] = False
    assert (label[rim] == 1).all()
    assert (label == 0).sum() == rim.sum()
    assert (label[3:5, 3:5] == 0).all()
    assert label[1, 1] == -1


def test_a_round_well_has_an_edge_all_around_and_a_hole_is_none() -> None:
    tiles = np.array([(r, c) for r in range(9) for c in range(9) if (r - 4) ** 2 + (c - 4) ** 2 <= 17], dtype=float)
    tiles = tiles[~(tiles == (4, 3)).all(axis=1)]
    edge = {tuple(tile) for tile in tiles[edge_or_central(tiles) == 1]}
    assert {(0, 4), (4, 0), (1, 2), (7, 6)} <= edge
    assert not {(4, 2), (4, 4), (3, 3), (5, 3)} & edge


def test_the_outermost_quarter_of_a_round_well_is_its_edge_wherever_the_well_lies() -> None:
    random = np.random.default_rng(0)
    radius, angle = np.sqrt(random.random(4000)), 2 * np.pi * random.random(4000)
    disc = np.column_stack([radius * np.sin(angle), radius * np.cos(angle)])
    for place in (disc, 5000 * disc + [1e6, -300]):
        label = inner_or_outer(place)
        assert (label == 1).sum() == (label == 0).sum() == 1000
        assert radius[label == 1].min() > 0.84  # a quarter of the area lies beyond sqrt(.75) = .866
        assert radius[label == 0].max() < 0.53


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_a_cell_at_the_edge_is_farther_out_than_any_in_the_centre(distances: list[float]) -> None:
    distance = np.array(distances)
    label = inner_or_outer(distance[:, None])
    if (label >= 0).any():
        assert distance[label == 1].min() > distance[label == 0].max()
    else:
        assert np.subtract(*np.quantile(distance, [0.75, 0.25])) == 0


def test_cells_without_a_place_are_neither() -> None:
    obs = pd.DataFrame({"batch": "a", "tile_row": [0, 1, 2, np.nan], "tile_column": 0.0, "r": [0, 1, 2, np.nan]})
    assert label_by_grid(obs)[3] == -1
    assert label_by_position(obs, ["r"]).tolist() == [0, -1, 1, -1]


def test_each_well_of_a_batch_has_its_own_centre() -> None:
    y = np.tile(np.arange(101.0), 2)
    obs = pd.DataFrame({"batch": "a", "plate": "1", "well": np.repeat(["A1", "A2"], 101), "y": y, "x": 0.0})
    obs.loc[101:, "y"] += 5000
    label = label_by_position(obs, ["y", "x"]).reshape(2, 101)
    np.testing.assert_array_equal(label[0], label[1])
    assert label[0, 50] == 0
    assert label[0, 0] == label[0, 100] == 1
