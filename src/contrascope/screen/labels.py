"""Labels as people write them: blanks around them say nothing, and two that differ in case alone are told.

Many cells share a label, so what is to be done is done once a label, not once a cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from contrascope import vocabulary as v
from contrascope.errors import first_few


def text_of(column: str, dtype: pl.DataType) -> pl.Expr:
    """A column as text; of floats, what is no number is missing and not the text NaN."""
    values = pl.col(column)
    return (values.fill_nan(None) if dtype.is_float() else values).cast(pl.String)


def part_of(column: str, dtype: pl.DataType) -> pl.Expr:
    """A column as part of a label that is joined from several: without blanks at its ends, missing if that is all."""
    text = text_of(column, dtype).str.strip_chars()
    return pl.when(text != "").then(text)


def without_blanks(cells: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Labels without blanks at their ends; one of nothing but blanks is missing."""
    return cells.with_columns(stripped(cells[name]) for name in columns if name in cells.columns)


def stripped(labels: pl.Series) -> pl.Series:
    """One column of ``without_blanks``."""
    written = labels.unique().drop_nulls()
    names = written.cast(pl.String).str.strip_chars()
    names = names.set(names == "", None)
    if names.equals(written.cast(pl.String), null_equal=False):
        return labels
    return labels.replace_strict(written.cast(pl.String), names, default=None, return_dtype=labels.dtype)


def notes_on_labels(cells: pl.DataFrame) -> list[str]:
    """What to know of perturbations whose names differ in nothing but case and blanks.

    Args:
        cells: With the columns perturbation and control.
    """
    counted = cells.lazy().group_by(v.PERTURBATION).agg(pl.len().alias("cells"), pl.col(v.CONTROL).any())
    names = (
        counted.collect(engine="streaming")
        .drop_nulls()
        .with_columns(pl.col(v.PERTURBATION).cast(pl.String))
        .sort(v.PERTURBATION)
    )
    bare = pl.col(v.PERTURBATION).str.replace_all(r"\s+", "").str.to_lowercase()
    alike = names.with_columns(bare.alias("bare")).filter(pl.len().over("bare") > 1)
    groups = alike.group_by("bare", maintain_order=True).agg(pl.all())
    split = groups.filter(pl.col(v.CONTROL).list.any() & ~pl.col(v.CONTROL).list.all())
    notes = []
    if not split.is_empty():
        notes.append(
            f"Some labels are controls by cells.control, while others that differ in nothing but case or blanks count "
            f"as perturbed: {_listed(split)}. Write them alike in the table, or name all of them under cells.control."
        )
    if groups.height > split.height:
        others = groups.join(split, on="bare", how="anti", maintain_order="left")
        notes.append(
            f"Perturbations whose labels differ in nothing but case or blanks are taken for different ones: "
            f"{_listed(others)}. If they are one, write them alike in the table."
        )
    return notes


def _listed(groups: pl.DataFrame) -> str:
    """Each group's labels, with how many cells have them, and which are controls."""
    return first_few(
        [
            " and ".join(
                f"'{name}' ({n:,} cells{', control' * control})"
                for name, n, control in zip(row[v.PERTURBATION], row["cells"], row[v.CONTROL], strict=True)
            )
            for row in groups.iter_rows(named=True)
        ],
        5,
    )
