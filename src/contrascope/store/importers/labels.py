"""The cell table of foreign crops: our names, labels that are there, controls that are named.

Positions are not needed, the crops are cut already; a guide, a perturbation and the controls are.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from contrascope import vocabulary as v
from contrascope.errors import SettingsError, TableError, first_few, reason_of
from contrascope.screen.guides import refuse_mixed_guides
from contrascope.screen.labels import text_of, without_blanks

_TEXT = (v.PLATE, v.WELL, v.TILE, v.CELL_ID, v.GUIDE, v.PERTURBATION, v.STAGE, v.BATCH)
_LABELS = tuple(name for name in _TEXT if name != v.CELL_ID)
_NAMES = (*v.REQUIRED, *v.OPTIONAL, v.BATCH, v.CONTROL)
_ROWS = 1_000_000


def read_cell_table(cells: pl.DataFrame | str | Path | None, columns: Mapping[str, str]) -> pl.DataFrame | None:
    """A table in memory or a CSV, TSV or Parquet file, with our names beside its own.

    Args:
        cells: The table, or where it is.
        columns: Our name -> the table's column.

    Raises:
        TableError: It cannot be read, is empty, or lacks a column that was named.
        SettingsError: A name that is none of ours, or names without a table.
    """
    if unknown := sorted(set(columns) - set(_NAMES)):
        raise SettingsError(f"columns names '{unknown[0]}', which is none of ours: {', '.join(_NAMES)}.")
    if cells is None:
        return None
    table = cells if isinstance(cells, pl.DataFrame) else _file(Path(cells), [columns.get(n, n) for n in _TEXT])
    if table.is_empty():
        raise TableError("The cell table has no rows. A row for each cell was needed.")
    if lacking := [column for column in columns.values() if column not in table.columns]:
        raise TableError(f"The cell table lacks {first_few(lacking)}. It has {first_few(table.columns, 20)}.")
    return table.with_columns([pl.col(theirs).alias(ours) for ours, theirs in columns.items()])


def labelled(cells: pl.DataFrame, control: str | Sequence[str] | None) -> pl.DataFrame:
    """The table with every column that a store needs, text as text.

    Args:
        cells: The table under our names.
        control: Labels of the perturbation column that are controls, ``name*`` for a prefix; None takes the
            Boolean column ``control``.

    Raises:
        TableError: No guide or perturbation, ids that stand twice, controls that cannot be told, a guide of several
            perturbations.
    """
    if lacking := [c for c in (v.GUIDE, v.PERTURBATION) if c not in cells.columns]:
        raise TableError(
            f"The cell table lacks {', '.join(lacking)}. It has {first_few(cells.columns, 20)}. Name the columns that "
            f"hold them (columns: {lacking[0]}=COLUMN)."
        )
    absent = [pl.lit("1").alias(c) for c in (v.PLATE, v.WELL, v.TILE) if c not in cells.columns]
    if v.CELL_ID not in cells.columns:
        absent.append(pl.int_range(pl.len()).alias(v.CELL_ID))
    cells = cells.with_columns(absent)
    try:
        cells = cells.with_columns([text_of(c, cells.schema[c]).alias(c) for c in _TEXT if c in cells.columns])
    except pl.exceptions.PolarsError as error:
        raise TableError(f"The cell table has labels that are no text: {' '.join(str(error).split())}") from None
    cells = without_blanks(cells, _LABELS)
    if v.BATCH not in cells.columns:
        cells = cells.with_columns(pl.concat_str([v.PLATE, v.WELL], separator="_").alias(v.BATCH))
    _refuse_unnamed(cells)
    cells = cells.with_columns(_is_control(cells, control).alias(v.CONTROL))
    refuse_mixed_guides(cells, where="the cell table")
    return cells


def table_digest(cells: pl.DataFrame) -> str:
    """Of the table with its columns' names and the order of its rows, some rows at a time."""
    digest = hashlib.sha256()
    for part in cells.iter_slices(_ROWS):
        buffer = io.BytesIO()
        part.rechunk().write_ipc(buffer)
        digest.update(buffer.getbuffer())
    return digest.hexdigest()


def _file(path: Path, texts: Sequence[str]) -> pl.DataFrame:
    """A table; of a CSV, these columns are read as texts: the guide 007 is not 7."""
    types = dict.fromkeys(texts, pl.String)
    readers = {
        ".csv": lambda: pl.read_csv(path, infer_schema_length=None, schema_overrides=types, glob=False),
        ".tsv": lambda: pl.read_csv(path, separator="\t", infer_schema_length=None, schema_overrides=types, glob=False),
        ".parquet": lambda: pl.read_parquet(path, glob=False),
    }
    if path.suffix.lower() not in readers:
        raise TableError(f"The cell table {path} is of a kind we do not read. A {', '.join(readers)} file was needed.")
    try:
        return readers[path.suffix.lower()]()
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise TableError(
            f"The cell table {path} cannot be read: {reason_of(error)}. A whole file was needed."
        ) from None


def _refuse_unnamed(cells: pl.DataFrame) -> None:
    for name in (v.PLATE, v.WELL, v.TILE, v.CELL_ID, v.BATCH):
        if n := cells[name].null_count():
            raise TableError(f"{n:,} cells of the table have no {name}. Fill the column, or take these cells out.")
    repeated = cells.filter(cells[v.CELL_ID].is_duplicated())[v.CELL_ID]
    if len(repeated):
        raise TableError(
            f"{len(repeated):,} cells of the table share their cell_id with another: {first_few(repeated.unique(), 3)}."
            f" Each cell needs an id of its own. Name another column (columns: cell_id=COLUMN)."
        )


def _is_control(cells: pl.DataFrame, control: str | Sequence[str] | None) -> pl.Series:
    if control is None:
        if cells.schema.get(v.CONTROL) != pl.Boolean or cells[v.CONTROL].null_count():
            raise TableError(
                "The cell table has no Boolean column control that says of each cell whether it is one. Add it, or "
                "name the label of the controls (control=LABEL), nontargeting for instance."
            )
        return cells[v.CONTROL]
    labels, wanted = cells[v.PERTURBATION], [control] if isinstance(control, str) else list(control)
    found = pl.Series([False]).new_from_index(0, cells.height)
    for label in (label.strip() for label in wanted):
        this = labels.str.starts_with(label[:-1]) if label.endswith("*") else labels == label
        if not this.any():
            common = labels.alias("label").value_counts(sort=True)["label"].drop_nulls()
            raise TableError(
                f"No cell is a control: '{label}' is no perturbation of the cell table, whose most frequent ones are "
                f"{first_few(common, 8)}. Name the label of the controls (control)."
            )
        found |= this.fill_null(value=False)
    return found
