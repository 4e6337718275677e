"""Which columns of a feature table say what cell a row is, and which measure it.

Names of known pipelines are those of ``screen/presets.py``, all at once, for one name means one thing in all of them.
Measurements are the columns that begin with a compartment (``Cells_``, ``nucleus_``), or, where none does, all columns
of numbers. What counts, names or places an object measures nothing: ``ObjectNumber``, ``Parent_Cells``, ``Location_``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from contrascope import vocabulary as v
from contrascope.errors import SettingsError, TableError, first_few
from contrascope.screen.presets import PRESETS, Source

LABEL = "label"
"""The number that an object has in its tile."""
KEYS = (v.CELL_ID, v.PLATE, v.WELL, v.TILE, LABEL, v.Y, v.X)
COMPARTMENTS = ("Nuclei", "Cells", "Cytoplasm", "Nucleus", "Cell", "Cytoplasms")
NUMBERS = (LABEL, *dict.fromkeys(p.cell_number for p in PRESETS.values() if p.cell_number), "Metadata_ObjectNumber")
"""What the number of an object in its tile may be called."""

_NOT_MEASURED = re.compile(
    r"^(Metadata|Image|FileName|PathName|URL|Group|Channel|ExecutionTime|ModuleError|MD5Digest|Scaling|Series|Frame)_"
    r"|(^|_)(ImageNumber|ObjectNumber|TableNumber|Object_Number|Parent|Children|Location)(_|$)"
    r"|_AreaShape_(Center|BoundingBoxMinimum|BoundingBoxMaximum)_[XYZ]$"
    r"|ClosestObjectNumber"
)
_NOT_MEASURED_OPS = re.compile(r"[ijyx]|label|id|\d+|(bounds|bbox|centroid|barcode|stage)\w*(-\d+)?")
"""What may stand behind a compartment in tables of pooled screens and is no measurement."""


@dataclass(frozen=True)
class Columns:
    """The columns of a feature table.

    Attributes:
        keys: Our name -> the columns that it is made of; several are joined.
        features: What was measured, in the table's order.
        texts: Those of the features that hold texts, which may or may not be numbers.
    """

    keys: Mapping[str, Source]
    features: Sequence[str]
    texts: Sequence[str]


def columns_of(
    schema: pl.Schema,
    *,
    where: str,
    named: Mapping[str, str | Sequence[str]] | None = None,
    compartments: Sequence[str] | None = None,
) -> Columns:
    """What the columns of a table are.

    Args:
        schema: Names and types.
        where: The table, for messages.
        named: Our name -> the column or columns, where the user says so.
        compartments: What names of features begin with, before an underscore; None for the known ones.

    Raises:
        SettingsError: ``named`` has a name that is none of ours.
        TableError: A column that was named is not there, or nothing was measured.
    """
    keys = _keys(schema, named or {}, where)
    used = {column for source in keys.values() for column in source}
    possible = [name for name, kind in schema.items() if name not in used and _may_be_measured(name, kind)]
    features = _features(possible, schema, compartments)
    if not features:
        raise TableError(
            f"{where} has no feature: no column that begins with {first_few(compartments or COMPARTMENTS, 8)} and "
            f"holds numbers. It has {first_few(schema, 8)}. Say what names of features begin with (--compartment)."
        )
    return Columns(keys, features, [name for name in features if schema[name] == pl.String])


def _keys(schema: pl.Schema, named: Mapping[str, str | Sequence[str]], where: str) -> dict[str, Source]:
    sources = {
        name: tuple(map(str, said)) if isinstance(said, list | tuple) else (str(said),) for name, said in named.items()
    }
    if unknown := [name for name in sources if name not in KEYS]:
        raise SettingsError(f"'{unknown[0]}' is no key of a feature table. Choose among: {', '.join(KEYS)}.")
    if lacking := [column for source in sources.values() for column in source if column not in schema]:
        raise TableError(f"{where} has no column '{lacking[0]}'. It has {first_few(schema, 12)}. Name another.")
    found: dict[str, Source] = {}
    for name in (v.CELL_ID, v.PLATE, v.WELL, v.TILE):
        for source in _known(name):
            if set(source) <= set(schema):
                found[name] = source
                break
    if number := [name for name in NUMBERS if name in schema]:
        found[LABEL] = (number[0],)
    if not {v.Y, v.X} & set(sources):
        found |= _place(schema)
    return found | sources


def _known(name: str) -> Iterator[Source]:
    yield (name,)
    for preset in PRESETS.values():
        for source in preset.columns.get(name, ()):
            yield (source,) if isinstance(source, str) else source


def _place(schema: pl.Schema) -> dict[str, Source]:
    """y and x of one pair of names; of several objects, the nucleus before the cell."""
    pairs = [(v.Y, v.X)]
    for preset in PRESETS.values():
        pairs += [(y, x) for y, x in zip(preset.columns[v.Y], preset.columns[v.X], strict=True)
                  if isinstance(y, str) and isinstance(x, str)]  # fmt: skip
    for y, x in pairs:
        stems = [c.removesuffix(y[1:]) for c in schema if c.endswith(y[1:])] if y.startswith("*") else [""]
        both = [(y.replace("*", stem, 1), x.replace("*", stem, 1)) for stem in sorted(stems, key=_rank)]
        for pair in both:
            if all(column in schema and schema[column].is_numeric() for column in pair):
                return {v.Y: (pair[0],), v.X: (pair[1],)}
    return {}


def _rank(stem: str) -> tuple[bool, int, str]:
    """Centres of mass before centres of boxes, the nucleus before the cell."""
    whose = [i for i, compartment in enumerate(COMPARTMENTS) if stem.lower().startswith(compartment.lower())]
    return not stem.endswith("Location"), min(whose, default=len(COMPARTMENTS)), stem


def _may_be_measured(name: str, kind: pl.DataType) -> bool:
    return (kind.is_numeric() or kind in (pl.String, pl.Null)) and not _NOT_MEASURED.search(name)


def _features(possible: Sequence[str], schema: pl.Schema, compartments: Sequence[str] | None) -> list[str]:
    begins = tuple(f"{compartment}_".lower() for compartment in compartments or COMPARTMENTS)
    of_compartment = [
        name for name in possible
        if name.lower().startswith(begins) and not _NOT_MEASURED_OPS.fullmatch(name.split("_", 1)[1])
    ]  # fmt: skip
    if of_compartment or compartments:
        return of_compartment
    ours = {*v.REQUIRED, *v.OPTIONAL, v.FIELD_DISTANCE, v.BATCH, v.CONTROL, *NUMBERS}
    return [name for name in possible if schema[name].is_numeric() and name not in ours]
