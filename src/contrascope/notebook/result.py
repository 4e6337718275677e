"""A result in a notebook: its headline, a column a space; its figure; its notes."""

from __future__ import annotations

from html import escape
from io import BytesIO

from contrascope.benchmarks.result import FIGURES, Result
from contrascope.benchmarks.suite import side_by_side
from contrascope.notebook.page import block, drawing, scrolled
from contrascope.shown import or_why

ROWS, SPACES, NOTES = 40, 12, 20
"""As much is shown of a headline and of its notes."""
_SHARPNESS = (110, 75, 50)
"""Dots an inch of the figure: the first at which it is small enough."""
_LARGEST = 110_000
"""Bytes of a figure."""


def result_html(result: Result) -> str:
    """The result as HTML."""
    figure = or_why(lambda: _figure(result), what="figure") if result.name in FIGURES else ""
    return block(
        f"Result '{result.name}', {len(result.table):,} numbers",
        or_why(lambda: _headline(result), what="headline"),
        figure,
        _notes(result.notes),
    )


def _headline(result: Result) -> str:
    wide = side_by_side(result.headline)
    shown = wide.iloc[:ROWS, :SPACES]
    text = shown.to_html(index=False, border=0, float_format=lambda value: f"{value:.3f}", na_rep="")
    rest = len(wide) - len(shown), wide.shape[1] - shown.shape[1]
    return scrolled(text) + (
        f"<p>And {rest[0]} rows and {rest[1]} columns more in result.headline.</p>" if any(rest) else ""
    )


def _figure(result: Result) -> str:
    figure = result.plot()
    for dots in _SHARPNESS:
        stream = BytesIO()
        figure.savefig(stream, format="png", dpi=dots)
        if len(stream.getvalue()) <= _LARGEST:
            return drawing(stream.getvalue(), f"The figure of {result.name}")
    return "<p>The figure is too large to be kept in a notebook: see result.plot().</p>"


def _notes(notes: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(note[:500])}</li>" for note in notes[:NOTES])
    more = f"<li>and {len(notes) - NOTES} more in result.notes</li>" if len(notes) > NOTES else ""
    return f"<ul>{items}{more}</ul>" if notes else ""
