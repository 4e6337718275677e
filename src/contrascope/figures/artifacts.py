"""Artefacts: the metrics of each space, target by target, with the chance level on every bar."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrascope.figures.style import INK, colours, grid_of_axes, rows_of, styled
from contrascope.vocabulary import INTENSITY, UNTRAINED

_PANELS = {
    "F1": "F1 on held-out cells",
    "AUROC": "AUROC on held-out cells",
    "kNN same": "neighbours of the same class",
    "R2": "R2 on held-out cells",
}
_BY_TILE = " by tile"
_WHAT = {"batch": "batch", "field": "place in field", "well": "place in well"}


@styled
def artifact_bars(table: pd.DataFrame) -> Figure:
    """Bars by target and space; the black line on a bar is its chance level, the diamond the score on unseen tiles.

    Args:
        table: Of the benchmark ``artifacts``.
    """
    there = rows_of(table, *_PANELS)
    shown = [metric for metric in _PANELS if (there["metric"] == metric).any()]
    figure, panels = grid_of_axes(len(shown), columns=2, height=2.3)
    by_space = colours(list(dict.fromkeys(table["space"])))
    for axes, metric in zip(panels, shown, strict=True):
        rows, by_tile = (table[table["metric"] == name] for name in (metric, metric + _BY_TILE))
        _bars(axes, rows, by_space)
        _diamonds(axes, rows, by_tile, list(by_space))
        lowest = min(0.0, rows["value"].min(), by_tile["value"].min() if len(by_tile) else 0.0)
        axes.set(title=metric, ylim=(max(lowest * 1.1, -1), 1), ylabel=_PANELS[metric])
        axes.grid(axis="y")
    handles = _legend(panels, on_tiles=any(str(name).endswith(_BY_TILE) for name in table["metric"]))
    if len(shown) == 3:  # two rows of two: the legend fills the place that is free
        figure.legend(handles=handles, loc="center", bbox_to_anchor=(0.77, 0.25))
    else:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8))
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, by_space: dict[str, str]) -> None:
    targets = list(dict.fromkeys(rows["target"]))
    width = _width(len(by_space))
    for number, (space, colour) in enumerate(by_space.items()):
        values = rows[rows["space"] == space].set_index("target").reindex(targets)
        centre = _centres(len(targets), number, len(by_space))
        hatch = "////" if space in (UNTRAINED, INTENSITY) else None
        axes.bar(centre, values["value"], width * 0.9, color=colour, label=space, hatch=hatch, edgecolor="white")
        axes.hlines(values["chance"], centre - width / 2, centre + width / 2, color=INK, linewidth=1.6)
        if "low" in values:
            axes.vlines(centre, values["low"], values["high"], color=INK, linewidth=0.8)
    axes.set_xticks(range(len(targets)), [_named(target, rows) for target in targets])
    axes.tick_params(axis="x", length=0)


def _diamonds(axes: Axes, rows: pd.DataFrame, by_tile: pd.DataFrame, spaces: list[str]) -> None:
    """The scores on unseen tiles, with their lowest and highest fold, over the bars of the same metric."""
    targets = list(dict.fromkeys(rows["target"]))
    for number, space in enumerate(spaces):
        values = by_tile[by_tile["space"] == space].set_index("target").reindex(targets)
        centre = _centres(len(targets), number, len(spaces))
        if values["value"].notna().any():
            axes.vlines(centre, values["low"], values["high"], color=INK, linewidth=0.8)
            axes.plot(
                centre,
                values["value"],
                "D",
                color="white",
                markeredgecolor=INK,
                markersize=3.2,
                clip_on=False,
                zorder=3,
            )


def _width(spaces: int) -> float:
    return 0.84 / spaces


def _centres(targets: int, number: int, spaces: int) -> np.ndarray:
    """Where the bars of a space stand, one at each target."""
    return np.arange(targets) - 0.42 + (number + 0.5) * _width(spaces)


def _legend(panels: list[Axes], *, on_tiles: bool) -> list[Any]:
    handles, _ = panels[0].get_legend_handles_labels()
    chance = Line2D([], [], color=INK, linewidth=1.6, label="chance")
    diamond = Line2D(
        [], [], color=INK, marker="D", markerfacecolor="white", markersize=3.2, linewidth=0.8, label="unseen tiles"
    )
    return [*handles, chance, *([diamond] if on_tiles else [])]


def _named(target: str, rows: pd.DataFrame) -> str:
    first = rows[rows["target"] == target].iloc[0]
    scope = f"{first['n_batches']} batches" if target in _WHAT else f"{first['n_classes']} classes"
    if first["n_classes"] == 0:
        scope = "numbers"
    return f"{_WHAT.get(target, target)}\n{scope}\n{int(first['n']):,} cells"
