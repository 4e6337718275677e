"""Files that hold a table: CSV, TSV, Parquet, HDF5. What they say comes out as one table, or is refused.

HDF5 is read for what it is: datasets. pandas stores texts in its fixed format, and column names in its table
format, as pickles; a pickle runs code when it is loaded, so the first are refused and the second are read as a
list of words, opcode by opcode, and never loaded.
"""

from __future__ import annotations

import hashlib
import pickletools
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]

from contrascope.errors import TableError, first_few, reason_of

_HDF5 = (".h5", ".hdf5", ".hdf")
_ROWS = 1_000_000
"""Rows of a compound dataset that are held twice at a time."""
_INDEX = "index"
"""What the index of a pandas table is called here."""
_LIST_OF_WORDS = {"PROTO", "FRAME", "MARK", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "STOP"} | {
    "PUT",
    "BINPUT",
    "LONG_BINPUT",
    "MEMOIZE",
}
_WORDS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_NOT_AS_BEFORE = "could not parse"


class LateTypeError(TableError):
    """A column of a CSV is not what its first rows look like."""


def scan_table(
    path: Path, *, key: str | None = None, infer: int | None = 10_000, texts: Collection[str] = ()
) -> pl.LazyFrame:
    """A table as it stands in its file, or in the files of its folder in the order of their names.

    Of Parquet and CSV only the columns are looked at; ``collected`` reads what is wanted of it.

    Args:
        path: CSV or TSV (also .gz), Parquet or HDF5; or a folder of Parquet files, whose sub-folders may be
            called ``column=value``.
        key: Which table of an HDF5 file; may be left out if there is one.
        infer: Rows of a CSV by which types are told; None for all, which reads it once more.
        texts: Columns of a CSV that are texts, whatever they look like.

    Raises:
        TableError: Not there, of another kind, unreadable or without rows.
    """
    scan = _scanner(path, key, infer, texts)
    with _reading(path):
        table = scan()
        empty = table.select(pl.first()).head(1).collect().is_empty()
    if empty:  # before types are looked at: a CSV of a header alone says that all is text
        raise TableError(f"The cell table {path} has no rows. A row for each cell was needed.")
    return table


def collected(table: pl.LazyFrame, path: Path) -> pl.DataFrame:
    """What is wanted of a table that was scanned, read some rows at a time.

    Args:
        table: The table with what is to be done to it.
        path: Where it is, for messages.

    Raises:
        LateTypeError: A column of a CSV is of another type than the rows say that were looked at when it was scanned.
        TableError: Unreadable, or not of the types that are wanted.
    """
    with _reading(path):
        return table.collect(engine="streaming")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What goes wrong while a table is read, as an error of the table."""
    try:
        yield
    except FileNotFoundError:
        raise TableError(f"There is no cell table {path}. Check cells.table in the screen file.") from None
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, UnicodeDecodeError, EOFError) as error:
        kind = LateTypeError if _NOT_AS_BEFORE in str(error) else TableError
        raise kind(
            f"The cell table {path} cannot be read: {reason_of(error)}. A whole file, with texts or numbers for "
            f"labels, was needed."
        ) from None


def digest_of_table(path: Path) -> str:
    """SHA-256 of a table's bytes; of a folder, of its files' names and bytes."""
    if not path.is_dir():
        return _sha256(path)
    parts = [f"{file.relative_to(path).as_posix()} {_sha256(file)}" for file in _parts(path)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _scanner(path: Path, key: str | None, infer: int | None, texts: Collection[str]) -> Callable[[], pl.LazyFrame]:
    name = path.name.lower()
    kind = Path(name.removesuffix(".gz")).suffix
    compressed = name.endswith(".gz")
    if key is not None and kind not in _HDF5:
        raise TableError(f"cells.key is '{key}', but {path} is not HDF5 and holds one table. Leave cells.key out.")
    if path.is_dir():
        return lambda: _scan_folder(path)
    if kind in (".csv", ".tsv"):
        separator, types = "\t" if kind == ".tsv" else ",", dict.fromkeys(texts, pl.String)
        return lambda: pl.scan_csv(
            path, separator=separator, infer_schema_length=infer, schema_overrides=types, glob=False
        )
    if kind == ".parquet" and not compressed:
        return lambda: pl.scan_parquet(path, glob=False)
    if kind in _HDF5 and not compressed:
        return lambda: _read_hdf5(path, key).lazy()
    raise TableError(
        f"The cell table {path} is of a kind we do not read. A .csv, .tsv (also .gz), .parquet, "
        f"{', '.join(_HDF5)} file or a folder of .parquet files was needed."
    )


def _parts(folder: Path) -> list[Path]:
    """Parquet files of a folder and those below; what is hidden (``_metadata``, ``.tmp``) is not a part."""
    files = [file for file in folder.rglob("*.parquet") if file.is_file()]
    return sorted(f for f in files if not any(p.startswith(("_", ".")) for p in f.relative_to(folder).parts))


def _scan_folder(folder: Path) -> pl.LazyFrame:
    if not (files := _parts(folder)):
        raise TableError(
            f"The cell table {folder} is a folder without .parquet files. A file, or a folder of Parquet, was needed."
        )
    return pl.concat([_scan_part(file, folder) for file in files])


def _scan_part(file: Path, folder: Path) -> pl.LazyFrame:
    """One file of a folder, with what the names of its sub-folders say of it."""
    said = dict(part.split("=", 1) for part in file.relative_to(folder).parts[:-1] if "=" in part)
    table = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    there = table.collect_schema()
    return table.with_columns(pl.lit(value).alias(name) for name, value in said.items() if name not in there)


def _read_hdf5(path: Path, key: str | None) -> pl.DataFrame:
    with h5py.File(path, "r") as file:
        node = _node(file, key, path)
        where = f"{path}:{node.name}"
        if isinstance(node, h5py.Dataset):
            return _compound(node, {}, where)
        kind = _text(node.attrs.get("pandas_type", ""))
        if kind == "frame":
            return _pandas_fixed(node, where)
        if kind == "frame_table":
            return _pandas_table(node, where)
        if kind:
            raise TableError(f"{where} is a {kind} of pandas. A table, saved from a DataFrame, was needed.")
        return _plain(node, where)


def _node(file: h5py.File, key: str | None, path: Path) -> Any:
    """The group or dataset that is the table."""
    if key is not None:
        if key not in file:
            raise TableError(f"{path} has no '{key}'. It has {first_few(_tables(file)) or 'no table'}: set cells.key.")
        return file[key]
    found = list(_tables(file))
    if len(found) != 1:
        there = f"{len(found)} tables: {first_few(found)}" if found else "no table"
        raise TableError(f"{path} holds {there}. Say which one is the cell table under cells.key.")
    return file[found[0]]


def _tables(group: Any) -> Iterator[str]:
    """Names of what looks like a table: what pandas wrote, compound datasets, groups of columns."""
    children = [group[name] for name in group]
    columns = [c for c in children if isinstance(c, h5py.Dataset) and c.ndim == 1 and c.dtype.names is None]
    if "pandas_type" in group.attrs or columns:
        yield group.name
        return
    for child in children:
        if isinstance(child, h5py.Group):
            yield from _tables(child)
        elif child.dtype.names is not None:
            yield child.name


def _plain(group: Any, where: str) -> pl.DataFrame:
    """A group with one dataset a column."""
    columns = {name: group[name] for name in group if isinstance(group[name], h5py.Dataset)}
    shapes = {name: dataset.shape for name, dataset in columns.items()}
    if not columns or len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        what = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "no datasets"
        raise TableError(f"{where} holds {what}. One dataset a column, all of one length, was needed.")
    return pl.DataFrame([_series(name, dataset, where) for name, dataset in columns.items()])


def _compound(dataset: Any, names: dict[str, list[str]], where: str, *, missing: str | None = None) -> pl.DataFrame:
    """A dataset of records. A field of several values is so many columns, which ``names`` names."""
    kind = dataset.id.get_type()
    bits = {field for i, field in enumerate(dataset.dtype.names) if _is_bits(kind.get_member_type(i))}
    parts = []
    for start in range(0, len(dataset), _ROWS):
        rows = dataset[start : start + _ROWS]
        columns: list[pl.Series] = []
        for field in rows.dtype.names:
            values = rows[field].reshape(len(rows), -1)
            values = values.astype(bool) if field in bits else values
            called = names.get(field, [field])
            if len(called) != values.shape[1]:
                raise TableError(f"{where} has {values.shape[1]} values in '{field}' and {len(called)} names for them.")
            columns += [_values(name, values[:, i], where, missing) for i, name in enumerate(called)]
        parts.append(pl.DataFrame(columns))
    return pl.concat(parts) if parts else pl.DataFrame()


def _pandas_table(group: Any, where: str) -> pl.DataFrame:
    """What ``to_hdf(format="table")`` writes: records, whose blocks of equal type have lists of names."""
    table = group["table"]
    names = {}
    for field in table.dtype.names:
        if _text(table.attrs.get(f"{field}_meta", "")) == "category":
            raise TableError(
                f"{where} stores '{field}' as a pandas category. Save texts instead (column.astype(str)), or Parquet."
            )
        if field != _INDEX:
            names[field] = _pickled_words(table.attrs.get(f"{field}_kind"), f"{where}, names of '{field}'")
    missing = _text(group.attrs.get("nan_rep", "nan"))
    return _without_counting_index(_compound(table, names, where, missing=missing))


def _pandas_fixed(group: Any, where: str) -> pl.DataFrame:
    """What ``to_hdf`` writes by default: one matrix for the columns of each type."""
    columns: dict[str, pl.Series] = {_INDEX: _series(_INDEX, group["axis1"], where)} if "axis1" in group else {}
    for block in range(int(group.attrs["nblocks"])):
        names = _series("names", group[f"block{block}_items"], where).cast(pl.String).to_list()
        values = group[f"block{block}_values"]
        _refuse_pickled(values, f"{where}, columns {first_few(names)}")
        matrix = values[...] if "transposed" in values.attrs else values[...].T
        matrix = matrix.astype(bool) if _is_bits(values.id.get_type()) else matrix
        kind = _text(values.attrs.get("value_type", ""))
        for i, name in enumerate(names):
            column = _values(name, matrix[:, i], where, None)
            columns[name] = column.cast(pl.Datetime("ns")) if kind.startswith("datetime64") else column
    order = _series("names", group["axis0"], where).cast(pl.String).to_list()
    return _without_counting_index(pl.DataFrame([columns[name] for name in (_INDEX, *order) if name in columns]))


def _without_counting_index(table: pl.DataFrame) -> pl.DataFrame:
    """An index that only counts the rows is no column."""
    if _INDEX not in table.columns or not table[_INDEX].dtype.is_integer():
        return table
    counts = table.select((pl.col(_INDEX) == pl.int_range(pl.len())).all()).item()
    return table.drop(_INDEX) if counts else table


def _series(name: str, dataset: Any, where: str) -> pl.Series:
    """A dataset of one dimension as a column."""
    _refuse_pickled(dataset, f"{where}, '{name}'")
    if (text := h5py.check_string_dtype(dataset.dtype)) is not None and text.length is None:
        return pl.Series(name, pa.array(dataset.asstr()[...], pa.large_string(), from_pandas=True))
    values = dataset[...]
    return _values(name, values.astype(bool) if _is_bits(dataset.id.get_type()) else values, where, None)


def _is_bits(kind: Any) -> bool:
    """Whether values are truth as PyTables writes it, as bits that h5py reads as numbers."""
    if kind.get_class() == h5py.h5t.ARRAY:
        kind = kind.get_super()
    return bool(kind.get_class() == h5py.h5t.BITFIELD)


def _values(name: str, values: np.ndarray, where: str, missing: str | None) -> pl.Series:
    """Numbers, truth or texts of fixed length as a column; the text ``missing`` is none."""
    if values.dtype.kind in "iufb":
        return pl.Series(name, np.ascontiguousarray(values, values.dtype.newbyteorder("=")))
    if values.dtype.kind != "S":
        raise TableError(f"{where} stores '{name}' as {values.dtype}. Numbers or texts were needed.")
    texts = pl.Series(name, pa.array(np.ascontiguousarray(values), pa.large_binary()).cast(pa.large_string()))
    return texts if missing is None else texts.replace(missing, None)


def _refuse_pickled(dataset: Any, where: str) -> None:
    attributes = dataset.attrs
    if _text(attributes.get("PSEUDOATOM", "")) == "object" or _text(attributes.get("kind", "")) == "object":
        raise TableError(
            f"{where} is stored as a pickle, which can run code when it is loaded; we never load one. "
            f"Save the table as Parquet, or with to_hdf(..., format='table')."
        )


def _pickled_words(pickled: object, where: str) -> list[str]:
    """The words of a pickled list of words, without loading it."""
    raw = pickled if isinstance(pickled, bytes) else bytes(np.asarray(pickled)) if pickled is not None else b""
    try:
        opcodes = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(raw)]
    except (ValueError, IndexError, UnicodeDecodeError):
        opcodes = [("damaged", None)]
    if any(name not in _LIST_OF_WORDS | _WORDS for name, _ in opcodes):
        raise TableError(f"{where}: a list of column names was needed, and they are not. Save the table as Parquet.")
    return [str(argument) for name, argument in opcodes if name in _WORDS]


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
