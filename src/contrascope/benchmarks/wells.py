"""Where in its well a cell lies: at the edge or in the centre, by the grid of tiles or by coordinates.

By the grid a tile is at the edge when it is the first or last of its row or of its column, and as many tiles nearest
the middle are central. By coordinates the outermost quarter of a well's cells is the edge and the innermost quarter
the centre. Both hold for square and for round wells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrascope.vocabulary import BATCH, PLATE, TILE_COLUMN, TILE_ROW, WELL

Labels = NDArray[np.intp]
QUARTER = 0.25
"""Share of a well's cells that are its edge, and that are its centre."""


def label_by_grid(obs: pd.DataFrame) -> Labels:
    """(N,) 1 for cells of edge tiles, 0 for those of central ones, -1 for all others."""
    label = np.full(len(obs), -1)
    place = obs[[TILE_ROW, TILE_COLUMN]].to_numpy(dtype=float)
    for inside in _together(obs, [BATCH]):
        placed = inside[np.isfinite(place[inside]).all(axis=1)]
        tiles, tile_of = np.unique(place[placed], axis=0, return_inverse=True)
        label[placed] = edge_or_central(tiles)[tile_of.ravel()]
    return label


def label_by_position(obs: pd.DataFrame, columns: Sequence[str]) -> Labels:
    """(N,) 1 for the outermost quarter of a well's cells, 0 for the innermost, -1 for all others.

    Args:
        columns: One: distance from the well's centre. Two: coordinates, whose midpoint in the well is its centre.
            Cells without a number there are -1.
    """
    label = np.full(len(obs), -1)
    place = obs[list(columns)].to_numpy(dtype=float)
    # Coordinates of two wells may have nothing to do with each other, where one batch holds both.
    well = [PLATE, WELL] if PLATE in obs and WELL in obs else [BATCH]
    for inside in _together(obs, well):
        placed = inside[np.isfinite(place[inside]).all(axis=1)]
        label[placed] = inner_or_outer(place[placed])
    return label


def edge_or_central(tiles: NDArray[np.float64]) -> Labels:
    """1 for tiles at the edge of a well, 0 for as many central ones (fewer if there are no more), -1 between.

    Args:
        tiles: (T, 2), row and column of each tile of one well.
    """
    edge = np.zeros(len(tiles), dtype=bool)
    for along, across in ((0, 1), (1, 0)):
        for line in np.unique(tiles[:, along]):
            on_line = np.flatnonzero(tiles[:, along] == line)
            edge[on_line[[tiles[on_line, across].argmin(), tiles[on_line, across].argmax()]]] = True
    label = np.where(edge, 1, -1)
    order = np.argsort(_from_centre(tiles), kind="stable")
    label[order[~edge[order]][: edge.sum()]] = 0
    return label


def inner_or_outer(place: NDArray[np.float64]) -> Labels:
    """1 for the outermost quarter of the cells of one well, 0 for the innermost, -1 between.

    Args:
        place: (M, 1) distance from the centre, or (M, 2) coordinates.
    """
    distance = place[:, 0] if place.shape[1] == 1 else _from_centre(place)
    if len(distance) == 0:
        return np.full(0, -1)
    inner, outer = np.quantile(distance, [QUARTER, 1 - QUARTER])
    if inner == outer:
        return np.full(len(distance), -1)
    return np.where(distance >= outer, 1, np.where(distance <= inner, 0, -1))


def _from_centre(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the midpoint of the extremes, which cells spread unevenly do not move."""
    middle = (place.min(axis=0) + place.max(axis=0)) / 2 if len(place) else 0.0
    distance: NDArray[np.float64] = np.linalg.norm(place - middle, axis=1)
    return distance


def _together(obs: pd.DataFrame, columns: list[str]) -> Iterable[NDArray[np.intp]]:
    """Rows of the cells that agree in all of these columns."""
    return [np.asarray(rows) for rows in obs.groupby(columns, observed=True).indices.values()]
