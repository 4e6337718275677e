"""Training curves: every quantity that was logged, over the steps; train and validation in one panel."""

from __future__ import annotations

import re

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from contrascope.errors import FigureError
from contrascope.figures.style import CATEGORIES, GREY, grid_of_axes, label_below, styled

STAGES = {
    "train": "train", "training": "train", "val": "validation", "validation": "validation", "test": "test",
}  # fmt: skip
STAGE_COLOURS = {"train": GREY, "validation": CATEGORIES[0], "test": CATEGORIES[1], "": CATEGORIES[2]}


@styled
def training_curves(metrics: pd.DataFrame) -> Figure:
    """One panel a quantity.

    Args:
        metrics: Columns step, name and value; names such as ``train/loss`` and ``validation/loss`` (or with
            an underscore) share a panel, other names have one each.
    """
    parts = [_stage_and_quantity(name) for name in metrics["name"].astype(str)]
    rows = metrics.assign(stage=[stage for stage, _ in parts], quantity=[quantity for _, quantity in parts])
    rows = rows[rows["value"].notna()]
    quantities = list(dict.fromkeys(rows["quantity"]))
    if not quantities:
        raise FigureError("metrics holds no numbers: there is no curve to draw. Give the metrics of a run.")
    figure, panels = grid_of_axes(len(quantities), height=1.7, sharex=True)
    for axes, quantity in zip(panels, quantities, strict=True):
        for stage, curve in rows[rows["quantity"] == quantity].groupby("stage", sort=True):
            ordered = curve.sort_values("step")
            marker = "o" if len(ordered) < 15 else ""
            axes.plot(
                ordered["step"], ordered["value"], marker=marker, markersize=2.5, color=STAGE_COLOURS[str(stage)],
                label=str(stage) or None,
            )  # fmt: skip
        axes.set_title(quantity)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(axis="y")
    label_below(panels, "step")
    _legend(figure, panels)
    return figure


def _stage_and_quantity(name: str) -> tuple[str, str]:
    found = re.fullmatch(r"(" + "|".join(STAGES) + r")[/_](.+)", name)
    return (STAGES[found[1]], found[2]) if found else ("", name)


def _legend(figure: Figure, panels: list[Axes]) -> None:
    named: dict[str, Artist] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        named |= {str(label): handle for label, handle in zip(labels, handles, strict=True)}
    if named:
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=3)
