"""Dose: position of each well between the controls, dose by dose, one panel a space."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from contrascope.figures.style import GREY, INK, colours, grid_of_axes, label_below, rows_of, styled

LETTERS = 14
"""Of the title, an inch."""
BANDS = {"negative": ("#BFD7EA", "////"), "positive": ("#F6D3B8", "\\\\\\\\")}
"""Colour and hatching of the controls' bands: hatched both ways, they are told apart where they lie over each other."""


@styled
def dose_response(table: pd.DataFrame) -> Figure:
    """Wells as points, the mean of each dose as a line, the test's own controls as bands of one sd.

    The title says which part the axis was fitted on and which is shown. Spaces without a position have no panel.

    Args:
        table: Of the benchmark ``dose``.
    """
    spaces = list(dict.fromkeys(rows_of(table, "position").dropna(subset="value")["space"]))
    figure, panels = grid_of_axes(len(spaces), sharex=True, sharey=True)
    for axes, (space, colour) in zip(panels, colours(spaces).items(), strict=True):
        _panel(axes, table[table["space"] == space], colour)
        axes.set_title(_titled(space, table), fontsize=7.5)
    label_below(panels, "dose")
    figure.supylabel("position: negative 0, positive 1", fontsize=8)
    if {"fit", "test"} <= set(table):
        fit, test = table[["fit", "test"]].iloc[0]
        title = f"Axis fitted on controls of {fit}; measured and shown: {test}"
        figure.suptitle(fill(title, int(LETTERS * figure.get_figwidth())), fontsize=8)
    figure.legend(handles=_keys(), loc="outside lower center", ncols=4 if len(spaces) > 1 else 2)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    wells = rows[rows["metric"] == "position"]
    place = {dose: number for number, dose in enumerate(sorted(wells["dose"].unique()))}
    for role, look in BANDS.items():
        control = wells.loc[wells["role"] == role, "value"]
        if len(control) > 1:
            mean, sd = control.mean(), control.std()
            axes.axhspan(mean - sd, mean + sd, **_band(*look))
        axes.plot(wells.loc[control.index, "dose"].map(place), control, "x", color=GREY, markersize=3.5)
    treated = wells[wells["role"] == "treated"]
    axes.plot(treated["dose"].map(place), treated["value"], "o", color=colour, markersize=3, alpha=0.6, mew=0)
    means = rows[(rows["metric"] == "mean position") & (rows["role"] == "treated")].sort_values("dose")
    axes.plot(means["dose"].map(place), means["value"], "-", color=colour)
    axes.set_xticks(list(place.values()), [f"{dose:g}" for dose in place])
    _thin(axes, len(place))


def _thin(axes: Axes, count: int) -> None:
    """Turn dose labels when they would touch."""
    if count > 6:
        axes.tick_params(axis="x", rotation=60)


def _titled(space: str, table: pd.DataFrame) -> str:
    values = table[table["space"] == space].drop_duplicates("metric").set_index("metric")["value"]
    names = {"Spearman": "ρ", "Z'": "Z'"}
    parts = [f"{name} {values[metric]:.2f}" for metric, name in names.items() if metric in values]
    probed = [f"{name} {values[key]:.2f}" for metric, name in names.items() if (key := f"{metric} by probe") in values]
    title = f"{space}: " + ", ".join(parts) if parts else space
    return title + (f"\nby probe {', '.join(probed)}" if probed else "")


def _band(colour: str, hatch: str) -> dict[str, Any]:
    return {"facecolor": (colour, 0.6), "edgecolor": (INK, 0.25), "hatch": hatch, "linewidth": 0}


def _keys() -> list[Line2D | Patch]:
    return [
        Line2D([], [], color=INK, marker="o", markersize=3, label="treated wells, mean"),
        Line2D([], [], color=GREY, marker="x", linestyle="", markersize=3.5, label="control wells"),
        *(Patch(**_band(*look), label=f"{role} controls ± sd") for role, look in BANDS.items()),
    ]
