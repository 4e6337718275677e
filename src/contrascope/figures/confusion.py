"""Confusion matrices, one panel a space: what was true in rows, what was said in columns, each row adding to 1."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from contrascope.figures.style import COLUMN, INK, PAGE, page, rows_of, styled
from contrascope.vocabulary import BACKGROUND, COMBINED, SALIENT

PAPERS = (BACKGROUND, SALIENT, COMBINED)
"""The spaces that the paper sets side by side."""
_WRITTEN = 8
"""Classes up to which the numbers have room in their squares."""
_LONGEST = 20


@styled
def confusion_matrices(table: pd.DataFrame, *, spaces: Sequence[str] | None = None) -> Figure:
    """One matrix a space, side by side, with one scale.

    Args:
        table: Of the benchmark ``functions`` or ``stages``.
        spaces: Which; by default background, salient and combined, as far as they are there, else all.
    """
    shown = spaces_shown(table, spaces)
    figure = page(PAGE if len(shown) > 1 else COLUMN, height_of(table, len(shown)))
    draw_confusion(figure, table, shown)
    return figure


def spaces_shown(table: pd.DataFrame, spaces: Sequence[str] | None = None) -> list[str]:
    """The spaces asked for; else those of the paper that the table has, else all of them."""
    there = list(dict.fromkeys(rows_of(table, "confusion")["space"]))
    return list(spaces) if spaces is not None else [space for space in PAPERS if space in there] or there


def height_of(table: pd.DataFrame, count: int) -> float:
    """Inches that so many matrices side by side take, with the names below them."""
    longest = min(_LONGEST, int(table["predicted"].dropna().str.len().max()))
    return 0.25 * PAGE * (3 / max(count, 3)) + 0.45 + 0.06 * longest


def draw_confusion(figure: FigureBase, table: pd.DataFrame, spaces: Sequence[str]) -> None:
    """The matrices into a figure or a part of one."""
    rows = rows_of(table, "confusion")
    names = list(dict.fromkeys(rows["truth"]))
    panels = figure.subplots(1, len(spaces), squeeze=False, sharey=True)[0]
    for axes, space in zip(panels, spaces, strict=True):
        wide = rows[rows["space"] == space].pivot(index="truth", columns="predicted", values="value")
        image = axes.imshow(wide.loc[names, names], cmap="Blues", vmin=0, vmax=1, aspect="equal")
        if len(names) <= _WRITTEN:
            _write(axes, wide.loc[names, names])
        size = 7 if len(names) <= _WRITTEN else 5.5
        axes.set_xticks(range(len(names)), [short(name) for name in names], rotation=90, fontsize=size)
        axes.set_yticks(range(len(names)), [short(name) for name in names], fontsize=size)
        axes.set(title=space, xlabel="said to be")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("is")
    bar = figure.colorbar(image, ax=list(panels), shrink=0.7, aspect=20, label="share of the row")
    bar.outline.set_visible(False)


def _write(axes: Axes, wide: pd.DataFrame) -> None:
    for row, values in enumerate(wide.to_numpy(dtype=float)):
        for column, value in enumerate(values):
            if value >= 0.005:
                text = f"{value:.2f}".removeprefix("0")
                axes.text(column, row, text, ha="center", va="center", fontsize=5.5, color="w" if value > 0.6 else INK)


def short(name: str) -> str:
    """A name that has room beside an axis."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
