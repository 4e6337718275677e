"""Hits: perturbations in order of their distance from the controls, one panel a space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter

from contrascope.benchmarks.hits_table import METRICS
from contrascope.benchmarks.significance import LEVEL
from contrascope.figures.style import GREY, INK, PALE, colours, grid_of_axes, label_below, rows_of, styled

NAMED = 5
STEP = 0.07
"""From name to name, as a share of the panel's height."""
_OF_GUIDES = ", control guide"


@styled
def ranked_hits(table: pd.DataFrame) -> Figure:
    """A point a perturbation, hits coloured and the furthest named; the band is where control guides lie.

    Filled points are hits by both p-values, of cells and of guides; rings by cells alone. Without control guides the
    band is what permutations of cells give.

    Args:
        table: Of the benchmark ``hits``.
    """
    perturbed = rows_of(table, *METRICS.values())
    metric, spaces = str(perturbed["metric"].iloc[0]), list(dict.fromkeys(perturbed["space"]))
    # T^2 grows with the number of features, so each space has a scale of its own.
    together = not metric.startswith("Hotelling")
    figure, panels = grid_of_axes(len(spaces), height=2.3, sharey=together)
    guides_known = bool(table["p_guides"].notna().any())
    for axes, (space, colour) in zip(panels, colours(spaces).items(), strict=True):
        _scale(axes, metric, table)
        here = table[table["space"] == space]
        own = here[here["metric"] == metric].sort_values("value", ascending=False, kind="stable")
        _band(axes, own, here[here["metric"] == metric + _OF_GUIDES] if guides_known else here.iloc[:0])
        hit = _hits(own)
        _points(axes, own["value"].to_numpy(), hit, (own["q_cells"] <= LEVEL).to_numpy(), colour)
        axes.set_title(f"{space}: {int(hit.sum())} of {len(own)}")
        _name(axes, own["value"].to_numpy(), own["perturbation"].to_numpy(), hit)
    _make_room(panels[:1] if together else panels)
    label_below(panels, "perturbations by rank")
    figure.supylabel(metric, fontsize=8)
    figure.legend(handles=_keys(guides_known), loc="outside lower center", ncols=4 if len(spaces) > 1 else 2)
    return figure


def _hits(own: pd.DataFrame) -> np.ndarray:
    """Which are hits: q of cells, and of guides where there is one, below the level."""
    by_guides = (own["q_guides"] <= LEVEL) | own["q_guides"].isna()
    return ((own["q_cells"] <= LEVEL) & by_guides).to_numpy()


def _band(axes: Axes, own: pd.DataFrame, guides: pd.DataFrame) -> None:
    """From the 5th to the 95th percentile of control guides; else up to that of permutations, from their mean."""
    if len(guides):
        low, high = np.percentile(guides["value"], [5, 95])
    else:
        low, high = own["chance"].mean(), own["null_p95"].median()
    axes.axhspan(low, high, color=PALE, linewidth=0)


def _points(axes: Axes, values: np.ndarray, hit: np.ndarray, by_cells: np.ndarray, colour: str) -> None:
    rank = np.arange(1, len(values) + 1)
    size = 3.5 if len(values) < 200 else 2.0
    axes.plot(rank[~by_cells], values[~by_cells], "x", ms=size, color=GREY, mew=0.8)
    for chosen, face in ((by_cells & ~hit, "white"), (hit, colour)):
        axes.plot(rank[chosen], values[chosen], "o", ms=size, mfc=face, mec=colour, mew=0.8)


def _name(axes: Axes, values: np.ndarray, names: np.ndarray, hit: np.ndarray) -> None:
    """The first hits by name, one under another on the right, each with a line to its point."""
    ranks = np.flatnonzero(hit)[:NAMED]
    for line, (rank, name) in enumerate(zip(ranks, names[ranks], strict=True)):
        label = axes.annotate(
            str(name),
            (rank + 1, values[rank]),
            (0.5, 0.97 - STEP * line),
            textcoords="axes fraction",
            fontsize=6.5,
            va="center",
            color=INK,
            arrowprops={
                "arrowstyle": "-",
                "color": GREY,
                "linewidth": 0.5,
                "shrinkA": 2,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )
        label.set_in_layout(False)


def _make_room(panels: Sequence[Axes]) -> None:
    """Move all points below the names, by the scale's upper end."""
    for axes in panels:
        to_scale = axes.yaxis.get_transform()
        low, high = to_scale.transform(np.array(axes.get_ylim()))
        axes.set_ylim(top=float(to_scale.inverted().transform(low + (high - low) / (1 - STEP * NAMED))))


def _scale(axes: Axes, metric: str, table: pd.DataFrame) -> None:
    """Energy distances reach from noise about 0 over decades, T^2 over decades."""
    if metric.startswith("energy"):
        # Linear where permutations of cells lie, logarithmic beyond.
        threshold = 10.0 ** np.ceil(np.log10(max(float(table["null_p95"].quantile(0.9)), 1e-6)))
        axes.set_yscale("symlog", linthresh=threshold, linscale=1)
        axes.yaxis.set_major_locator(FixedLocator([0, *(threshold * np.array([0.3, 1, 3, 10, 30, 100]))]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif metric.startswith("Hotelling"):
        axes.set_yscale("log")


def _keys(guides_known: bool) -> list[Line2D | Patch]:
    ring = Line2D([], [], marker="o", linestyle="", mfc="white", mec=INK, ms=3.5, label="q ≤ .05 of cells alone")
    dot = Line2D([], [], marker="o", linestyle="", color=INK, ms=3.5, label="hit: q ≤ .05")
    band = Patch(color=PALE, label="single control guides, 5-95 %" if guides_known else "permuted cells, mean to 95 %")
    cross = Line2D([], [], marker="x", linestyle="", color=GREY, ms=3.5, label="neither" if guides_known else "no hit")
    return [dot, *([ring] if guides_known else []), cross, band]
