"""Complexes: the precision-recall sweep, average precision against its null, and groups of complexes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrascope.figures.style import COLUMN, INK, PAGE, colours, dashes, page, rows_of, styled

LABELLED = (99, 95, 90, 80)
"""Percentiles marked on the curves."""


@styled
def precision_recall(table: pd.DataFrame) -> Figure:
    """Sweep on the left, average precision beside it; and, if there are groups, their mean precisions.

    Whiskers are the table's intervals: 95 % of resampled complexes.

    Args:
        table: Of the benchmark ``complexes``.
    """
    grouped = (table["metric"] == "mean complex average precision").any()
    figure = page(PAGE if grouped else PAGE * 0.75, 2.9)
    ratios = [1.25, 0.75, 0.9] if grouped else [1.25, 0.75]
    axes = figure.subplots(1, len(ratios), gridspec_kw={"width_ratios": ratios})
    _sweep(axes[0], table)
    _average_precision(axes[1], table)
    if grouped:
        _groups(axes[2], table)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) if grouped else 4)
    return figure


@styled
def sweep(table: pd.DataFrame, *, title: str) -> Figure:
    """The sweep alone, at the width of a column.

    Args:
        table: Of the benchmark ``complexes``.
        title: Above it.
    """
    figure = page(COLUMN, 3.0)
    axes = figure.subplots()
    _sweep(axes, table)
    axes.set_title(title)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _sweep(axes: Axes, table: pd.DataFrame) -> None:
    curves = pd.concat([rows_of(table, "precision"), rows_of(table, "recall")])
    spaces = list(dict.fromkeys(curves["space"]))
    for space, colour in colours(spaces).items():
        wide = curves[curves["space"] == space].pivot(index="percentile", columns="metric", values="value")
        axes.plot(wide["recall"], wide["precision"], dashes(space), color=colour, label=space)
        marked = wide.loc[[p for p in LABELLED if p in wide.index]]
        axes.plot(marked["recall"], marked["precision"], "o", color=colour, markersize=3.5)
    prevalence = curves.loc[curves["metric"] == "precision", "chance"].iloc[0]
    axes.axhline(prevalence, color=INK, linestyle=":", linewidth=1, label="chance")
    _label_percentiles(axes, curves[curves["space"] == _best_space(table)])
    axes.set(xlabel="recall", ylabel="precision", title="pairs in either tail")
    shown = curves.groupby("metric")["value"].max()
    # Where nothing was found at all the axes still have a length.
    axes.set_xlim(0, (shown["recall"] or 1.0) * 1.12)
    axes.set_ylim(0, (shown["precision"] or 1.0) * 1.15)


def _best_space(table: pd.DataFrame) -> str:
    rows = rows_of(table, "average precision")
    return str(rows["space"].iloc[int(rows["value"].to_numpy().argmax())])


def _label_percentiles(axes: Axes, curve: pd.DataFrame) -> None:
    """Write the percentiles beside the marks of one curve; those of the others follow from it."""
    wide = curve.pivot(index="percentile", columns="metric", values="value")
    for percentile in LABELLED:
        at = (wide.at[percentile, "recall"], wide.at[percentile, "precision"])
        axes.annotate(f"p{percentile}", at, (4, 4), textcoords="offset points", color=INK, fontsize=6.5)


def _average_precision(axes: Axes, table: pd.DataFrame) -> None:
    rows = rows_of(table, "average precision").reset_index(drop=True)
    fill = colours(list(rows["space"]))
    axes.barh(rows.index, rows["value"], color=[fill[space] for space in rows["space"]], height=0.7)
    _whiskers(axes, rows, rows.index, across=True)
    # The null as a line from its mean to its 95th percentile: a bar that ends inside it shows nothing.
    for row in rows.index:
        low, high = rows.loc[row, "null_mean"], rows.loc[row, "null_p95"]
        axes.plot([low, low], [row - 0.4, row + 0.4], color=INK, linewidth=1.2)
        axes.plot([high, high], [row - 0.4, row + 0.4], color=INK, linewidth=1.2, linestyle=(0, (1.5, 1)))
    ends = rows[["value", "null_p95", "high"]].max(axis=1)
    for row, (value, end) in enumerate(zip(rows["value"], ends, strict=True)):
        axes.annotate(f"{value:.2f}", (end, row), (3, 0), textcoords="offset points", va="center", fontsize=6.5)
    axes.set_yticks(rows.index, rows["space"])
    axes.invert_yaxis()
    axes.set_xlim(0, ends.max() * 1.2)
    axes.set(xlabel="average precision", title="ranked by similarity")
    axes.text(
        1,
        -0.235,
        "— interval   │ shuffled genes: mean, ┆ 95 %",
        transform=axes.transAxes,
        fontsize=6,
        ha="right",
        va="top",
    )


def _groups(axes: Axes, table: pd.DataFrame) -> None:
    rows = table[table["metric"] == "mean complex average precision"]
    groups, spaces = list(dict.fromkeys(rows["group"])), list(dict.fromkeys(rows["space"]))
    width = 0.8 / len(spaces)
    for number, (space, colour) in enumerate(colours(spaces).items()):
        values = rows[rows["space"] == space].set_index("group").loc[groups]
        left = np.arange(len(groups)) - 0.4 + (number + 0.5) * width
        axes.bar(left, values["value"], width * 0.92, color=colour)
        _whiskers(axes, values, left, across=False)
        for x, chance in zip(left, values["chance"], strict=True):
            axes.plot([x - width / 2, x + width / 2], [chance, chance], color=INK, linewidth=1.2)
    axes.set_xticks(range(len(groups)), groups)
    axes.set(ylabel="mean average precision", title="complexes by group", ylim=(0, None))


def _whiskers(axes: Axes, rows: pd.DataFrame, at: Iterable[float], *, across: bool) -> None:
    """The interval of each bar; rows without one get none."""
    lines = axes.hlines if across else axes.vlines
    lines(list(at), rows["low"], rows["high"], color=INK, linewidth=0.8)
