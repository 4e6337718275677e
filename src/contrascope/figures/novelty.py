"""Novelty: effects in the background against those in the salient space, and the salient share of the largest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrascope.figures.style import (
    CATEGORIES,
    GREY,
    INK,
    PAGE,
    PALE,
    colours,
    grid_of_axes,
    label_below,
    page,
    rows_of,
    styled,
)
from contrascope.vocabulary import BACKGROUND, SALIENT

NAMED, RANKED = 12, 30
ALPHA = 0.05


@styled
def novelty_map(table: pd.DataFrame) -> Figure:
    """Norms in both spaces, scaled to mean 1, and shares with their intervals; filled where q <= 0.05 in a space.

    Where the table has not both spaces: the norms in each space, largest first.

    Args:
        table: Of the benchmark ``novelty``.
    """
    norms = rows_of(table, "effect norm")
    shares = table[table["metric"] == "salient share"].set_index("perturbation")
    if shares.empty or not {BACKGROUND, SALIENT} <= set(norms["space"]):
        return _ranked_norms(table)
    effects = _effects(table).join(shares[["value", "low", "high", "chance"]])
    groups = [group for group in dict.fromkeys(effects["group"]) if isinstance(group, str)]
    look = {group: CATEGORIES[number % len(CATEGORIES)] for number, group in enumerate(sorted(groups))}
    effects["colour"] = [look.get(group, INK if not groups else GREY) for group in effects["group"]]
    figure = page(PAGE, 3.5)
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.15, 1]})
    _map(left, effects, table)
    _largest(right, effects)
    keys = _keys(look, table)
    figure.legend(handles=keys, loc="outside lower center", ncols=min(len(keys), 5))
    figure.draw_without_rendering()  # names find their places once the panels have theirs
    _name(left, effects)
    return figure


def _effects(table: pd.DataFrame) -> pd.DataFrame:
    """A row a perturbation: both norms in multiples of their mean, group, and whether there is an effect."""
    rows = table[table["metric"] == "effect norm"]
    norms = rows.pivot(index="perturbation", columns="space", values="value")[[BACKGROUND, SALIENT]]
    lowest = rows[rows["space"].isin([BACKGROUND, SALIENT])].groupby("perturbation")["q"].min()
    groups = rows.drop_duplicates("perturbation").set_index("perturbation")["group"]
    return (norms / norms.mean().replace(0, 1)).assign(group=groups, found=lowest <= ALPHA)


def _map(axes: Axes, effects: pd.DataFrame, table: pd.DataFrame) -> None:
    controls = _controls(table)
    reach = 1.12 * max(1.0, *(float(norms.max().max()) for norms in (effects[[BACKGROUND, SALIENT]], controls)))
    axes.plot([0, reach], [0, reach], color=PALE, linewidth=1, zorder=0)
    axes.annotate(
        "share ½", (reach, reach), (-18, -1), textcoords="offset points", ha="right", va="top", fontsize=6, color=GREY
    )
    axes.plot(
        controls[BACKGROUND], controls[SALIENT], "x", color=GREY, markersize=3.5, markeredgewidth=0.8, clip_on=False
    )
    axes.scatter(
        effects[BACKGROUND], effects[SALIENT], s=16, linewidths=0.9, edgecolors=list(effects["colour"]),
        facecolors=_fills(effects),
    )  # fmt: skip
    axes.set(xlabel="background norm", ylabel="salient norm", xlim=(-0.04 * reach, reach), ylim=(-0.04 * reach, reach))
    axes.set_title("effects beyond noise (mean 1)")


def _fills(effects: pd.DataFrame) -> list[str]:
    return [colour if found else "none" for colour, found in zip(effects["colour"], effects["found"], strict=True)]


def _controls(table: pd.DataFrame) -> pd.DataFrame:
    """A row a control guide, with its norm in both spaces on the scale of the perturbations."""
    scale = table[table["metric"] == "effect norm"].groupby("space")["value"].mean().replace(0, 1)
    rows = table[table["metric"] == "control guide norm"]
    norms = rows.pivot(index="perturbation", columns="space", values="value")
    return norms.reindex(columns=[BACKGROUND, SALIENT]) / scale[[BACKGROUND, SALIENT]]


def _name(axes: Axes, effects: pd.DataFrame) -> None:
    """Names beside the largest effects, each on the first side of its point where it covers no other name or point."""
    largest = (effects[BACKGROUND] ** 2 + effects[SALIENT] ** 2)[effects["found"]].nlargest(NAMED).index
    place = axes.transData.transform(effects[[BACKGROUND, SALIENT]].to_numpy())
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in place]
    for name in largest:
        x, y = place[effects.index.get_loc(name)]
        width, height = 9.0 * len(str(name)), 14.0
        for across, up in ((8, -7), (-8 - width, -7), (-width / 2, 7), (-width / 2, -21)):
            box = (x + across, y + up, x + across + width, y + up + height)
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                left, middle = axes.transData.inverted().transform((box[0], y + up + height / 2))
                axes.text(left, middle, str(name), fontsize=5, va="center", color=INK)
                break


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _largest(axes: Axes, effects: pd.DataFrame) -> None:
    """Shares of the largest effects, sorted, with their intervals."""
    size = effects[BACKGROUND] ** 2 + effects[SALIENT] ** 2
    rows = effects.loc[size.nlargest(RANKED).index].sort_values("value")
    place = np.arange(len(rows))
    axes.axvline(float(rows["chance"].mean()), color=GREY, linestyle="--", linewidth=1, zorder=0)
    axes.hlines(place, rows["low"], rows["high"], color=list(rows["colour"]), linewidth=1)
    axes.scatter(
        rows["value"], place, s=14, linewidths=0.9, edgecolors=list(rows["colour"]), zorder=3,
        facecolors=[fill if fill != "none" else "white" for fill in _fills(rows)],
    )  # fmt: skip
    axes.set_yticks(place, list(rows.index), fontsize=5.5 if len(rows) > 15 else 7)
    axes.set(xlabel="share of the effect that is salient", xlim=(-0.03, 1.03), ylim=(-0.8, len(rows) - 0.2))
    kind = "all" if len(rows) == len(effects) else f"the {len(rows)} largest of {len(effects):,}"
    axes.set_title(f"salient share ({kind})")
    axes.grid(axis="x")


def _keys(look: dict[str, str], table: pd.DataFrame) -> list[Line2D]:
    def dot(label: str, **kwargs: object) -> Line2D:
        return Line2D([], [], linestyle="", label=label, **kwargs)  # type: ignore[arg-type]

    keys = [dot(group, marker="o", color=colour) for group, colour in look.items()]
    keys.append(dot("filled: q ≤ 0.05 in a space", marker="o", markerfacecolor="none", markeredgecolor=INK))
    if (table["metric"] == "control guide norm").any():
        keys.append(dot("control guides", marker="x", color=GREY))
    return [*keys, Line2D([], [], linestyle="--", color=GREY, label="chance")]


def _ranked_norms(table: pd.DataFrame) -> Figure:
    """Norms in each space, largest first, with what chance gives."""
    rows = table[table["metric"] == "effect norm"]
    spaces = list(dict.fromkeys(rows["space"]))
    figure, panels = grid_of_axes(len(spaces))
    for axes, (space, colour) in zip(panels, colours(spaces).items(), strict=True):
        here = rows[rows["space"] == space].sort_values("value", ascending=False)
        place = np.arange(1, len(here) + 1)
        axes.vlines(place, here["low"], here["high"], color=colour, linewidth=0.8, alpha=0.5)
        axes.plot(place, here["value"], ".", color=colour, markersize=4)
        axes.plot(place, here["chance"], color=GREY, linestyle="--", linewidth=1, label="chance")
        axes.set(title=space, ylim=(0, None))
    label_below(panels, "perturbations, largest first")
    figure.supylabel("effect norm", fontsize=8)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center")
    return figure
