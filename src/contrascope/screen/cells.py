"""The cell table: read it, give its columns our names, refuse what contradicts itself.

The result has one row a cell, our columns first (``vocabulary``), then every other column of the table
untouched. Nothing about y and x is guessed: they come from columns that the user or a preset names.

Tables of 31 million rows are normal. A label that many cells share is held once, as a category, from the moment
it is read; the table's own texts are never all in memory.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import polars as pl

from contrascope import vocabulary as v
from contrascope.config import CellTableSettings, ControlRule
from contrascope.errors import SettingsError, TableError, first_few
from contrascope.screen.guides import refuse_mixed_guides
from contrascope.screen.labels import part_of, stripped, text_of, without_blanks
from contrascope.screen.presets import TablePreset, preset_control, preset_named, preset_sources
from contrascope.screen.table_files import LateTypeError, collected, scan_table
from contrascope.screen.tiles import canonical_name, canonical_well

_INTERNAL = (v.CONTROL, v.FIELD_DISTANCE, v.SPLIT, "tile_index", "height", "width", "reason")
"""Names that later stages give to columns of their own."""
LABELS = (v.PLATE, v.WELL, v.TILE, v.GUIDE, v.PERTURBATION, v.STAGE, v.BATCH)
"""Our columns of text that many cells share."""
_OURS = (*v.REQUIRED, *v.OPTIONAL, v.BATCH)
_JOIN = "_"
"""Between the parts of a label that is made from several columns; a well is its row and column without it."""
_LOOKED_AT = 10_000
"""Rows of a CSV by which types are told, unless they turn out to be wrong."""
_CANONICAL = {v.PLATE: canonical_name, v.WELL: canonical_well, v.TILE: canonical_name}
_OF_PLACES = (v.GUIDE, v.PERTURBATION, v.BATCH, v.STAGE)
"""Labels that may be made of a place, on plates whose wells are replicates."""
_OUR_OWN = TablePreset(columns={name: [name] for name in _OURS})


def read_cells(settings: CellTableSettings) -> pl.DataFrame:
    """The cell table under our names, in the table's order.

    Returns:
        One row a cell: ``plate well tile guide perturbation batch`` as categories, ``cell_id`` as text, ``y x`` as
        float, ``control`` as bool, then optional and further columns.

    Raises:
        TableError: The file cannot be read, a column is missing, an id stands twice, a place is unknown,
            a guide has several perturbations, or there are no controls.
        SettingsError: An unknown preset or an unknown name under ``columns``.
    """
    try:
        return _read_cells(settings, infer=_LOOKED_AT)
    except LateTypeError:  # rare, and to look at all rows costs a reading of the file
        return _read_cells(settings, infer=None)


def _read_cells(settings: CellTableSettings, *, infer: int | None) -> pl.DataFrame:
    """``read_cells``, with types told by so many rows of a CSV."""
    preset = preset_named(settings.preset) if settings.preset is not None else _OUR_OWN
    table = scan_table(settings.table, key=settings.key, infer=infer)
    mapping = _mapping(table.collect_schema().names(), preset, settings)
    table = _with_texts(table, mapping, settings, infer)
    cells = _with_batch(without_blanks(_renamed(table, mapping, preset, settings), LABELS))
    have_ids = v.CELL_ID in cells.columns
    cells = cells if have_ids else _numbered(cells)
    _refuse_unplaced(cells, settings.table)
    (_refuse_duplicates if have_ids else _refuse_repeated)(cells, settings.table)
    cells = cells.with_columns(_is_control(cells, table, preset, settings).alias(v.CONTROL))
    refuse_mixed_guides(cells, where=str(settings.table))
    return cells


def as_text(cells: pl.LazyFrame) -> pl.LazyFrame:
    """The same cells with categories as text, as they are stored."""
    categories = [name for name, dtype in cells.collect_schema().items() if name in LABELS and dtype == pl.Categorical]
    return cells.with_columns(pl.col(categories).cast(pl.String))


def _mapping(columns: list[str], preset: TablePreset, settings: CellTableSettings) -> dict[str, list[str]]:
    """Our name -> the table's columns it is made of."""
    for name in (*settings.columns, *settings.constants):
        if name not in _OURS:
            raise SettingsError(f"cells.columns names '{name}', which is none of ours: {', '.join(_OURS)}.")
    if fixed := [name for name in (v.CELL_ID, v.Y, v.X) if name in settings.constants]:
        raise SettingsError(f"cells.constants gives one {fixed[0]} to all cells. Name a column under cells.columns.")
    # What a preset calls optional may be absent from a table; what the user names may not.
    usable = preset_sources(preset, columns, settled=[*settings.columns, *settings.constants])
    named = {k: [c] if isinstance(c, str) else list(c) for k, c in settings.columns.items()}
    extra = {k: [k] for k in (v.TILE_ROW, v.TILE_COLUMN) if k in columns}
    found = extra | {k: list(c) for k, c in usable.items()} | named
    return {k: c for k, c in found.items() if k not in settings.constants}


def _with_texts(
    table: pl.LazyFrame, mapping: dict[str, list[str]], settings: CellTableSettings, infer: int | None
) -> pl.LazyFrame:
    """The table, its labels as they are written: of a CSV, types are told by looks, and the guide 007 looks like 7."""
    schema = table.collect_schema()
    texts = {c for name in (*LABELS, v.CELL_ID) for c in mapping.get(name, ())}
    changed = [c for c in texts if c in schema and schema[c] != pl.String]
    return scan_table(settings.table, key=settings.key, infer=infer, texts=changed) if changed else table


def _renamed(
    table: pl.LazyFrame, mapping: dict[str, list[str]], preset: TablePreset, settings: CellTableSettings
) -> pl.DataFrame:
    schema = table.collect_schema()
    _refuse_missing(schema.names(), mapping, settings)
    table, respelled = _with_places_respelled(table, mapping, settings)
    types = table.collect_schema()
    ours = {
        name: _column(types, name, [respelled.get(c, c) if name in _OF_PLACES else c for c in columns])
        for name, columns in mapping.items()
    }
    ours |= {name: pl.lit(value) for name, value in settings.constants.items()}
    if v.CELL_ID not in ours and preset.cell_number in schema:
        number = pl.col(str(preset.cell_number)).cast(pl.String)
        ours[v.CELL_ID] = pl.concat_str([ours[v.PLATE], ours[v.WELL], ours[v.TILE], number], separator=_JOIN)
    ours = {name: column.cast(pl.Categorical) if name in LABELS else column for name, column in ours.items()}
    used = {c[0] for c in mapping.values() if len(c) == 1}
    rest = {name: pl.col(c) for c, name in _names_of_rest([c for c in schema if c not in used]).items()}
    return collected(table.select(**{name: ours[name] for name in _OURS if name in ours}, **rest), settings.table)


def _with_places_respelled(
    table: pl.LazyFrame, mapping: dict[str, list[str]], settings: CellTableSettings
) -> tuple[pl.LazyFrame, dict[str, str]]:
    """Also the canonical spelling of places that guides, batches and such are made of; column -> what it is called."""
    schema, found = table.collect_schema(), dict[str, str]()
    parts = {c for name in _OF_PLACES for c in mapping.get(name, ())}
    for name, canonical in _CANONICAL.items():
        column = mapping.get(name, [""])[0]
        if len(mapping.get(name, ())) != 1 or column not in parts:
            continue
        text = part_of(column, schema[column])
        written = collected(table.select(text.unique()), settings.table).to_series().drop_nulls().to_list()
        if (names := [canonical(one) for one in written]) != written:
            found[column] = f"{column}, as {name} is spelled here"
            table = table.with_columns(text.replace(written, names).alias(found[column]))
    return table, found


def with_canonical_places(cells: pl.DataFrame) -> pl.DataFrame:
    """Plates, wells and tiles in one spelling: ``A1`` and ``A01`` are one well."""
    out = {}
    for name, canonical in _CANONICAL.items():
        if name not in cells.columns:
            continue
        spellings = cells[name].unique().to_list()
        names = [s if s is None else canonical(s) for s in spellings]
        if names != spellings:
            out[name] = cells[name].replace_strict(spellings, names, return_dtype=pl.Categorical)
    return cells.with_columns(**out)


def _with_batch(cells: pl.DataFrame) -> pl.DataFrame:
    """A batch is a well of a plate where no column says what it is: one batch, however the well is spelled."""
    if v.BATCH in cells.columns:
        return cells
    place = [pl.col(name).cast(pl.String) for name in (v.PLATE, v.WELL)]
    batch = pl.concat_str(place, separator=_JOIN).cast(pl.Categorical).alias(v.BATCH)
    spelled = with_canonical_places(cells.select(v.PLATE, v.WELL)).lazy()
    return _ours_first(cells.hstack(spelled.select(batch).collect(engine="streaming")))


def _numbered(cells: pl.DataFrame) -> pl.DataFrame:
    """Cells without an id, called by their row."""
    return _ours_first(cells.with_columns(pl.int_range(pl.len()).cast(pl.String).alias(v.CELL_ID)))


def _ours_first(cells: pl.DataFrame) -> pl.DataFrame:
    ours = [name for name in _OURS if name in cells.columns]
    return cells.select(*ours, pl.exclude(ours))


def _names_of_rest(columns: list[str]) -> dict[str, str]:
    """A further column -> its name among ours: its own, unless that is one of ours or taken."""
    taken, names = {*_OURS, *_INTERNAL}, dict[str, str]()
    for column in sorted(columns, key=lambda c: c in taken):
        name = column
        while name in taken:
            name = f"table_{name}"
        names[column] = name
        taken.add(name)
    return {column: names[column] for column in columns}


def _column(schema: pl.Schema, name: str, columns: list[str]) -> pl.Expr:
    if name in (v.Y, v.X) and len(columns) > 1:
        raise SettingsError(f"cells.columns makes {name} of several columns: {', '.join(columns)}. Name one.")
    if len(columns) > 1:
        between = "" if name == v.WELL else _JOIN
        parts = [part_of(c, schema[c]) for c in columns]
        if name in (v.GUIDE, v.PERTURBATION):  # a control has no dose
            return pl.when(parts[0].is_not_null()).then(pl.concat_str(parts, separator=between, ignore_nulls=True))
        return pl.concat_str(parts, separator=between)
    if name in (v.Y, v.X):
        if not schema[columns[0]].is_numeric():
            raise TableError(
                f"The column '{columns[0]}' was named as {name}, but holds {schema[columns[0]]}. "
                f"Numbers, in pixels of the tile, were needed."
            )
        return pl.col(columns[0]).cast(pl.Float64)
    return text_of(columns[0], schema[columns[0]]) if name in (*LABELS, v.CELL_ID) else pl.col(columns[0])


def _refuse_missing(there: list[str], mapping: dict[str, list[str]], settings: CellTableSettings) -> None:
    asked = {name: mapping.get(name, [name]) for name in (*v.REQUIRED, *mapping) if name not in settings.constants}
    lacking: dict[str, list[str]] = {}
    for name, columns in asked.items():
        for c in columns:
            if c not in there:
                lacking.setdefault(c, []).append(name)
    if not lacking:
        return
    close = {c: difflib.get_close_matches(c, there, 1) for c in lacking}
    wanted = ", ".join(
        f"'{c}' (as {' and '.join(names)}{f'; do you mean {close[c][0]}?' if close[c] else ''})"
        for c, names in lacking.items()
    )
    raise TableError(
        f"The cell table {settings.table} lacks the columns {wanted}. It has {first_few(there, 30)}. "
        f"Name the right columns under cells.columns, or give one value for all cells under cells.constants."
        + " Where there are no guides, name the perturbation's column as guide too."
        * any(names == [v.GUIDE] for names in lacking.values())
    )


def _refuse_unplaced(cells: pl.DataFrame, path: Path) -> None:
    """Every cell must lie somewhere: a tile that is named and a position that is a number."""
    for name in (v.PLATE, v.WELL, v.TILE, v.CELL_ID, v.BATCH):
        if n := cells[name].null_count():
            raise TableError(f"{n:,} cells of {path} have no {name}. Fill the column, or take these cells out.")
    for name in (v.Y, v.X):
        bad = ~cells[name].fill_null(float("nan")).is_finite()
        if n := int(bad.sum()):
            raise TableError(
                f"{n:,} of {cells.height:,} cells of {path} have no finite {name}: "
                f"cell {first_few(cells.filter(bad)[v.CELL_ID], 3)}. A position in pixels was needed for each cell. "
                f"Correct the column, or take these cells out."
            )


def _refuse_duplicates(cells: pl.DataFrame, path: Path) -> None:
    # Their hashes come first: a set of millions of texts would be the largest thing in memory.
    hashes = cells[v.CELL_ID].hash().sort()
    if not (hashes[1:] == hashes[:-1]).any():
        return
    repeated = cells[v.CELL_ID].is_duplicated()
    if n := int(repeated.sum()):
        ids = cells[v.CELL_ID].filter(repeated).unique(maintain_order=True)
        raise TableError(
            f"{n:,} cells of {path} share their cell_id with another: {first_few(ids, 3)}. "
            f"Each cell needs an id of its own. Name another column as cell_id, or several that together tell cells "
            f"apart (cells.columns: {{cell_id: [plate, well, tile, cell]}}), or take repeated rows out of the table."
        )


def _refuse_repeated(cells: pl.DataFrame, path: Path) -> None:
    """Make sure that no row stands twice, which an id that we gave would hide."""
    told = cells.drop(v.CELL_ID)
    hashes = told.hash_rows().sort()
    if not (hashes[1:] == hashes[:-1]).any():
        return
    if n := int((repeated := told.is_duplicated()).sum()):
        place = cells.filter(repeated).row(0, named=True)
        raise TableError(
            f"{n:,} rows of {path} are in every column what another is (plate {place[v.PLATE]}, well {place[v.WELL]}, "
            f"tile {place[v.TILE]}, y {place[v.Y]:g}, x {place[v.X]:g} for instance): one cell would be counted as "
            f"several. Take repeated rows out of the table."
        )


def _is_control(
    cells: pl.DataFrame, table: pl.LazyFrame, preset: TablePreset, settings: CellTableSettings
) -> pl.Series:
    columns = table.collect_schema().names()
    rule = preset_control(preset, columns) if settings.control is None else settings.control
    if isinstance(rule, ControlRule):
        if rule.column not in columns:
            raise TableError(
                f"cells.control names the column '{rule.column}', which the cell table {settings.table} lacks. "
                f"It has {first_few(columns, 30)}."
            )
        column = text_of(rule.column, table.collect_schema()[rule.column]).cast(pl.Categorical)
        labels, values = stripped(collected(table.select(column), settings.table).to_series()), rule.values
        where = f"column '{rule.column}'"
    else:
        labels, values = cells[v.PERTURBATION], [rule] if isinstance(rule, str) else rule
        where = "the perturbation column"
    names, controls = labels.unique().drop_nulls().cast(pl.String), list[str]()
    for value in (value.strip() for value in values):
        these = names.filter(names.str.starts_with(value[:-1]) if value.endswith("*") else names == value)
        if these.is_empty():
            common = labels.alias("label").value_counts(sort=True)["label"].drop_nulls()
            raise TableError(
                f"No cell is a control: '{value}' does not occur in {where} of {settings.table}, whose most frequent "
                f"labels are {first_few(common, 8)}. Name the label of the controls under cells.control."
            )
        controls += these.to_list()
    control = labels.is_in(controls).fill_null(value=False)
    if control.all():
        raise TableError(
            f"All {cells.height:,} cells of {settings.table} are controls by cells.control: {values}. "
            f"Perturbed cells were needed too."
        )
    return control
