"""What is known of one perturbation, in plain words: sentences that are a pure function of its row of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from contrascope.benchmarks.held_out import N_HELD_OUT, P_HELD_OUT
from contrascope.benchmarks.significance import LEVEL
from contrascope.report.perturbations import Row

AGREE = 95
"""Percentile of chance from which guides are said to agree."""
MINUS = "\u2212"
NOVEL, SHIFTED, BETWEEN = "novel", "shifted", "between"
MOSTLY = 2 / 3
"""Salient share from which an effect is novel, if its whole interval is above a half; a shift has as much elsewhere."""
_NO_PROOF = (
    "That is no proof that there is none: an effect smaller than the differences among controls, or one that the model "
    "does not draw, stays hidden."
)


def verdict(
    name: str,
    row: Row,
    *,
    space: str = "salient",
    altered: Sequence[tuple[str, float]] = (),
    marked: bool = True,
) -> list[str]:
    """Sentences on one perturbation.

    Args:
        name: The perturbation.
        row: Its row of ``perturbation_frame``.
        space: The space that the row's numbers without ending are of.
        altered: What its cells differ in most, and by how many standard deviations of control cells.
        marked: Whether a direction was found to choose marked cells by.
    """
    hit, behind = _flag(row, "hit"), _flag(row, "hit_background") if space != "background" else None
    said = [_effect(name, row, space, hit, behind)]
    if hit:
        said += _held_out(row)
    if hit or behind:
        said += _novelty(row) + _guides(row) + _likeness(row, space)
        if _flag(row, "hit_measured") is False:
            said.append(f"By CellProfiler's features it is not a hit ({_how_sure(row, '_measured')}{_as_large(row)}).")
    elif _flag(row, "hit_measured"):
        said.append(
            f"CellProfiler's features do see an effect ({_how_sure(row, '_measured')}): the model misses it, or draws "
            "it too faintly. Look at the cells, and at what was measured."
        )
    if altered:
        said.append(f"Measured, in standard deviations of control cells: {'; '.join(_measured(*a) for a in altered)}.")
    if not marked:
        said.append(
            "No direction of its effect stands out from noise, so there are no marked cells to show, only typical ones."
        )
    return said


def kind_of_effect(row: Row) -> str | None:
    """Whether an effect is novel, a shift, or between them; None without its share and interval.

    What it is said to be must be seen: an effect is novel only where the salient space has a hit, and a shift only
    where the background has one. The share alone does not know by how much wells or batches differ anyway.
    """
    share, low, high = (_value(row, name) for name in ("novelty", "novelty_low", "novelty_high"))
    if share is None or low is None or high is None:
        return None
    if share >= MOSTLY and low > 0.5 and _flag(row, "hit") is not False:
        return NOVEL
    if share <= 1 - MOSTLY and high < 0.5 and _flag(row, "hit_background") is not False:
        return SHIFTED
    return BETWEEN


def space_without_hit(row: Row) -> str | None:
    """The space that an effect between novel and shifted would lie in by its share alone, and that shows no hit."""
    share, low, high = (_value(row, name) for name in ("novelty", "novelty_low", "novelty_high"))
    if kind_of_effect(row) != BETWEEN or share is None or low is None or high is None:
        return None
    if share >= MOSTLY and low > 0.5:
        return "salient space"
    return "background space" if share <= 1 - MOSTLY and high < 0.5 else None


def per_cent(share: float) -> str:
    """A share as it is read: 27 %."""
    return f"{100 * share:.0f} %"


def unbroken(text: str) -> str:
    """The text with its percent signs kept in the line of their numbers."""
    return text.replace(" %", "\u00a0%")


def q_value(q: float) -> str:
    """A q-value as it is read: q = .012, or q < .001."""
    return "q < .001" if q < 0.001 else f"q = {q:.3f}".replace("0.", ".", 1)


def _effect(name: str, row: Row, space: str, hit: bool | None, behind: bool | None) -> str:
    if hit is None and behind is None:
        return f"Whether {name} does anything was not asked: the benchmarks hits and novelty have no number for it."
    if hit:
        also = ", and in the background space as well" if behind else ", but not in the background space"
        also = "" if behind is None else also
        return f"{name} is a hit: its cells differ from controls in the {space} space ({_how_sure(row, '')}){also}."
    if behind:
        shifted = ": its cells are shifted to where controls are as well" if kind_of_effect(row) != BETWEEN else ""
        return (
            f"{name} is a hit in the background space ({_how_sure(row, '_background')}), not in the salient one "
            f"({_how_sure(row, '')}){shifted}."
        )
    cells, guides, effect = (_value(row, name) for name in ("q_cells", "q_guides", "q_effect"))
    beyond = _value(row, "controls_beyond")
    if cells is None and guides is None and beyond is not None and beyond > LEVEL:
        as_large = f"{per_cent(beyond)} of control guides have as large a one in the {space} space"
        if effect is not None and effect <= LEVEL:
            return (
                f"The model sees no effect of {name} beyond what controls show: {as_large}, though it stands "
                f"out from control cells ({_how_sure(row, '')})."
            )
        return f"The model sees no effect of {name} ({_how_sure(row, '')}): {as_large}. {_NO_PROOF}"
    if cells is not None and guides is not None and (cells <= LEVEL) != (guides <= LEVEL):
        which, other = ("cells", "guides") if cells <= LEVEL else ("guides", "cells")
        return (
            f"{name} is not counted as a hit: permuted {which} speak for an effect in the {space} space, permuted "
            f"{other} do not ({_how_sure(row, '')})."
        )
    return f"The model sees no effect of {name} ({_how_sure(row, '')}). {_NO_PROOF}"


def _held_out(row: Row) -> list[str]:
    """Where cells that the model was not trained on do not show the effect."""
    p, cells = _value(row, P_HELD_OUT), _value(row, N_HELD_OUT)
    if p is None or cells is None or p <= LEVEL:
        return []
    return [
        f"In the {cells:.0f} cells that the model was not trained on it is not seen (p = {f'{p:.2f}'.lstrip('0')}): "
        "these are too few, or the model has learned the others by heart."
    ]


def _as_large(row: Row) -> str:
    """How many control guides have as large an effect by measurements, where that decides."""
    beyond = _value(row, "controls_beyond_measured")
    asked = any(_value(row, f"{name}_measured") is not None for name in ("q_cells", "q_guides"))
    return "" if beyond is None or asked else f"; {per_cent(beyond)} of control guides have as large an effect"


def _how_sure(row: Row, ending: str) -> str:
    cells, guides = _value(row, f"q_cells{ending}"), _value(row, f"q_guides{ending}")
    effect = _value(row, f"q_effect{ending}")
    if cells is not None and guides is not None:
        return f"{q_value(cells)} by cells, {q_value(guides)} by guides"
    if cells is not None:
        return f"{q_value(cells)} by cells; guides could not be asked"
    if guides is not None:
        return f"{q_value(guides)} by guides"
    return f"{q_value(effect)} by the size of its effect against control cells" if effect is not None else "not asked"


def _novelty(row: Row) -> list[str]:
    kind, (share, low, high) = kind_of_effect(row), (_value(row, f"novelty{end}") for end in ("", "_low", "_high"))
    if kind is None or share is None or low is None or high is None:
        return []
    size = f"{per_cent(share)} of its effect is salient (95 % interval {per_cent(low)} to {per_cent(high)}; the "
    size += "average perturbation of the screen has 50 %)"
    words = {
        NOVEL: "a novel phenotype rather than a shift within the variation of controls.",
        SHIFTED: "more a shift within the variation of controls than a novel phenotype. Matched controls then look the "
        "same; compare with controls at random.",
        BETWEEN: "neither clearly novel nor clearly a shift within the variation of controls.",
    }
    if there := space_without_hit(row):
        return [
            f"{size}, but the {there} shows no hit: what wells, guides or batches differ by anyway counts in that "
            "share, so it does not say whether the effect is novel or a shift."
        ]
    return [f"{size}: {words[kind]}"]


def _guides(row: Row) -> list[str]:
    cosine, usual, percentile = (_value(row, f"agreement{end}") for end in ("", "_chance", "_percentile"))
    if cosine is None or usual is None or percentile is None:
        return []
    count, beside = int(row["guides"]), f"guides of different perturbations {usual:.2f}"
    if percentile >= AGREE:
        return [f"Its {count} guides agree (cosine {cosine:.2f}, {beside})."]
    return [
        f"Its {count} guides are alike by a cosine of {cosine:.2f} ({beside}), and {100 - percentile:.0f} % of sets of "
        "guides drawn at random are as much alike, so that alone proves little."
    ]


def _likeness(row: Row, space: str) -> list[str]:
    nearest, cosine = row.get("nearest"), _value(row, "nearest_cosine")
    if not isinstance(nearest, str) or cosine is None:
        return []
    if cosine < 0.5:
        return [f"No other perturbation is much like it in the {space} space (at most {nearest}, cosine {cosine:.2f})."]
    return [f"Most like it in the {space} space is {nearest} (cosine {cosine:.2f})."]


def _measured(what: str, change: float) -> str:
    return f"{what} {f'{change:+.1f}'.replace('-', MINUS)}"


def _flag(row: Row, name: str) -> bool | None:
    value = row.get(name)
    return None if value is None or pd.isna(value) else bool(value)


def _value(row: Row, name: str) -> float | None:
    value = row.get(name)
    return None if value is None or pd.isna(value) else float(value)
