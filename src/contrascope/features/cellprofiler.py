"""Output of CellProfiler as one table: a row a cell, with what was measured in it, its nucleus and its cytoplasm.

    ExportToSpreadsheet     a folder: Image.csv, and a CSV for each kind of object (also MyExpt_Cells.csv)
    ExportToDatabase        SQLite: Per_Image, and Per_Object or Per_Cells, Per_Nuclei, ... (also MyExpt_Per_Image)
    cytominer-database      SQLite: Image, Cells, Cytoplasm, Nuclei; a TableNumber beside the ImageNumber

Objects of one image belong together by ``Parent_...`` where CellProfiler says so, else by their number. Cells lead,
nuclei do where there are none. Other objects (speckles, spots) are many to a cell and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from pathlib import Path

import polars as pl

from contrascope.errors import TableError, first_few
from contrascope.features.sqlite import tables_in
from contrascope.litter import is_litter

OBJECTS = ("Cells", "Nuclei", "Cytoplasm")
"""In the order in which they lead."""
IMAGE, OBJECT, RUN = "ImageNumber", "ObjectNumber", "TableNumber"
_NUMBER_OF = "{}_Number_Object_Number"
_PLACE = ("Plate", "Well", "Site")
Tables = Mapping[str, pl.LazyFrame]


def is_cellprofiler_folder(path: Path) -> bool:
    """Whether a folder has CSV files of CellProfiler's."""
    return path.is_dir() and any(_called(file.stem) is not None for file in _tables(path))


def _tables(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.csv") if not is_litter(file))


def from_folder(path: Path) -> pl.LazyFrame:
    """The cells of a folder of CSV files.

    Raises:
        TableError: A file cannot be read or lacks its numbers; or two files are of one kind.
    """
    files: dict[str, Path] = {}
    for file in _tables(path):
        if (name := _called(file.stem)) is not None:
            if name in files:
                raise TableError(
                    f"{path} has two files of {name}: {files[name].name}, {file.name}. Keep one run a folder."
                )
            files[name] = file
    try:
        tables = {name: pl.scan_csv(file, infer_schema_length=None, glob=False) for name, file in files.items()}
        for table in tables.values():
            table.collect_schema()
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read as CSV: {' '.join(str(error).split())}.") from None
    return joined({name: _prefixed(name, table) for name, table in tables.items()}, where=str(path))


def from_sqlite(path: Path) -> pl.LazyFrame:
    """The cells of a database.

    Raises:
        TableError: No database, or none of CellProfiler's.
    """
    found = tables_in(path)
    tables = {_called(name): table for name, table in found.items() if _called(name) is not None}
    whole = [table for name, table in found.items() if re.fullmatch(r"(\w+_)?Per_Object", name)]
    if whole and not set(tables) & set(OBJECTS):
        return _with_images(_numbered(whole[0]), tables.get("Image"))
    if not set(tables) & set(OBJECTS):
        there = f"the tables {first_few(found, 8)}" if found else "no table with rows"
        raise TableError(
            f"{path} has {there}. Per_Object, Per_Cells or Cells (or of nuclei) was "
            "needed, as ExportToDatabase and cytominer-database write them."
        )
    return joined({str(name): _prefixed(str(name), table) for name, table in tables.items()}, where=str(path))


def joined(tables: Tables, *, where: str) -> pl.LazyFrame:
    """Objects of each cell side by side, with plate, well and site of their image.

    Args:
        tables: ``Cells``, ``Nuclei``, ``Cytoplasm`` as far as they are there, columns beginning with that name; and
            ``Image``.
        where: For messages.

    Raises:
        TableError: No objects, no numbers, or several objects to a cell.
    """
    objects = {name: tables[name] for name in OBJECTS if name in tables}
    if not objects:
        raise TableError(f"{where} has no Cells, Nuclei or Cytoplasm. A table of one of them was needed.")
    for name, table in objects.items():
        if lacking := {IMAGE, OBJECT} - set(table.collect_schema()):
            raise TableError(f"{name} of {where} lacks {first_few(sorted(lacking))}: its objects cannot be told apart.")
    first = next(iter(objects))
    # Cytoplasm knows the nucleus of a cell where the cell does not.
    others = [name for name in reversed(OBJECTS) if name in objects and name != first]
    linked = reduce(
        lambda cells, name: _linked(cells, name, objects[name], first=first, where=where), others, objects[first]
    )
    return _with_images(linked, tables.get("Image"))


def _called(name: str) -> str | None:
    """Which of CellProfiler's tables this is by its name: ``MyExpt_Per_Cells`` is Cells."""
    for known in (*OBJECTS, "Image"):
        if re.fullmatch(rf"(?:.*_)?{known}", name):
            return known
    return None


def _prefixed(name: str, table: pl.LazyFrame) -> pl.LazyFrame:
    """Columns beginning with the object's name, but those that number images and objects or say where an image is."""
    if name == "Image":
        return table
    there = table.collect_schema()
    if OBJECT not in there and (number := _NUMBER_OF.format(name)) in there:
        table = table.with_columns(pl.col(number).alias(OBJECT))
    plain = {
        c: f"{name}_{c}" for c in there if c not in (IMAGE, OBJECT, RUN) and not c.startswith((f"{name}_", "Metadata_"))
    }
    return table.rename(plain)


def _numbered(table: pl.LazyFrame) -> pl.LazyFrame:
    """A table of all objects has their number under its own or a compartment's name."""
    there = table.collect_schema()
    known = [OBJECT, *(_NUMBER_OF.format(name) for name in OBJECTS)]
    found = [name for name in known if name in there]
    if IMAGE not in there or not found:
        raise TableError("Per_Object lacks ImageNumber or ObjectNumber: its objects cannot be told apart.")
    return table if OBJECT in there else table.with_columns(pl.col(found[0]).alias(OBJECT))


def _images(table: pl.LazyFrame) -> list[str]:
    return [name for name in (RUN, IMAGE) if name in table.collect_schema()]


def _linked(table: pl.LazyFrame, name: str, other: pl.LazyFrame, *, first: str, where: str) -> pl.LazyFrame:
    """The table with another object's measurements, each found by parent or number."""
    columns, theirs = table.collect_schema(), other.collect_schema()
    images = _images(table)
    if (parent := f"{name}_Parent_{first}") in theirs:
        ours, number = OBJECT, parent
    elif child := [c for c in columns if c.endswith(f"_Parent_{name}")]:
        ours, number = child[0], OBJECT
    else:
        ours, number = OBJECT, OBJECT
    # A parent of 0 is none; numbers are whole, whatever the file calls them.
    linked = other.with_columns(pl.col(number).cast(pl.Int64, strict=False).alias("_link")).filter(pl.col("_link") > 0)
    repeated = linked.select(pl.struct(*images, "_link").is_duplicated().any()).collect().item()
    if repeated:
        raise TableError(
            f"{where} has several {name} to one of {first}, by {number}. One was needed: take the file or "
            f"table of {name} away, or aggregate it first."
        )
    kept = [c for c in theirs if c not in columns]
    links = linked.select(*images, "_link", *(c for c in kept if c not in images))
    return table.with_columns(pl.col(ours).cast(pl.Int64, strict=False).alias("_link")).join(
        links, on=[*images, "_link"], how="left", maintain_order="left"
    ).drop("_link")  # fmt: skip


def _with_images(cells: pl.LazyFrame, images: pl.LazyFrame | None) -> pl.LazyFrame:
    """Plate, well and site of the image that each cell is in."""
    there = cells.collect_schema()
    if images is None or all(f"Metadata_{part}" in there for part in _PLACE):
        return cells
    columns = images.collect_schema()
    named = {part: c for part in _PLACE for c in (f"Image_Metadata_{part}", f"Metadata_{part}") if c in columns}
    wanted = {f"Metadata_{part}": c for part, c in named.items() if f"Metadata_{part}" not in there}
    keys = _images(cells)
    if not wanted or not set(keys) <= set(columns):
        return cells
    place = images.select(*keys, *(pl.col(c).alias(name) for name, c in wanted.items())).unique(keys, keep="any")
    return cells.join(place, on=keys, how="left", maintain_order="left")
