"""Stages: F1 of each stage and AUROC, space by space, with the chance level on every bar."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrascope.figures.style import INK, PAGE, colours, columns_of_legend, page, rows_of, styled
from contrascope.vocabulary import INTENSITY, UNTRAINED


@styled
def stage_bars(table: pd.DataFrame) -> Figure:
    """F1 by stage on the left, mean F1 and AUROC over all stages on the right; the black line on a bar is chance.

    Args:
        table: Of the benchmark ``stages``.
    """
    by_stage = rows_of(table, "F1")
    stages = list(dict.fromkeys(by_stage["truth"]))
    figure = page(PAGE, 2.7)
    left, right = figure.subplots(1, 2, width_ratios=[max(2, len(stages)), 2], sharey=True)
    _bars(left, by_stage.assign(bar=by_stage["truth"]), turned=len(stages) > 4)
    overall = rows_of(table, "mean F1", "AUROC")
    _bars(right, overall.assign(bar=overall["metric"]), turned=False)
    left.set(title="F1 of each stage", ylim=(0, 1.03), ylabel="on held-out controls")
    right.set(title="over all stages")
    handles, labels = left.get_legend_handles_labels()
    chance = Line2D([], [], color=INK, linewidth=1.6, label="chance")
    figure.legend(
        handles=[*handles, chance],
        loc="outside lower center",
        ncols=columns_of_legend([*map(str, labels), "chance"], width=figure.get_figwidth()),
    )
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, *, turned: bool) -> None:
    groups, spaces = list(dict.fromkeys(rows["bar"])), list(dict.fromkeys(rows["space"]))
    width = 0.84 / len(spaces)
    for number, (space, colour) in enumerate(colours(spaces).items()):
        values = rows[rows["space"] == space].set_index("bar").loc[groups]
        centre = np.arange(len(groups)) - 0.42 + (number + 0.5) * width
        hatch = "////" if space in (UNTRAINED, INTENSITY) else None
        axes.bar(centre, values["value"], width * 0.9, color=colour, label=space, hatch=hatch, edgecolor="white")
        axes.hlines(values["chance"], centre - width / 2, centre + width / 2, color=INK, linewidth=1.6)
    counts = rows.drop_duplicates("bar").set_index("bar")["n"]
    names = [f"{group}\n{counts[group]:,} cells" for group in groups]
    axes.set_xticks(range(len(groups)), names, rotation=60 if turned else 0)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")
