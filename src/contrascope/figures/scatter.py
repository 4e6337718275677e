"""Scatter of cells or profiles in two dimensions, coloured by a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from contrascope.figures.style import CATEGORIES, PALE, grid_of_axes, styled

Coordinates = NDArray[np.floating]
HEIGHTS = {1: 2.4, 2: 2.7}
"""Inches of a row of panels by the number of panels; they are square."""


@styled
def umap(
    coordinates: Coordinates | Mapping[str, Coordinates],
    values: Sequence[Any] | NDArray[Any] | pd.Series,
    *,
    label: str,
    top: int = 9,
    grey: str | None = None,
) -> Figure:
    """Points coloured by a category or a number; several sets of coordinates stand side by side.

    Args:
        coordinates: (N, 2), of any unit; or panel title -> (N, 2).
        values: (N,) texts, flags or categories, which get a legend; or numbers, which get a colour bar.
        label: What the values are.
        top: The largest categories that get a colour, at most 10; the others are grey, under one name.
        grey: A category that is grey, however large: what the others are to be seen against.
    """
    panels = coordinates if isinstance(coordinates, Mapping) else {"": coordinates}
    column = pd.Series(values).reset_index(drop=True)
    figure, axes = grid_of_axes(len(panels), columns=2 if len(panels) == 2 else 3, height=HEIGHTS.get(len(panels), 2.0))
    # A fixed shuffle, so that no category lies on top because it comes last.
    order = np.random.default_rng(0).permutation(len(column))
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        _numbers(figure, axes, panels, column.to_numpy(dtype=float), order, label)
    else:
        _categories(figure, axes, panels, column, order, label, top, grey)
    for panel, title in zip(axes, panels, strict=True):
        panel.set(xticks=[], yticks=[], title=title)
        panel.set_box_aspect(1)
        panel.spines[:].set_visible(True)
        panel.spines[:].set_color(PALE)
    return figure


def _numbers(
    figure: Figure,
    axes: list[Axes],
    panels: Mapping[str, Coordinates],
    values: NDArray[np.float64],
    order: NDArray[np.intp],
    label: str,
) -> None:
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [1, 99]) if len(known) else (0.0, 1.0)
    for panel, points in zip(axes, panels.values(), strict=True):
        drawn = _scatter(panel, points[order], c=values[order], cmap="viridis", vmin=low, vmax=high)
    bar = figure.colorbar(drawn, ax=axes, label=label, shrink=0.8, aspect=25, extend="both")
    bar.outline.set_visible(False)


def _categories(
    figure: Figure,
    axes: list[Axes],
    panels: Mapping[str, Coordinates],
    column: pd.Series,
    order: NDArray[np.intp],
    label: str,
    top: int,
    grey: str | None,
) -> None:
    texts = column.astype(object).where(column.notna(), "none").astype(str).to_numpy()
    counts = pd.Series(texts[texts != grey]).value_counts()
    # Equal counts in the order of names, so that the picture does not depend on the order of the rows.
    ranked = sorted(counts.index, key=lambda name: (-counts[name], name))[: min(top, len(CATEGORIES))]
    named = dict(zip(sorted(ranked), CATEGORIES, strict=False))
    colour = np.array([named.get(text, PALE) for text in texts], dtype=object)
    above = order[np.argsort(colour[order] != PALE, kind="stable")]
    for panel, points in zip(axes, panels.values(), strict=True):
        _scatter(panel, points[above], c=list(colour[above]))
    entries = list(named.items())
    if others := len(counts) - len(named):
        entries.append((f"{others:,} others", PALE))
    if grey in texts:
        entries.append((str(grey), PALE))
    keys = [Line2D([], [], linestyle="", marker="o", color=c, label=_short(name)) for name, c in entries]
    figure.legend(handles=keys, title=label, loc="outside right center", alignment="left", handletextpad=0.2)


def _scatter(axes: Axes, points: Coordinates, **options: Any) -> Any:
    """Points that shrink as they get many, as pixels even in an SVG."""
    size = float(np.clip(30_000 / max(len(points), 1), 0.6, 18))
    return axes.scatter(points[:, 0], points[:, 1], s=size, linewidths=0, rasterized=True, **options)


def _short(name: str, limit: int = 22) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"
