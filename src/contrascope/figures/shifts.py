"""Shifts of channels against the reference channel, a point a tile."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from contrascope.figures.style import CATEGORIES, PALE, grid_of_axes, styled


@styled
def channel_shifts(shifts: Mapping[str, NDArray[np.float64]]) -> Figure:
    """One panel a channel.

    Args:
        shifts: Channel -> (T, 2), (dy, dx) of each tile in pixels.
    """
    reach = max(1.0, *(float(np.abs(values).max()) for values in shifts.values())) * 1.1
    figure, panels = grid_of_axes(len(shifts), height=2.2)
    for axes, (name, values) in zip(panels, shifts.items(), strict=True):
        axes.axhline(0, color=PALE, linewidth=0.8, zorder=0)
        axes.axvline(0, color=PALE, linewidth=0.8, zorder=0)
        axes.scatter(values[:, 1], values[:, 0], s=8, color=CATEGORIES[0], alpha=0.7, linewidths=0)
        axes.set(title=name, xlim=(-reach, reach), ylim=(reach, -reach), xlabel="columns (px)", ylabel="rows (px)")
        axes.set_box_aspect(1)
    return figure
