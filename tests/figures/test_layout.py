"""Where tiles and wells stand on maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.figures.layout import layout_of, lie_on_a_plate


def frame(wells: list[str], tiles: int = 1) -> pd.DataFrame:
    rows = [("P1", well, str(tile)) for well in wells for tile in range(tiles)]
    return pd.DataFrame(rows, columns=["plate", "well", "tile"])


def test_a_well_stands_in_its_row_and_column() -> None:
    layout = layout_of(frame([f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13)]))
    assert layout.shape == (8, 12)
    assert layout.place.tolist() == [[row, column] for row in range(8) for column in range(12)]
    assert (layout.rows["C"], layout.columns["11"]) == (2, 10)
    assert not layout.by_number


def test_names_that_say_no_place_are_told_from_those_that_do() -> None:
    assert lie_on_a_plate(["A01", "A02", "B01"])
    assert lie_on_a_plate(["AA12", "AB12"])
    assert not lie_on_a_plate(["A01", "control"])
    assert not lie_on_a_plate(["1", "2"])
    assert not lie_on_a_plate(["A01", "H12"])  # nearly all of the map would be blank


def test_the_rows_of_a_plate_of_1536_follow_z() -> None:
    layout = layout_of(frame(["Y01", "Z01", "AA01", "AB01"]))
    assert layout.rows == {"Y": 0, "Z": 1, "AA": 2, "AB": 3}


def test_tiles_stand_in_their_grid_if_it_is_known() -> None:
    tiles = frame(["A01", "A02"], 6).assign(tile_row=[5, 5, 5, 6, 6, 6] * 2, tile_column=[1, 2, 3, 3, 2, 1] * 2)
    layout = layout_of(tiles)
    assert layout.shape == (2, 7)
    assert layout.place[:6].tolist() == [[0, 0], [0, 1], [0, 2], [1, 2], [1, 1], [1, 0]]
    assert layout.place[6].tolist() == [0, 4]
    assert not layout.by_number


def test_a_tile_of_unknown_place_is_not_drawn_anywhere() -> None:
    layout = layout_of(frame(["A01"], 4).assign(tile_row=[0, 0, 1, np.nan], tile_column=[0, 1, 0, np.nan]))
    assert layout.place.tolist() == [[0, 0], [0, 1], [1, 0], [-1, -1]]


def test_positions_that_are_no_grid_are_not_taken_for_one() -> None:
    for row, column in (
        ([0, 0, 0, 0], [0, 0, 1, 1]),
        ([0, 900, 1800, 2700], [0, 7, 900, 4]),
        ([0.5] * 4, [0, 1, 2, 3]),
    ):
        layout = layout_of(frame(["A01"], 4).assign(tile_row=row, tile_column=column))
        assert layout.by_number
        assert layout.shape == (2, 2)


def test_tiles_are_in_the_order_of_their_numbers_not_of_their_letters() -> None:
    tiles = frame(["A01"], 12)
    shuffled = tiles.sample(frac=1, random_state=0)
    place = layout_of(shuffled).place
    order = np.lexsort(place.T[::-1])
    assert shuffled["tile"].to_numpy()[order].tolist() == [str(number) for number in range(12)]


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=60, unique=True), st.integers(1, 9))
def test_no_two_tiles_share_a_place_whatever_their_wells_are_called(wells: list[str], tiles: int) -> None:
    layout = layout_of(frame(wells, tiles))
    places = {tuple(place) for place in layout.place.tolist()}
    assert len(places) == len(wells) * tiles
    assert all(0 <= y < layout.shape[0] and 0 <= x < layout.shape[1] for y, x in places)
