"""Where tiles stand on a map of their plate.

Wells stand in rows A, B, ... and columns 1, 2, ..., and within a well its tiles. Where names of wells say no
place, the wells are set out in reading order under their names; where tiles have no known place in the well,
they stand in the order of their numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrascope.vocabulary import PLATE, TILE, TILE_COLUMN, TILE_ROW, WELL

_WELL_NAME = re.compile(r"([A-Z]{1,2})([0-9]{1,2})")
_FILLED = 1 / 3
"""Share of a plate's rectangle that must hold wells; else most of the map would be blank. So for tiles in a well."""
_NAMED_WELLS = 48
"""With more wells their names, where they are no places, would not be legible."""
_Places = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Layout:
    """A map of a plate, the same for all plates of a screen.

    Attributes:
        place: (T, 2) row and column of each tile; -1 where it has no known place.
        shape: Rows and columns of the map.
        rows, columns: Names of well rows and columns, and where they stand; empty where wells have names instead.
        names: Name of a well -> (y, x) above its middle, where its name says no place.
        by_number: Whether the tiles of a well stand in the order of their numbers.
    """

    place: NDArray[np.intp]
    shape: tuple[int, int]
    rows: dict[str, float]
    columns: dict[str, float]
    names: dict[str, tuple[float, float]]
    by_number: bool


def lie_on_a_plate(wells: Sequence[str]) -> bool:
    """Whether the names of wells are places on a plate, such as B07, and fill a good part of it."""
    found = [match for well in set(wells) if (match := _WELL_NAME.fullmatch(well))]
    if not found or len(found) < len(set(wells)):
        return False
    rows, columns = [_row(match[1]) for match in found], [int(match[2]) for match in found]
    return len(found) >= _FILLED * (max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1)


def layout_of(tiles: pd.DataFrame) -> Layout:
    """Where each tile stands.

    Args:
        tiles: T rows: ``plate well``, ``tile`` unless a row is a whole well, ``tile_row tile_column`` if known.
    """
    inside, by_number = _inside_wells(tiles)
    height, width = (int(n) for n in inside.max(axis=0) + 1)
    wells = sorted(set(tiles[WELL]))
    on_plate = len(wells) > 1 and lie_on_a_plate(wells)
    named = not on_plate and 1 < len(wells) <= _NAMED_WELLS
    corner = _on_a_plate(wells) if on_plate else _in_reading_order(wells, height / width)
    gap = 0 if height == width == 1 else max(1, round(0.08 * max(height, width)))
    step = height + (max(1, height // 3) if named else gap), width + (max(1, width // 5) if named else gap)
    of_tile = np.array([corner[well] for well in tiles[WELL]])
    place = np.where((inside < 0).any(axis=1, keepdims=True), -1, of_tile * step + inside)
    down, across = of_tile.max(axis=0)
    middle = (height - 1) / 2, (width - 1) / 2
    parts = [
        (match[1], str(int(match[2])), corner[w]) for w in wells if on_plate and (match := _WELL_NAME.fullmatch(w))
    ]
    return Layout(
        place=place.astype(np.intp),
        shape=(int(down * step[0] + height), int(across * step[1] + width)),
        rows={row: at[0] * step[0] + middle[0] for row, _, at in parts},
        columns={column: at[1] * step[1] + middle[1] for _, column, at in parts},
        names={w: (corner[w][0] * step[0] - 0.6, corner[w][1] * step[1] + middle[1]) for w in wells if named},
        by_number=by_number,
    )


def _inside_wells(tiles: pd.DataFrame) -> tuple[NDArray[np.intp], bool]:
    """(T, 2) row and column of each tile in its well, from 0; and whether they stand by number."""
    if TILE not in tiles.columns:
        return np.zeros((len(tiles), 2), np.intp), False
    most = int(tiles.groupby([PLATE, WELL], observed=True).size().max())
    if TILE_ROW in tiles.columns and TILE_COLUMN in tiles.columns:
        known = _in_grid(tiles, most)
        if known is not None:
            return known, False
    across = math.ceil(math.sqrt(most))
    number = pd.to_numeric(tiles[TILE], errors="coerce")
    order = tiles.assign(number=number, row=range(len(tiles))).set_index("row").sort_values(["number", TILE])
    rank = order.groupby([PLATE, WELL], observed=True).cumcount().sort_index().to_numpy()
    return np.stack([rank // across, rank % across], axis=1), most > 1


def _in_grid(tiles: pd.DataFrame, most: int) -> NDArray[np.intp] | None:
    """(T, 2) places in the grid of tiles, -1 where unknown; None if the columns are no grid."""
    grid = tiles[[TILE_ROW, TILE_COLUMN]].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    known = np.isfinite(grid).all(axis=1)
    if not known.any() or (grid[known] % 1).any():
        return None
    grid = grid - grid[known].min(axis=0)
    extent = grid[known].max(axis=0) + 1
    taken = tiles[[PLATE, WELL]].assign(row=grid[:, 0], column=grid[:, 1])[known]
    if taken.duplicated().any() or most < _FILLED * extent.prod():
        return None
    return np.where(known[:, None], grid, -1).astype(np.intp)


def _on_a_plate(wells: Sequence[str]) -> _Places:
    found = {well: match for well in wells if (match := _WELL_NAME.fullmatch(well))}
    places = {well: (_row(match[1]), int(match[2])) for well, match in found.items()}
    top, left = (min(place[axis] for place in places.values()) for axis in (0, 1))
    return {well: (row - top, column - left) for well, (row, column) in places.items()}


def _in_reading_order(wells: Sequence[str], tallness: float) -> _Places:
    """Wells in rows, so many that the whole is about three wide to two high."""
    across = min(len(wells), max(1, round(math.sqrt(1.5 * tallness * len(wells)))))
    return {well: divmod(number, across) for number, well in enumerate(wells)}


def _row(letters: str) -> int:
    """A -> 0, Z -> 25, AA -> 26."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1
