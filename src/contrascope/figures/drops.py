"""Cells that are stored and cells that are not, by reason: well by well, and altogether."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from contrascope.figures.style import CATEGORIES, PAGE, page, styled
from contrascope.vocabulary import PLATE, WELL

_NAMES = 48
"""Wells whose names have room below."""
_HATCHES = ("////", "xxxx", "....", "\\\\\\\\")


@styled
def cells_by_well(wells: pd.DataFrame, reasons: Sequence[str]) -> Figure:
    """A bar a well: cells stored, and above them those dropped, by reason.

    Args:
        wells: ``plate well stored`` and a column of counts for each reason.
        reasons: Names of these columns.
    """
    figure = page(PAGE, 2.6)
    axes = figure.subplots()
    x, floor = np.arange(len(wells)), np.zeros(len(wells))
    width = 0.8 if len(wells) <= _NAMES else 1.0
    for number, part in enumerate(["stored", *reasons]):
        count = wells[part].to_numpy(float)
        look: dict[str, Any] = {"hatch": _HATCHES[(number - 1) % len(_HATCHES)], "edgecolor": "white"} if number else {}
        label = f"dropped: {part}" if number else part
        axes.bar(x, count, width, floor, color=CATEGORIES[number % len(CATEGORIES)], label=label, linewidth=0, **look)
        floor += count
    several = wells[PLATE].nunique() > 1
    names = [f"{plate} {well}" if several else well for plate, well in zip(wells[PLATE], wells[WELL], strict=True)]
    every = -(-len(names) // _NAMES)
    long = len(names) > 8 or max(map(len, names)) > 12
    axes.set_xticks(x[::every], names[::every], rotation=90 if long else 0)
    axes.set(ylabel="cells", xlabel="well", xlim=(-0.7, len(wells) - 0.3))
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=1)
    return figure


@styled
def drops_by_reason(drops: pd.DataFrame) -> Figure:
    """A bar a reason, the most frequent on top.

    Args:
        drops: ``reason cells share``, the share of all cells in the table.
    """
    figure = page(PAGE, 0.6 + 0.28 * len(drops))
    axes = figure.subplots()
    y = np.arange(len(drops))
    bars = axes.barh(y, drops["cells"], 0.7, color=CATEGORIES[1])
    texts = [f"{n:,} ({share:.1%})" for n, share in zip(drops["cells"], drops["share"], strict=True)]
    axes.bar_label(bars, texts, padding=3, fontsize=7)
    axes.set_yticks(y, drops["reason"])
    axes.set(xlabel="cells dropped", xlim=(0, 1.18 * drops["cells"].max()))
    axes.invert_yaxis()
    axes.grid(axis="x")
    return figure
