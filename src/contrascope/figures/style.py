"""One look for all figures: fonts, sizes, and a fixed colour for each space.

The colours are those of Okabe and Ito, which people with any colour vision tell apart; the two baselines are
also drawn dashed. Text is 8 points at the size a figure is made for: 3.4 inches a column, 7 inches a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrascope.errors import FigureError, first_few
from contrascope.vocabulary import BACKGROUND, CELLPROFILER, COMBINED, INTENSITY, SALIENT, UNTRAINED

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")
COLUMN, PAGE = 3.4, 7.0
"""Widths in inches."""
GREY, PALE, INK = "#8C8C8C", "#D9D9D9", "#262626"
SPACE_COLOURS = {
    BACKGROUND: "#0072B2",
    SALIENT: "#D55E00",
    COMBINED: "#009E73",
    CELLPROFILER: "#E69F00",
    UNTRAINED: GREY,
    INTENSITY: "#CC79A7",
}
OTHER_COLOURS = ("#56B4E9", "#000000", "#F0E442", "#8C564B")
"""For spaces that are not ours, in the order they come."""
_ORDER: ContextVar[tuple[str, ...]] = ContextVar("order of spaces", default=())
CATEGORIES = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00",
    "#56B4E9", "#7F3C8D", "#8C564B", "#B5A300", "#17202A",
)  # fmt: skip
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.parse_math": False,  # a name with dollar signs is a name
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "axes.linewidth": 0.8,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def style() -> Iterator[None]:
    """Inside, figures are made with our settings; outside, nothing has changed."""
    with rc_context(SETTINGS):
        yield


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A drawing function that works inside ``style``, and refuses to draw nothing: a first argument without rows."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        data: Any = next(iter((*args, *kwargs.values())), ())
        if len(data) == 0:
            raise FigureError(f"{draw.__name__} was given nothing to draw: one row was needed at least.")
        with style():
            return draw(*args, **kwargs)

    return inside


def rows_of(table: pd.DataFrame, *metrics: str) -> pd.DataFrame:
    """The rows of these metrics in a benchmark's table.

    Raises:
        FigureError: There is none.
    """
    there = list(dict.fromkeys(table["metric"])) if "metric" in table else []
    if not set(metrics) & set(there):
        raise FigureError(
            f"The table has the metrics {first_few(there)}; {first_few(metrics)} was needed. Give the whole table of "
            f"the benchmark that this figure is of."
        )
    return table[table["metric"].isin(metrics)]


@contextmanager
def same_colours(spaces: Iterable[str]) -> Iterator[None]:
    """Inside, each of these spaces has one colour in all figures, whichever of the others a figure shows."""
    token = _ORDER.set(tuple(spaces))
    try:
        yield
    finally:
        _ORDER.reset(token)


def colours(spaces: Sequence[str]) -> dict[str, str]:
    """A colour for each space: ours always the same, others in the order of ``same_colours``, then as they come."""
    others = [space for space in dict.fromkeys((*_ORDER.get(), *spaces)) if space not in SPACE_COLOURS]
    extra = {space: OTHER_COLOURS[i % len(OTHER_COLOURS)] for i, space in enumerate(others)}
    return {space: SPACE_COLOURS.get(space) or extra[space] for space in spaces}


def dashes(space: str) -> str:
    """The line style of a space: baselines are dashed."""
    return "--" if space in (UNTRAINED, INTENSITY) else "-"


def page(width: float, height: float) -> Figure:
    """An empty figure of so many inches, which makes room for its labels itself."""
    return Figure(figsize=(width, height), layout="constrained", dpi=200)


def grid_of_axes(count: int, *, columns: int = 3, height: float = 2.1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels, at most ``columns`` side by side, ``height`` inches a row."""
    across = min(count, columns)
    down = -(-count // across)
    width = COLUMN if across == 1 else PAGE * across / columns if columns > 2 else PAGE
    figure = page(max(width, COLUMN), height * down + 0.2)
    axes = figure.subplots(down, across, squeeze=False, **options).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def columns_of_legend(labels: Sequence[str], *, width: float) -> int:
    """As many columns as entries of such labels have room for in so many inches."""
    return max(1, min(len(labels), int(width / (0.35 + 0.06 * max(map(len, labels), default=1)))))


def label_below(axes: list[Axes], label: str) -> None:
    """Ticks and a label under the lowest panel of each column, also where the last row is not full."""
    columns = {round(panel.get_subplotspec().colspan.start): panel for panel in axes}  # type: ignore[union-attr]
    for panel in columns.values():
        panel.set_xlabel(label)
        panel.tick_params(axis="x", labelbottom=True)
