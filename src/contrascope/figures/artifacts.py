"""Artefacts: F1 and AUROC of each space, target by target, with the chance level on every bar."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrascope.figures.style import INK, PAGE, colours, page, styled
from contrascope.vocabulary import INTENSITY, UNTRAINED


@styled
def artifact_bars(table: pd.DataFrame) -> Figure:
    """Bars by target and space; the black line on a bar is its chance level.

    Args:
        table: Of the benchmark ``artifacts``.
    """
    figure = page(PAGE, 2.8)
    panels = figure.subplots(1, 2)
    for axes, metric in zip(panels, ("F1", "AUROC"), strict=True):
        _bars(axes, table[table["metric"] == metric])
        axes.set(title=metric, ylim=(0, 1), ylabel=f"{metric} on held-out cells")
        axes.grid(axis="y")
    handles, _ = panels[0].get_legend_handles_labels()
    chance = Line2D([], [], color=INK, linewidth=1.6, label="chance")
    figure.legend(handles=[*handles, chance], loc="outside lower center", ncols=len(handles) + 1)
    return figure


def _bars(axes: Axes, rows: pd.DataFrame) -> None:
    targets, spaces = list(dict.fromkeys(rows["target"])), list(dict.fromkeys(rows["space"]))
    width = 0.84 / len(spaces)
    for number, (space, colour) in enumerate(colours(spaces).items()):
        values = rows[rows["space"] == space].set_index("target").reindex(targets)
        centre = np.arange(len(targets)) - 0.42 + (number + 0.5) * width
        hatch = "////" if space in (UNTRAINED, INTENSITY) else None
        axes.bar(centre, values["value"], width * 0.9, color=colour, label=space, hatch=hatch, edgecolor="white")
        axes.hlines(values["chance"], centre - width / 2, centre + width / 2, color=INK, linewidth=1.6)
    axes.set_xticks(range(len(targets)), [_named(target, rows) for target in targets])
    axes.tick_params(axis="x", length=0)


def _named(target: str, rows: pd.DataFrame) -> str:
    first = rows[rows["target"] == target].iloc[0]
    what = {"batch": "batch", "field": "place in field", "well": "place in well"}.get(target, target)
    scope = f"{first['n_classes']} batches" if target == "batch" else f"{first['n_batches']} batches"
    return f"{what}\n{scope}\n{int(first['n']):,} cells"
