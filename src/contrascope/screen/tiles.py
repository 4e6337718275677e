"""Tiles: what a reader must offer, and how a file name is matched to a plate, a well and a tile.

Names are matched exactly, with two conveniences that are no guess: ``A1`` is the well ``A01``, and a
number is itself however many zeros lead it (tile ``007`` is tile ``7``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from contrascope.config import ImageSettings
from contrascope.errors import SettingsError, TileError, first_few

FIELDS = ("plate", "well", "row", "column", "tile", "channel")
_FAULTS = 3
"""Faults of tiles that are told in full."""
_FIELD = re.compile(r"\{(\w+)\}|(\*)")


class TileKey(NamedTuple):
    """Which tile: plate, well and tile in canonical spelling."""

    plate: str
    well: str
    tile: str

    def __str__(self) -> str:
        return f"plate {self.plate} well {self.well} tile {self.tile}"


class TileShape(NamedTuple):
    """What a tile's header says, before its pixels are read."""

    channels: int
    height: int
    width: int
    dtype: np.dtype


class TileReader(Protocol):
    """A source of tiles. Constructed from ``ImageSettings`` and the keys that the cell table asks for.

    Its class can say beforehand which tiles there are (``keys_found``), for those who have no cell table.
    """

    @classmethod
    def keys_found(cls, settings: ImageSettings) -> list[TileKey]:
        """Every tile that the pattern finds, by plate, well and number."""
        ...

    def shape(self, key: TileKey) -> TileShape:
        """Shape of a tile from its header, without its pixels."""
        ...

    def read(self, key: TileKey) -> np.ndarray:
        """(C, H, W) pixels as stored, channels in the settings' order."""
        ...

    def inventory(self) -> list[tuple[str, str, str]]:
        """Tile, file name and a digest of the file's size and a sample of its bytes: what the result depends on."""
        ...


class Bad(NamedTuple):
    """A tile that cannot be used: where the fault lies, a file for instance or nothing, and what it is."""

    where: str
    why: str

    @classmethod
    def of(cls, error: TileError) -> Bad:
        """What an error says."""
        return cls(error.where, error.why)


def bad_tiles(bad: Mapping[TileKey, Bad], total: int) -> TileError:
    """The error of tiles that cannot be read; each fault is told once, with the first tiles that have it."""
    groups: dict[str, list[TileKey]] = {}
    for key, one in bad.items():
        groups.setdefault(one.why, []).append(key)
    faults = []
    for why, keys in list(groups.items())[:_FAULTS]:
        where = f"{bad[keys[0]].where} " * bool(bad[keys[0]].where)
        faults.append(f"{first_few(keys, 3)}: {where}{'(the first) ' * (len(keys) > 1 and bool(where))}{why}")
    if more := sum(len(keys) for keys in list(groups.values())[_FAULTS:]):
        faults.append(f"Of {more:,} more tiles other things are wrong.")
    return TileError(
        f"{len(bad):,} of {total:,} tiles cannot be read: {' '.join(faults)} Restore them, or go on without their "
        f"cells, which are then counted, by images.on_bad_tile: skip (--on-bad-tile skip)."
    )


def canonical_well(well: str) -> str:
    """``A1`` -> ``A01``; a name of another form is left as it is."""
    match = re.fullmatch(r"([A-Za-z]{1,2})0*([0-9]+)", well.strip())
    return match[1].upper() + match[2].zfill(2) if match else canonical_name(well)


def canonical_name(name: str) -> str:
    """``007`` -> ``7``; a name that is no whole number is only stripped of blanks."""
    name = name.strip()
    return (name.lstrip("0") or "0") if re.fullmatch(r"[0-9]+", name) else name


def tile_key(plate: str, well: str, tile: str) -> TileKey:
    """The canonical key of a tile, from names as they stand in a table or a file name."""
    return TileKey(canonical_name(plate), canonical_well(well), canonical_name(tile))


def pattern_fields(pattern: str) -> set[str]:
    """Names in braces in a file-name pattern.

    Raises:
        SettingsError: A name is not one of ``FIELDS``, or ``{well}`` stands beside ``{row}``/``{column}``.
    """
    fields = {match[1] for match in _FIELD.finditer(pattern) if match[1]}
    if unknown := fields - set(FIELDS):
        raise SettingsError(
            f"The image pattern {pattern} names {{{'}, {'.join(sorted(unknown))}}}. "
            f"It may name {{{'}, {'.join(FIELDS)}}} and use * for anything."
        )
    if ("row" in fields) != ("column" in fields) or ("row" in fields and "well" in fields):
        raise SettingsError(f"The image pattern {pattern} must name {{well}}, or {{row}} and {{column}} together.")
    return fields


def pattern_glob(pattern: str) -> str:
    """The pattern as a glob that finds at least every file it means."""
    # Only * is special in a pattern: a folder may well be called "plate [1]".
    return re.sub(r"[\[?]", r"[\g<0>]", _FIELD.sub("*", pattern))


def pattern_regex(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression with one named group a field."""
    out, position, seen = "", 0, set()
    for match in _FIELD.finditer(pattern):
        out += re.escape(pattern[position : match.start()])
        name = match[1]
        if name is None:
            out += "[^/]*"
        elif name in seen:
            out += f"(?P={name})"
        else:
            # A name is as short as the text around it allows, and never crosses a folder.
            out += rf"(?P<{name}>[A-Za-z]{{1,2}})" if name == "row" else f"(?P<{name}>[^/]+?)"
        seen.add(name)
        position = match.end()
    return re.compile(out + re.escape(pattern[position:]))


def missing_fields_conflict(fields: set[str], keys: Sequence[TileKey], pattern: str) -> str | None:
    """Why a pattern without ``{plate}``, ``{well}`` or ``{tile}`` cannot tell the keys apart, if so."""
    has = {"plate": "plate" in fields, "well": bool(fields & {"well", "row"}), "tile": "tile" in fields}
    if len({shared_key(key, fields) for key in keys}) == len(set(keys)):
        return None
    lacking = [name for name, there in has.items() if not there]
    return (
        f"The image pattern {pattern} has no {{{'}, {'.join(lacking)}}}, so several tiles of the cell table would "
        f"be read from one file. Name in the pattern what tells them apart."
    )


def shared_key(key: TileKey, fields: set[str]) -> TileKey:
    """The key with blanks where the pattern has no such field."""
    return TileKey(
        key.plate if "plate" in fields else "",
        key.well if fields & {"well", "row"} else "",
        key.tile if "tile" in fields else "",
    )


def tiles_in_order(keys: Iterable[TileKey]) -> list[TileKey]:
    """Each tile once, by plate, well and number of the tile; what a pattern does not name is ``1``."""

    def rank(key: TileKey) -> tuple[str, str, int, str]:
        return key.plate, key.well, int(key.tile) if key.tile.isdecimal() else -1, key.tile

    return sorted({TileKey(*(part or "1" for part in key)) for key in keys}, key=rank)
