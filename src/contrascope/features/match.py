"""Rows of a feature table and cells of a store, brought together; and what became of those that found nobody.

Three ways, the surest first: the cell's id; plate, well, tile and the object's number in it; plate, well, tile and the
nearest centre, no farther than a distance in pixels, each being the other's nearest. Nobody is matched twice. Wells and
numbers are compared as such: ``A01`` is ``A1`` and tile ``007`` is ``7``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.spatial import KDTree

from contrascope import vocabulary as v
from contrascope.errors import TableError, first_few
from contrascope.features.columns import LABEL

By = Literal["cell_id", "label", "position"]
WAYS: tuple[By, ...] = ("cell_id", "label", "position")
NEEDED = {"cell_id": (v.CELL_ID,), "label": (v.TILE, LABEL), "position": (v.TILE, v.Y, v.X)}
"""What each way takes besides plate and well, which a table of one plate or well may lack."""
Rows = NDArray[np.int64]

NO_KEY, NO_PLACE = "no key", "no position"
TWICE = "its key occurs more than once in the table"
NO_TILE_HERE, NO_TILE_THERE = "no row of its tile in the table", "no cell of its tile in the store"
NOT_THERE, NOT_HERE = "no row of its key in the table", "no cell of its key in the store"
TOO_FAR, TAKEN = "no centre within the distance", "its nearest has a nearer one"
LEFT_OUT = "left out of the store: {}"


@dataclass(frozen=True)
class Account:
    """Where every cell and every row went.

    Attributes:
        by: How they were matched.
        cells, rows: How many there are.
        matched: Pairs.
        cells_left, rows_left: Reason -> how many found nobody.
        apart: Median distance of the centres of matched pairs in pixels, if both sides know them.
    """

    by: By
    cells: int
    rows: int
    matched: int
    cells_left: dict[str, int]
    rows_left: dict[str, int]
    apart: float | None = None

    @property
    def adds_up(self) -> bool:
        """Whether all are accounted for."""
        return self.cells - sum(self.cells_left.values()) == self.matched == self.rows - sum(self.rows_left.values())

    def __str__(self) -> str:
        apart = "" if self.apart is None else f", centres {self.apart:.2g} pixels apart at the median"
        sides = [("cells", self.cells, self.cells_left), ("rows", self.rows, self.rows_left)]
        left = [_left(what, total, reasons) for what, total, reasons in sides]
        return f"{self.matched:,} cells are matched by {self.by}{apart}; {'; '.join(left)}"


def matched(
    cells: pl.DataFrame, rows: pl.DataFrame, *, by: By, within: float, dropped: pl.DataFrame | None = None
) -> tuple[Rows, Account]:
    """The row of each cell.

    Args:
        cells: Of the store: columns of ``columns.KEYS``, as many as it has.
        rows: Of the table, likewise.
        by: How; the columns that it takes must be on both sides.
        within: Of ``position``: the farthest that two centres of one cell lie apart, in pixels.
        dropped: Cells that were left out of the store, with a ``reason``.

    Returns:
        (N,) the row of each cell, -1 where there is none; and the account.
    """
    parts = [name for name in (v.PLATE, v.WELL, v.TILE) if name in rows.columns]
    if by == "position":
        found, why_cell, why_row = _by_position(cells, rows, parts, within)
        if dropped is not None and set(NEEDED[by]) <= set(dropped.columns):
            its_row = _by_position(dropped, rows, parts, within)[0]
            there, lost = pl.Series(range(rows.height)), pl.Series(its_row).replace(-1, None)
            _name_dropped(why_row, there, lost, dropped["reason"])
    else:
        key = [v.CELL_ID] if by == "cell_id" else [*parts, LABEL]
        here, there = _key(cells, key), _key(rows, key)
        found, why_cell, why_row = _by_key(here, there)
        if dropped is not None and set(key) <= set(dropped.columns):
            _name_dropped(why_row, there, _key(dropped, key), dropped["reason"])
    apart = _apart(cells, rows, found)
    n = int((found >= 0).sum())
    account = Account(
        by,
        len(found),
        rows.height,
        n,
        _counted(why_cell, found >= 0),
        _counted(why_row, _taken(found, rows.height)),
        apart,
    )
    assert account.adds_up
    return found, account


def _left(what: str, total: int, reasons: Mapping[str, int]) -> str:
    if not reasons:
        return f"no {what} are unmatched"
    why = "; ".join(f"{n:,}: {reason}" for reason, n in reasons.items())
    return f"{sum(reasons.values()):,} of {total:,} {what} are unmatched ({why})"


def possible_ways(cells: Sequence[str], rows: Sequence[str]) -> list[By]:
    """Ways for which both sides have the columns."""
    return [way for way in WAYS if set(NEEDED[way]) <= set(cells) & set(rows)]


def refuse_strangers(cells: pl.DataFrame, rows: pl.DataFrame, ways: Sequence[By], *, where: str) -> NoReturn:
    """Raise with examples of both sides, for nobody was matched."""
    shown = []
    for way in ways:
        names = [name for name in (v.PLATE, v.WELL, *NEEDED[way]) if name in rows.columns and name in cells.columns]
        names = [v.CELL_ID] if way == "cell_id" else names
        ours, theirs = (" ".join(str(value) for value in table.select(names).row(0)) for table in (cells, rows))
        shown.append(f"by {way} ({', '.join(names)}) the store has {ours}, the table {theirs}")
    raise TableError(
        f"No row of {where} is a cell of the store: {'; '.join(shown)}. Name the columns that say what cell a row is "
        "(--set cell_id=UID), or match by position within a larger distance (--by position --within 10)."
    )


def refuse_wayless(cells: Sequence[str], rows: Sequence[str], *, where: str) -> NoReturn:
    """Raise for columns that allow no way."""
    raise TableError(
        f"The rows of {where} cannot be matched to cells: of the columns cell_id, plate, well, tile, label, y and x it "
        f"has {first_few(rows, 8) if rows else 'none'}, the store {first_few(cells, 8)}. cell_id was needed, or tile "
        "and label, or tile, y and x. Name them: --set cell_id=UID, --set tile=Metadata_Site."
    )


def _key(table: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    """One text a row, null where a part is missing."""
    return table.select(pl.concat_str([_plain(name) for name in names], separator="\x1f").alias("key"))["key"]


def _plain(name: str) -> pl.Expr:
    """A label as it is compared: no zeros in front of numbers, letters of wells in capitals."""
    text = pl.col(name).cast(pl.String).str.strip_chars()
    if name == v.CELL_ID:
        return text
    if name == v.WELL:
        return text.str.to_uppercase().str.replace(r"^([A-Z]+)0*(\d+)$", "${1}${2}")
    return text.str.replace(r"^(\d+)\.0*$", "${1}").str.replace(r"^0+(\d)", "${1}")


def _by_key(here: pl.Series, there: pl.Series) -> tuple[Rows, NDArray[np.object_], NDArray[np.object_]]:
    cells = pl.DataFrame({"key": here, "cell": np.arange(len(here))})
    rows = pl.DataFrame({"key": there, "row": np.arange(len(there))}).drop_nulls("key")
    repeated = rows.filter(pl.col("key").is_duplicated())
    pairs = cells.filter(~pl.col("key").is_duplicated()).join(rows.filter(~pl.col("key").is_duplicated()), on="key")
    found = np.full(len(here), -1, np.int64)
    found[pairs["cell"].to_numpy()] = pairs["row"].to_numpy()
    why_cell, why_row = np.full(len(here), NOT_THERE, object), np.full(len(there), NOT_HERE, object)
    why_cell[here.is_in(repeated["key"].implode()).fill_null(value=False).to_numpy()] = TWICE
    why_row[repeated["row"].to_numpy()] = TWICE
    why_row[there.is_null().to_numpy()] = NO_KEY
    twins = here.is_duplicated().to_numpy() & (found < 0) & (why_cell == NOT_THERE)
    why_cell[twins] = "its key occurs more than once in the store"
    return found, why_cell, why_row


def _name_dropped(why: NDArray[np.object_], there: pl.Series, dropped: pl.Series, reasons: pl.Series) -> None:
    """Say of rows whose cell is not in the store why it is not."""
    known = (
        pl.DataFrame({"key": dropped, "reason": reasons.cast(pl.String)}).drop_nulls("key").unique("key", keep="first")
    )
    said = pl.DataFrame({"key": there}).join(known, on="key", how="left", maintain_order="left")["reason"]
    for row in np.flatnonzero((why != TWICE) & said.is_not_null().to_numpy()):
        why[row] = LEFT_OUT.format(said[int(row)])


def _by_position(
    cells: pl.DataFrame, rows: pl.DataFrame, parts: Sequence[str], within: float
) -> tuple[Rows, NDArray[np.object_], NDArray[np.object_]]:
    here, there = _places(cells, parts), _places(rows, parts)
    found = np.full(cells.height, -1, np.int64)
    why_cell, why_row = np.full(cells.height, NO_TILE_HERE, object), np.full(rows.height, NO_TILE_THERE, object)
    for ours, theirs in _tiles_of_both(here, there):
        of_cell, of_row = _nearest(ours, theirs, within), _nearest(theirs, ours, within)
        mine, its = ours["row"].to_numpy(), theirs["row"].to_numpy()
        why_cell[mine] = np.where(of_cell < len(its), TAKEN, TOO_FAR)
        why_row[its] = np.where(of_row < len(mine), TAKEN, TOO_FAR)
        near = np.flatnonzero(of_cell < len(its))
        mutual = near[of_row[of_cell[near]] == near]
        found[mine[mutual]] = its[of_cell[mutual]]
    why_cell[~_placed(cells)] = NO_PLACE
    why_row[~_placed(rows)] = NO_PLACE
    return found, why_cell, why_row


def _placed(table: pl.DataFrame) -> NDArray[np.bool_]:
    y, x = (_numbers(table, name) for name in (v.Y, v.X))
    return np.isfinite(y) & np.isfinite(x)


def _places(table: pl.DataFrame, parts: Sequence[str]) -> pl.DataFrame:
    """Tile, row and centre of what has a centre."""
    centre = [pl.col(name).cast(pl.Float64, strict=False).alias(name) for name in (v.Y, v.X)]
    places = table.select(_key(table, parts).alias("key"), pl.int_range(pl.len()).alias("row"), *centre)
    return places.filter(pl.Series(_placed(table))).drop_nulls("key")


def _tiles_of_both(here: pl.DataFrame, there: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    theirs = there.partition_by("key", as_dict=True)
    for key, ours in here.partition_by("key", as_dict=True).items():
        if key in theirs:
            yield ours, theirs[key]


def _nearest(of: pl.DataFrame, among: pl.DataFrame, within: float) -> NDArray[np.intp]:
    """The nearest of ``among`` to each; their number where there is none within the distance."""
    # The bound of the tree is exclusive.
    tree = KDTree(among.select(v.Y, v.X).to_numpy())
    return np.asarray(tree.query(of.select(v.Y, v.X).to_numpy(), distance_upper_bound=np.nextafter(within, np.inf))[1])


def _taken(found: Rows, rows: int) -> NDArray[np.bool_]:
    taken = np.zeros(rows, bool)
    taken[found[found >= 0]] = True
    return taken


def _counted(why: NDArray[np.object_], matched: NDArray[np.bool_]) -> dict[str, int]:
    """Reason -> how many of those left, the most frequent first."""
    left = pl.Series("why", why[~matched].astype(str)).value_counts(sort=True) if not matched.all() else None
    return (
        {}
        if left is None
        else {str(reason): int(n) for reason, n in left.sort("count", "why", descending=[True, False]).rows()}
    )


def _apart(cells: pl.DataFrame, rows: pl.DataFrame, found: Rows) -> float | None:
    """Median distance of centres, where both sides have them."""
    if not {v.Y, v.X} <= set(cells.columns) & set(rows.columns) or not (found >= 0).any():
        return None
    mine = np.flatnonzero(found >= 0)
    steps = [_numbers(cells, name)[mine] - _numbers(rows, name)[found[mine]] for name in (v.Y, v.X)]
    distance = np.hypot(*steps)
    return float(np.median(distance[np.isfinite(distance)])) if np.isfinite(distance).any() else None


def _numbers(table: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """A column as float64, NaN where it is no number."""
    return table[name].cast(pl.Float64, strict=False).to_numpy()
