"""Tiles or wells where they lie on their plates, coloured by what was counted or measured there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from contrascope.figures.layout import Layout, layout_of
from contrascope.figures.style import CATEGORIES, PAGE, PALE, page, styled
from contrascope.vocabulary import PLATE

ACROSS = 4
"""Panels side by side."""
_TEXT = 5.5
_TALLEST, _BESIDE, _BAR = 3.2, 0.25, 0.09
"""Inches: of a panel at most, of what stands beside it, and of the height of a colour bar."""


@dataclass(frozen=True)
class Shown:
    """What a map shows of T tiles.

    Attributes:
        values: (T,), NaN where there is none.
        label: What the colour means, with its unit.
        framed: (T,) tiles to be framed.
        from_zero: Colours go from 0 to the highest value; else from the 1st to the 99th percentile.
    """

    values: NDArray[np.float64]
    label: str
    framed: NDArray[np.bool_] | None = None
    from_zero: bool = False


@styled
def plate_maps(tiles: pd.DataFrame, shown: Mapping[str, Shown]) -> Figure:
    """A panel for each plate and each thing shown, which has one scale of colours on all plates.

    Grey is a tile without a value. With one thing to show, plates stand side by side; else each has a row.

    Args:
        tiles: T rows, as of ``layout_of``.
        shown: Title -> what is shown.
    """
    layout, plates, titles = layout_of(tiles), list(dict.fromkeys(tiles[PLATE])), list(shown)
    alone = len(titles) == 1
    bands = [titles[i : i + ACROSS] for i in range(0, len(titles), ACROSS)]
    across = min(ACROSS, len(plates) if alone else len(titles))
    down = -(-len(plates) // across) if alone else len(plates)
    # A single panel is half a page wide, others share it.
    width = PAGE / max(across, 2)
    height = min((width - _BESIDE) * layout.shape[0] / layout.shape[1], _TALLEST) + (0.5 if layout.names else 0.35)
    figure = page(width * across, (height * down + 0.65) * len(bands))
    parts = figure.subfigures(len(bands), 1, squeeze=False)[:, 0]
    for part, band in zip(parts, bands, strict=True):
        axes = part.subplots(down, across, squeeze=False)
        columns = [axes.ravel()[: len(plates)]] if alone else [axes[:, i] for i in range(len(band))]
        for spare in set(axes.ravel()) - {panel for column in columns for panel in column}:
            spare.remove()
        for title, column in zip(band, columns, strict=True):
            _draw(part, dict(zip(plates, column, strict=True)), tiles[PLATE].to_numpy(), layout, shown[title], title)
    figure.draw_without_rendering()  # titles get their room once the maps, whose shape is given, have theirs
    return figure


def _draw(
    part: SubFigure, panels: Mapping[str, Axes], of_plate: NDArray[np.object_], layout: Layout, shown: Shown, title: str
) -> None:
    """One thing on all plates, with its scale of colours below."""
    values = np.asarray(shown.values, float)
    scale, extend = _scale(values, from_zero=shown.from_zero)
    known = (layout.place >= 0).all(axis=1)
    for plate, axes in panels.items():
        here = known & (of_plate == plate)
        image = _map(axes, layout, layout.place[here], values[here], scale)
        named = [part for part in (plate if len(panels) > 1 else "", title) if part]
        axes.set_title(" · ".join(named), fontsize=7, pad=11 if layout.names else 4)
        if shown.framed is not None:
            _frame(axes, layout, layout.place[here & shown.framed])
    beside = list(panels.values())[:ACROSS]
    length = sum(axes.get_position(original=True).width for axes in beside) * part.bbox.width / part.dpi
    below: dict[str, Any] = {
        "location": "bottom",
        "aspect": length / _BAR,
        "pad": 0.02,
        "extend": extend,
        "extendfrac": 0.02,
        "ticks": MaxNLocator(4),
        "format": FuncFormatter(lambda value, _: _written(value)),
    }
    bar = part.colorbar(image, ax=list(panels.values()), **below)
    bar.set_label(shown.label, fontsize=7)
    bar.ax.tick_params(labelsize=6, length=2)


def _written(value: float) -> str:
    """A number in full, as a power of ten beside the bar would lie over its label: 0.25, 2.5e-5."""
    mantissa, _, power = f"{value:g}".partition("e")
    return f"{mantissa}e{int(power)}" if power else mantissa


def _scale(values: NDArray[np.float64], *, from_zero: bool) -> tuple[Normalize, str]:
    """Colours for most values; and at which end some lie outside."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Normalize(0, 1), "neither"
    low, high = (0.0, finite.max()) if from_zero else np.percentile(finite, (1, 99))
    if high <= low:
        low, high = (0.0, 1.0) if from_zero else (low - 0.5 * abs(low) - 1e-9, high + 0.5 * abs(high) + 1e-9)
    ends = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}
    return Normalize(low, high), ends[bool(finite.min() < low), bool(finite.max() > high)]


def _map(
    axes: Axes, layout: Layout, place: NDArray[np.intp], values: NDArray[np.float64], scale: Normalize
) -> AxesImage:
    there, coloured = np.full(layout.shape, np.nan), np.full(layout.shape, np.nan)
    there[tuple(place.T)], coloured[tuple(place.T)] = 0, values
    axes.imshow(there, cmap=ListedColormap([PALE]), interpolation="nearest")
    image = axes.imshow(coloured, cmap=colormaps["cividis"], norm=scale, interpolation="nearest")
    axes.set_yticks(*_thinned(layout.rows, 9))
    axes.set_xticks(*_thinned(layout.columns, 12))
    axes.tick_params(length=0, labelsize=_TEXT, pad=1.5)
    axes.spines[:].set_visible(False)
    for name, (y, x) in layout.names.items():
        axes.text(x, y, name, fontsize=_TEXT, ha="center", va="bottom")
    return image


def _thinned(ticks: Mapping[str, float], most: int) -> tuple[list[float], list[str]]:
    """Places and names of at most so many ticks, evenly chosen."""
    every = max(1, -(-len(ticks) // most))
    chosen = sorted(ticks.items(), key=lambda item: item[1])[::every]
    return [at for _, at in chosen], [name for name, _ in chosen]


def _frame(axes: Axes, layout: Layout, place: NDArray[np.intp]) -> None:
    """A square around each place, white outside orange, which stands out from any colour below; never too small."""
    across = axes.get_position().width * axes.get_figure(root=True).get_size_inches()[0] * 72  # type: ignore[union-attr]
    side = max(across * 0.85 / layout.shape[1], 4.0)
    for colour, width in (("white", 2.2), (CATEGORIES[1], 1.1)):
        look: dict[str, Any] = {
            "marker": "s",
            "facecolors": "none",
            "edgecolors": colour,
            "linewidths": width,
            "clip_on": False,
        }
        axes.scatter(place[:, 1], place[:, 0], s=side**2, **look)
