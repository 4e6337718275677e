"""Shifts of channels against the reference channel, a point a tile."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from contrascope.figures.style import CATEGORIES, PALE, grid_of_axes, styled


@styled
def channel_shifts(
    shifts: Mapping[str, NDArray[np.float64]], *, stood_in: Mapping[str, NDArray[np.bool_]] | None = None
) -> Figure:
    """One panel a channel; crosses are medians of plates, with the number of tiles for which they stood in.

    Args:
        shifts: Channel -> (T, 2), (dy, dx) of each tile in pixels; NaN for a tile that was not read.
        stood_in: Channel -> (T,) tiles that did not say clearly, for which their plate's median stands.
    """
    known = {name: values[np.isfinite(values).all(axis=1)] for name, values in shifts.items()}
    reach = max(1.0, *(float(np.abs(values).max(initial=0)) for values in known.values())) * 1.1
    figure, panels = grid_of_axes(len(shifts), height=2.2)
    for axes, (name, values) in zip(panels, shifts.items(), strict=True):
        median = np.zeros(len(values), bool) if stood_in is None else stood_in[name]
        axes.axhline(0, color=PALE, linewidth=0.8, zorder=0)
        axes.axvline(0, color=PALE, linewidth=0.8, zorder=0)
        axes.scatter(values[~median, 1], values[~median, 0], s=8, color=CATEGORIES[0], alpha=0.7, linewidths=0)
        _crosses(axes, values[median])
        axes.set(title=name, xlim=(-reach, reach), ylim=(reach, -reach), xlabel="columns (px)", ylabel="rows (px)")
        axes.set_box_aspect(1)
    return figure


def _crosses(axes: Axes, medians: NDArray[np.float64]) -> None:
    places, tiles = np.unique(medians[np.isfinite(medians).all(axis=1)], axis=0, return_counts=True)
    axes.scatter(places[:, 1], places[:, 0], s=36, marker="x", color=CATEGORIES[1], linewidths=1.2)
    for (dy, dx), count in zip(places, tiles, strict=True):
        axes.annotate(
            f"{count:,}", (dx, dy), xytext=(4, 3), textcoords="offset points", fontsize=7, color=CATEGORIES[1]
        )
