"""Explained: share of the controls' first component that the top features of each group explain, panel by space."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from contrascope.figures.style import (
    CATEGORIES,
    GREY,
    PAGE,
    PALE,
    columns_of_legend,
    grid_of_axes,
    label_below,
    page,
    rows_of,
    styled,
)

MARKS = "os^Dv<>PX*"


@styled
def explained_curves(table: pd.DataFrame) -> Figure:
    """Curves of groups over the number of features, with random features as a band of 95 %.

    A curve becomes dotted where a group has no more features that differ.

    Args:
        table: Of the benchmark ``explained``.
    """
    table = rows_of(table, "explained share of PC1", "features that differ")
    spaces, groups = list(dict.fromkeys(table["space"])), list(dict.fromkeys(table["group"]))
    figure, panels = grid_of_axes(len(spaces), height=3.0 if len(spaces) == 1 else 2.1, sharex=True, sharey=True)
    for axes, space in zip(panels, spaces, strict=True):
        rows = table[(table["space"] == space) & (table["metric"] == "explained share of PC1")]
        _random(axes, rows)
        for number, group in enumerate(groups):
            _curve(axes, rows[rows["group"] == group], *_look(number))
        if rows.empty:
            axes.text(0.5, 0.5, "no feature differs", transform=axes.transAxes, ha="center", color=GREY)
        axes.set(title=space, ylim=(-0.02, 1.02))
        axes.grid(axis="y")
    label_below(panels, "top features")
    if len(spaces) == 1:
        panels[0].set_ylabel("explained share of controls' PC1")
    else:
        figure.supylabel("explained share of controls' PC1", fontsize=8)
    looks = {group: _look(number) for number, group in enumerate(groups)}
    keys = [Line2D([], [], label=group, color=colour, marker=mark) for group, (colour, mark) in looks.items()]
    band = Patch(color=PALE, label="random features, 95 %")
    mean = Line2D([], [], label="their mean", color=GREY, linestyle="--", linewidth=1)
    names = [str(key.get_label()) for key in (*keys, band, mean)]
    columns = columns_of_legend(names, width=figure.get_figwidth())
    figure.legend(handles=[*keys, band, mean], loc="outside lower center", ncols=columns)
    return figure


@styled
def top_features(table: pd.DataFrame, *, count: int = 5) -> Figure:
    """Names of the features that each group alters most, with their robust z: a list a group.

    Args:
        table: Of the benchmark ``explained``; of several spaces the first is shown.
        count: Features a group.
    """
    space = rows_of(table, "robust z", "features that differ")["space"].iloc[0]
    table = table[table["space"] == space]
    groups, rows = list(dict.fromkeys(table["group"])), table[(table["metric"] == "robust z") & (table["k"] <= count)]
    figure = page(PAGE, 0.35 + 0.165 * (len(rows) + 1.6 * len(groups)))
    axes = figure.subplots()
    axes.axis("off")
    y = 0.0
    for number, group in enumerate(groups):
        none = "" if group in set(rows["group"]) else ": no feature differs"
        axes.text(0, y, f"{group}{none}", color=_look(number)[0], fontweight="bold", va="top")
        y += 1
        for row in rows[rows["group"] == group].sort_values("k").itertuples():
            axes.text(0.04, y, str(row.feature), va="top", fontsize=7)
            axes.text(0.9, y, f"{row.value:+.1f}", va="top", ha="right", fontsize=7)
            y += 1
        y += 0.6
    axes.set(xlim=(0, 1), ylim=(max(y, 1), 0), title=f"{space}: features altered most, robust z against controls")
    return figure


def _look(number: int) -> tuple[str, str]:
    """Colour and mark of the so-many-th group; they part again where ten colours come round."""
    turn, place = divmod(number, len(CATEGORIES))
    return CATEGORIES[place], MARKS[(place + turn) % len(MARKS)]


def _random(axes: Axes, rows: pd.DataFrame) -> None:
    """Mean and band of random features, as many as k: from the group that has the most."""
    band = rows[rows["features"] == rows["k"]].drop_duplicates("k").sort_values("k")
    axes.fill_between(band["k"], band["null_low"], band["null_high"], color=PALE, linewidth=0)
    axes.plot(band["k"], band["chance"], color=GREY, linestyle="--", linewidth=1)


def _curve(axes: Axes, rows: pd.DataFrame, colour: str, mark: str) -> None:
    full = rows[rows["features"] == rows["k"]]
    rest = rows[rows["k"] >= full["k"].max()]
    axes.plot(full["k"], full["value"], color=colour, marker=mark, markersize=3)
    axes.plot(rest["k"], rest["value"], color=colour, linestyle=":", linewidth=1)
