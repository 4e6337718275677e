"""Tables of an SQLite database, read some rows at a time.

SQLite gives every value a type of its own: a column of numbers may hold the text ``nan``. Types are therefore asked of
the values, and what is no number among numbers becomes NaN.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import polars as pl
from polars.io.plugins import register_io_source

from contrascope.errors import TableError

ENDINGS = (".sqlite", ".sqlite3", ".db")
_ROWS = 20_000


def tables_in(path: Path) -> dict[str, pl.LazyFrame]:
    """Name -> table, for every table of a database that has rows.

    Raises:
        TableError: No SQLite database, or a damaged one.
    """
    try:
        with closing(_opened(path)) as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            schemas = {name: _schema(database, name) for name in names if _has_rows(database, name)}
    except sqlite3.Error as error:
        raise TableError(
            f"{path} cannot be read as an SQLite database: {error}. A whole database was needed."
        ) from None
    return {name: _lazy(path, name, schema) for name, schema in schemas.items()}


def _opened(path: Path) -> sqlite3.Connection:
    # polars goes on with a generator in another of its threads, one at a time.
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, check_same_thread=False)


def _has_rows(database: sqlite3.Connection, name: str) -> bool:
    return database.execute(f"SELECT 1 FROM {_quoted(name)} LIMIT 1").fetchone() is not None


def _schema(database: sqlite3.Connection, name: str) -> pl.Schema:
    """Numbers where a column was declared or holds numbers; else texts."""
    declared = [(row[1], str(row[2]).upper()) for row in database.execute(f"PRAGMA table_info({_quoted(name)})")]
    first = database.execute(f"SELECT * FROM {_quoted(name)} LIMIT 1000").fetchall()
    values = dict(zip((column for column, _ in declared), zip(*first, strict=True), strict=True))
    return pl.Schema({column: _type(column, kind, values[column]) for column, kind in declared})


def _type(name: str, declared: str, values: tuple[object, ...]) -> pl.DataType:
    """Of a column; measurements are floats whatever they were declared, for a declaration binds nobody here."""
    known = [value for value in values if value is not None]
    if "INT" in declared and name.lower().endswith(("number", "id")):
        return pl.Int64()
    if "CHAR" in declared or "TEXT" in declared or not all(isinstance(value, int | float) for value in known):
        numeric = any(word in declared for word in ("INT", "REAL", "FLOA", "DOUB", "NUM", "DEC"))
        return pl.Float64() if numeric else pl.String()
    return pl.Float64()


def _lazy(path: Path, name: str, schema: pl.Schema) -> pl.LazyFrame:
    def read(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        wanted = list(schema) if columns is None else columns
        asked = f"SELECT {', '.join(map(_quoted, wanted)) or '1'} FROM {_quoted(name)}"
        with closing(_opened(path)) as database:
            cursor = database.execute(asked if n_rows is None else f"{asked} LIMIT {int(n_rows)}")
            while rows := cursor.fetchmany(_ROWS):
                read = pl.DataFrame(
                    [_series(c, v, schema[c]) for c, v in zip(wanted, zip(*rows, strict=True), strict=True)]
                )
                yield read if predicate is None else read.filter(predicate)

    return register_io_source(read, schema=schema, is_pure=True)


def _series(name: str, values: tuple[object, ...], kind: pl.DataType) -> pl.Series:
    """Values as a column of this type; bytes and texts that are no number are null."""
    known = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    if kind == pl.String:
        return pl.Series(name, [None if value is None else str(value) for value in known], pl.String)
    if kind == pl.Int64 and all(value is None or isinstance(value, int) for value in known):
        return pl.Series(name, known, pl.Int64)  # beyond 2^53, floats do not tell integers apart
    if all(value is None or isinstance(value, int | float) for value in known):
        return pl.Series(name, known, pl.Float64, strict=False).cast(kind, strict=False)
    texts = pl.Series(name, [None if value is None else str(value) for value in known], pl.String)
    return texts.cast(pl.Float64, strict=False).cast(kind, strict=False)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
