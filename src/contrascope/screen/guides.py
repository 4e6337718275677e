"""A guide belongs to one perturbation and is control or is not; told at the door, before hours of work."""

from __future__ import annotations

import polars as pl

from contrascope import vocabulary as v
from contrascope.errors import TableError, first_few

_WORDS = {v.PERTURBATION: "perturbation", v.CONTROL: "control flag"}


def refuse_mixed_guides(cells: pl.DataFrame, *, where: str) -> None:
    """Raise if cells of one guide differ in what it does; cells without a guide are not looked at.

    Args:
        cells: With the columns guide, perturbation and control.
        where: What the cells are called, for the message.

    Raises:
        TableError: A guide has several perturbations, or is control in part.
    """
    labels = cells.lazy().select(v.GUIDE, v.PERTURBATION, v.CONTROL).drop_nulls().unique().collect()
    for column, word in _WORDS.items():
        pairs = labels.select(v.GUIDE, column).unique()
        if mixed := sorted(pairs.filter(pairs[v.GUIDE].is_duplicated())[v.GUIDE].cast(pl.String).unique()):
            raise TableError(
                f"{len(mixed):,} guides of {where} have more than one {word}: {first_few(mixed, 3)}. A guide belongs "
                "to one perturbation. Make it of both columns (cells.columns: {guide: [perturbation, guide]}); where "
                "there are no guides, name the perturbation's column as guide too."
            )
