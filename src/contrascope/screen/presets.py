"""What the tables of known pipelines call our columns, and their controls.

A preset may know several names for a column: exactly one of them must be in the table, and a table that has two
is asked which one is meant. ``*_Center_Y`` is any column that ends so. Where a pipeline counts cells within a
tile, the cell's id is ``plate_well_tile_number``.

The names are those of the project's FORMATS.md, which leaves open:

- Funk 2022's id is ``UID`` *or the index*: an index that only counts rows is what a table without ids gets anyway.
- SCALLOPS' ``..._Center_Y`` stands behind a compartment's name; if there are several, name one under
  ``cells.columns``. Its controls are a query, so it brings no rule.
- cytomining's and JUMP's ``pert_type`` and ``control_type`` occur with and without ``Metadata_``.
- The OPS standard 0.1 is a draft: ``cell_uid`` is taken as it stands; without it, it is made by its own rule from a
  column ``cell``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contrascope import vocabulary as v
from contrascope.config import ControlRule
from contrascope.errors import SettingsError, TableError

Source = tuple[str, ...]
"""Columns that are joined to one; usually one."""


@dataclass(frozen=True, kw_only=True)
class TablePreset:
    """A known pipeline's table.

    Attributes:
        columns: Our name -> the names it may have there, of which one must be; a tuple of columns is joined.
        cell_number: The column that counts cells within a tile, for a table without an id.
        control: Label of the controls; or rules on columns, of which one must be there; None if the user must say.
    """

    columns: Mapping[str, Sequence[str | Source]]
    cell_number: str | None = None
    control: str | Sequence[ControlRule] | None = None


def _negative_controls(*columns: str) -> list[ControlRule]:
    return [ControlRule(column=column, values=["negcon"]) for column in columns]


_FUNK = TablePreset(
    # The published tables of Funk et al. 2022; i is the row and j the column of the cell in its tile.
    columns={
        v.PLATE: ["plate"],
        v.WELL: ["well"],
        v.TILE: ["tile", "site"],
        v.CELL_ID: ["UID"],
        v.Y: ["cell_i"],
        v.X: ["cell_j"],
        v.GUIDE: ["sgRNA_0"],
        v.PERTURBATION: ["gene_symbol_0"],
        v.STAGE: ["stage"],
    },
    control="nontargeting",
)
_BRIEFLOW = TablePreset(
    columns={
        v.PLATE: ["plate"],
        v.WELL: ["well"],
        v.TILE: ["tile"],
        v.Y: ["i_0", "cell_i"],
        v.X: ["j_0", "cell_j"],
        v.GUIDE: ["cell_barcode_0", "sgRNA_0"],
        v.PERTURBATION: ["gene_symbol_0"],
        v.STAGE: ["cell_stage"],
    },
    cell_number="cell_0",
    control="nontargeting*",
)
_SCALLOPS = TablePreset(
    columns={
        v.PLATE: ["plate"],
        v.WELL: ["well"],
        v.TILE: ["tile"],
        v.Y: ["*_Center_Y"],
        v.X: ["*_Center_X"],
        v.GUIDE: ["sgRNA"],
        v.PERTURBATION: ["gene_symbol"],
    },
    cell_number="cell",
)
_CYTOMINING = TablePreset(
    columns={
        v.PLATE: ["Metadata_Plate"],
        v.WELL: ["Metadata_Well"],
        v.TILE: ["Metadata_Site"],
        v.Y: ["Metadata_Center_Y", "Location_Center_Y"],
        v.X: ["Metadata_Center_X", "Location_Center_X"],
        v.GUIDE: ["Metadata_barcode"],
        v.PERTURBATION: ["Metadata_gene", "Metadata_broad_sample"],
        v.BATCH: ["Metadata_Plate"],
    },
    cell_number="ObjectNumber",
    control=_negative_controls("Metadata_pert_type", "Metadata_control_type", "pert_type", "control_type"),
)
_OPS_SCHEMA = TablePreset(
    columns={
        v.PLATE: ["plate"],
        v.WELL: [("well_row", "well_col")],
        v.TILE: ["tile"],
        v.CELL_ID: ["cell_uid"],
        v.Y: ["y"],
        v.X: ["x"],
        v.GUIDE: ["barcode"],
        v.PERTURBATION: ["gene_symbol"],
        v.STAGE: ["cell_class"],
    },
    cell_number="cell",
    control=[ControlRule(column="role", values=["control"])],
)

PRESETS: dict[str, TablePreset] = {
    "funk2022": _FUNK,
    "brieflow": _BRIEFLOW,
    "scallops": _SCALLOPS,
    "cytomining": _CYTOMINING,
    "jump": _CYTOMINING,
    "cpg": _CYTOMINING,
    "ops-schema": _OPS_SCHEMA,
}


def preset_named(name: str) -> TablePreset:
    """The preset of this name.

    Raises:
        SettingsError: There is none.
    """
    if name not in PRESETS:
        raise SettingsError(f"There is no preset '{name}' of columns. Choose one of: {', '.join(PRESETS)}.")
    return PRESETS[name]


def preset_sources(preset: TablePreset, columns: Sequence[str], *, settled: Sequence[str]) -> dict[str, Source]:
    """Our name -> the columns of this table it is made of.

    Args:
        preset: What the columns may be called.
        columns: What the table has.
        settled: Our names that the user has given, which are not looked for.

    Returns:
        Every required name, and the optional ones that are there. Where none of the names is there, all of them,
        as one that no table has: ``i_0 or cell_i``.

    Raises:
        TableError: A table has two columns for one of ours, or y and x of two origins.
    """
    out: dict[str, Source] = {}
    for name, alternatives in preset.columns.items():
        if name in settled:
            continue
        there = [source for known in alternatives for source in _matching(known, columns)]
        if len(there) > 1:
            _refuse_several(name, [" + ".join(source) for source in there])
        if there:
            out[name] = there[0]
        elif name in v.REQUIRED:
            out[name] = (" or ".join(" + ".join(_parts(known)) for known in alternatives),)
    _refuse_two_origins(preset, out, columns)
    return out


def preset_control(preset: TablePreset, columns: Sequence[str]) -> str | ControlRule:
    """The preset's rule for controls, in a table of these columns.

    Raises:
        SettingsError: The preset has none.
        TableError: The table has none of the rule's columns, or several.
    """
    if preset.control is None:
        raise SettingsError("cells.control is missing, and this preset brings none: name the label of the controls.")
    if isinstance(preset.control, str):
        return preset.control
    there = [rule for rule in preset.control if rule.column in columns]
    if len(there) > 1:
        names = " and ".join(f"'{rule.column}'" for rule in there)
        raise TableError(
            f"The table has {names}, and by the preset either may tell controls. "
            f"Say which under cells.control: {{column: {there[0].column}, values: [{there[0].values[0]}]}}."
        )
    if not there:
        raise TableError(
            f"By the preset controls are told by a column {' or '.join(rule.column for rule in preset.control)}, and "
            f"the table has none of them. Say what is a control under cells.control."
        )
    return there[0]


def _parts(known: str | Source) -> Source:
    return (known,) if isinstance(known, str) else known


def _matching(known: str | Source, columns: Sequence[str]) -> list[Source]:
    """What a name that a preset knows means in this table; ``*`` in front is anything."""
    if isinstance(known, str) and known.startswith("*"):
        return [(column,) for column in columns if column.endswith(known[1:])]
    parts = _parts(known)
    return [parts] if set(parts) <= set(columns) else []


def _refuse_several(name: str, there: list[str]) -> None:
    names = " and ".join(f"'{column}'" for column in there)
    raise TableError(
        f"The table has {names}, and by the preset either may be {name}. "
        f"Say which under cells.columns: {{{name}: {there[0]}}}."
    )


def _refuse_two_origins(preset: TablePreset, sources: Mapping[str, Source], columns: Sequence[str]) -> None:
    """y and x must be of one pair of names: i_0 with j_0, and not with cell_j."""
    chosen = [sources.get(name) for name in (v.Y, v.X)]
    if any(source is None or not set(source) <= set(columns) for source in chosen):
        return
    (y,), (x,) = (source for source in chosen if source is not None)
    pairs = zip(preset.columns[v.Y], preset.columns[v.X], strict=True)
    stems = [(_stem(y, known_y), _stem(x, known_x)) for known_y, known_x in pairs]
    if not any(of_y is not None and of_y == of_x for of_y, of_x in stems):
        raise TableError(
            f"By the preset y would be '{y}' and x '{x}', which are not of one pair. "
            f"Say which columns are meant under cells.columns: {{y: ..., x: ...}}."
        )


def _stem(column: str, known: str | Source) -> str | None:
    """What ``*`` stands for in a column, blank if the name has none; None if it is another name."""
    if isinstance(known, str) and known.startswith("*"):
        return column.removesuffix(known[1:]) if column.endswith(known[1:]) else None
    return "" if known == column else None
