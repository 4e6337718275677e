"""Crops in an LMDB: raw little-endian uint16 pixels under keys of one of two styles.

``keys="compound"``: ``{UID}_{plate}_{well}_{tile}_{gene}_{index}``, as of the crops of optical pooled screens.
    With a cell table a row's key is its ``cell_id plate well tile perturbation``, joined as they are spelled,
    and any number. Without one the table is made from the keys: UID and index have no underscore, and
    ``_{well}_{tile}_`` (``_A1_7_``) must be found at one place only; a key that could be cut in two ways is
    refused. The guide is not in the key: the gene then stands for it.
``keys="index"``: the key is one value, a whole number in decimals or a UID, that stands in a column of the
    table (``key``), ``cell_id`` if none is named.

Keys that begin with two underscores are notes of whoever wrote the file, not images.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from contrascope import vocabulary as v
from contrascope.errors import SettingsError, StoreError
from contrascope.store.importers.source import (
    NO_IMAGE,
    ForeignCrops,
    checked_axes,
    checked_channels,
    in_our_order,
    needed_column,
    needed_table,
    sampled,
    shape_in_our_order,
    unreadable,
)

_DTYPE = np.dtype("<u2")
_NOTE = b"__"
_PLACE = re.compile(r"(?=_([A-Za-z]{1,2}[0-9]{1,2})_([0-9]+)_)")
_AT_ONCE = 100_000


def lmdb(
    source: str | Path,
    *,
    cells: pl.DataFrame | None,
    channels: Sequence[str] | None,
    shape: Sequence[int],
    axes: str,
    keys: Literal["compound", "index"],
    key: str = v.CELL_ID,
) -> ForeignCrops:
    """Raw uint16 crops in an LMDB.

    Args:
        source: The database: a folder with ``data.mdb``, or the file itself.
        cells: The cell table; with compound keys it may be left out.
        channels: Names of the channels.
        shape: Lengths of an image's axes, in the order of ``axes``.
        axes: Order of the axes, ``CHW`` or ``HWC`` for instance.
        keys: Style of the keys (top of this module).
        key: With ``keys="index"``, the column with the key of a row's image.
    """
    source, axes = Path(source), checked_axes(axes, "CHW")
    lengths = _checked_shape(shape)
    C_H_W = shape_in_our_order(lengths, axes)
    if keys not in ("compound", "index"):
        raise SettingsError(f"keys is '{keys}'. compound and index are the styles we know.")
    with _reading(source) as transaction:
        images = _count(transaction)
        if keys == "index":
            cells = needed_table(cells, "Keys that are a number say nothing of a cell.")
            found = needed_column(cells, key, "key").cast(pl.String)
        elif cells is None:
            cells, found = _table_of_keys(transaction, source)
        else:
            found = _keys_of_rows(transaction, cells)
        image = _there(transaction, found, int(np.prod(lengths)) * _DTYPE.itemsize, source)

    def read(numbers: np.ndarray) -> np.ndarray:
        with _reading(source) as asked:
            raw = [np.frombuffer(asked.get(found[int(i)].encode()), _DTYPE).reshape(lengths) for i in numbers]
            return in_our_order(np.stack(raw), "N" + axes).astype(np.uint16, copy=False)

    names = checked_channels(channels, C_H_W[0], f"The images in {source}")
    file = source / "data.mdb" if source.is_dir() else source
    return ForeignCrops(cells, image, images, names, C_H_W, np.dtype(np.uint16), read, [sampled(file), images])


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, Sequence) or not all(isinstance(n, int) and n > 0 for n in shape):
        raise SettingsError(f"shape is {shape!r}. The lengths of an image's axes were needed, [4, 100, 100] say.")
    return tuple(shape)


@contextmanager
def _reading(source: Path) -> Iterator[Any]:
    """A transaction that reads, and leaves no lock behind."""
    try:
        import lmdb
    except ImportError:
        raise SettingsError(
            "LMDB is read through the package lmdb. Install it: pip install 'contrascope[lmdb]'."
        ) from None
    try:
        with (
            lmdb.open(str(source), subdir=source.is_dir(), readonly=True, lock=False, readahead=False) as database,
            database.begin(buffers=True) as transaction,
        ):
            yield transaction
    except lmdb.Error as error:
        raise unreadable(source, "an LMDB", error) from None


def _count(transaction: Any) -> int:
    """Images in the database: its entries but for notes."""
    cursor, notes = transaction.cursor(), 0
    there = cursor.set_range(_NOTE)
    while there and bytes(cursor.key()).startswith(_NOTE):
        notes += 1
        there = cursor.next()
    return int(transaction.stat()["entries"]) - notes


def _there(transaction: Any, keys: pl.Series, size: int, source: Path) -> np.ndarray:
    """The row itself where its key has an image, which must be of the right size."""
    image = np.full(len(keys), NO_IMAGE)
    for row, key in enumerate(keys):
        data = transaction.get(key.encode()) if key else None
        if data is None:
            continue
        if len(data) != size:
            raise StoreError(
                f"The image {key} in {source} has {len(data):,} bytes; {size:,} were needed for its shape in uint16. "
                f"Correct shape."
            )
        image[row] = row
    return image


def _keys_of_rows(transaction: Any, cells: pl.DataFrame) -> pl.Series:
    """Of each row, the one key that begins with what the row says; null if there is none."""
    parts = [v.CELL_ID, v.PLATE, v.WELL, v.TILE, v.PERTURBATION]
    for part in parts:
        needed_column(cells, part, "columns: " + part)
    begin = cells.select(pl.concat_str([pl.col(p).cast(pl.String) for p in parts], separator="_") + "_").to_series()
    cursor = transaction.cursor()
    return pl.Series([None if text is None else _one_key(cursor, text) for text in begin], dtype=pl.String)


def _one_key(cursor: Any, begin: str) -> str | None:
    found = []
    there = cursor.set_range(begin.encode())
    while there and bytes(cursor.key()).startswith(begin.encode()):
        text = bytes(cursor.key()).decode()
        if text[len(begin) :].isdecimal():
            found.append(text)
        there = cursor.next()
    if len(found) > 1:
        raise StoreError(f"The images {', '.join(found[:3])} stand for one cell. Name the key of each (keys=index).")
    return found[0] if found else None


def _table_of_keys(transaction: Any, source: Path) -> tuple[pl.DataFrame, pl.Series]:
    """A cell table out of compound keys, and the keys."""
    tables: list[pl.DataFrame] = []
    rows: list[dict[str, str]] = []
    for raw in transaction.cursor().iternext(keys=True, values=False):
        if not bytes(raw).startswith(_NOTE):
            rows.append(_parsed(bytes(raw), source))
        if len(rows) == _AT_ONCE:
            tables, rows = [*tables, _table(rows)], []
    cells = pl.concat([*tables, _table(rows)])
    if cells.is_empty():
        raise StoreError(f"{source} holds no image. Give the database with the crops.")
    return cells.drop("key"), cells["key"]


def _table(rows: list[dict[str, str]]) -> pl.DataFrame:
    names = ("key", v.CELL_ID, v.PLATE, v.WELL, v.TILE, v.PERTURBATION, v.GUIDE)
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))


def _parsed(raw: bytes, source: Path) -> dict[str, str]:
    """``{UID}_{plate}_{well}_{tile}_{gene}_{index}`` taken apart, if it can be in one way only."""
    key = raw.decode(errors="replace")
    uid, _, rest = key.partition("_")
    middle, _, index = rest.rpartition("_")
    # A plate and a gene are at least a letter each, so the well cannot be first nor the tile last.
    places = [m for m in _PLACE.finditer(middle) if m.start() > 0 and len(middle) > m.end(2) + 1]
    if not uid or not index.isdecimal() or len(places) != 1:
        why = "in several ways" if len(places) > 1 else "in no way"
        raise StoreError(
            f"The key {key[:120]!r} in {source} can be cut into UID_plate_well_tile_gene_index {why}. Give a cell "
            f"table with cell_id, plate, well, tile and perturbation, or with the keys in a column "
            f"(keys=index, key=COLUMN)."
        )
    place = places[0]
    gene = middle[place.end(2) + 1 :]
    parts = {v.CELL_ID: uid, v.PLATE: middle[: place.start()], v.WELL: place[1], v.TILE: place[2]}
    return {"key": key} | parts | {v.PERTURBATION: gene, v.GUIDE: gene}
