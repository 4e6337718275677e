"""Mitotic genes: ROC curves of the scores that might tell them, and the area under each with its interval."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrascope.figures.style import GREY, INK, PAGE, colours, dashes, page, rows_of, styled

RELATIVE_COLOUR = "#7F3C8D"


@styled
def mitosis_curves(table: pd.DataFrame) -> Figure:
    """ROC curves on the left; on the right the area under each, with 95 % of resampled genes.

    Args:
        table: Of the benchmark ``mitosis``.
    """
    scores = rows_of(table, "AUROC").reset_index(drop=True)
    figure = page(PAGE * 0.85, 2.9)
    left, right = figure.subplots(1, 2, width_ratios=[1, 0.9])
    fill = colours(list(dict.fromkeys(scores["space"])))
    left.plot([0, 1], [0, 1], ":", color=GREY, linewidth=1)
    for row, (space, score) in enumerate(zip(scores["space"], scores["score"], strict=True)):
        of_score = table[(table["space"] == space) & (table["score"] == score)]
        colour, line, width = _looks(space, score, fill)
        curve = of_score[of_score["metric"] == "true positive rate"]
        left.plot(curve["false_positive_rate"], curve["value"], line, color=colour, linewidth=width)
        _area(right, row, scores.iloc[row], colour)
    first = scores.iloc[0]
    left.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    left.set_title(f"{first['n_mitotic']} mitotic genes of {first['n']:,}")
    left.set_box_aspect(1)
    right.axvline(0.5, color=GREY, linestyle=":", linewidth=1)
    right.set_yticks(range(len(scores)), [_named(row) for _, row in scores.iterrows()])
    right.invert_yaxis()
    right.tick_params(axis="y", length=0)
    right.set(xlim=(min(0.4, scores["low"].min() - 0.02), 1.08), xlabel="AUROC, chance dotted")
    right.grid(axis="x")
    return figure


def _looks(space: str, score: str, fill: dict[str, str]) -> tuple[str, str, float]:
    """Colour, dashes and width of a curve: the two scores of the paper are seen through all others, and each other."""
    if score == "effect size":
        return fill[space], dashes(space), 1.0
    return (RELATIVE_COLOUR, "-", 1.8) if score == "relative background norm" else (INK, "-", 3.2)


def _area(axes: Axes, row: int, score: pd.Series, colour: str) -> None:
    axes.plot([score["low"], score["high"]], [row, row], color=colour)
    axes.plot(score["value"], row, "o", color=colour)
    axes.annotate(
        f"{score['value']:.2f}", (score["value"], row), (0, 4), textcoords="offset points", ha="center", fontsize=6.5
    )


def _named(score: pd.Series) -> str:
    return f"effect size, {score['space']}" if score["score"] == "effect size" else str(score["score"])
