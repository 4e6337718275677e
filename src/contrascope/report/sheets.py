"""Small pictures of many cells, packed into few files.

A sheet is a WebP of up to 16 rows of 16 pictures of one size, filled row by row. ``pictures.csv`` beside the sheets
says which row of the store lies where: sheet by sheet, in the order of their places.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

COLUMNS = 16
PER_SHEET = 256
QUALITY = 72
"""Of WebP, 0 to 100: below, fine structures are smeared (docs/log.md)."""
INDEX = "pictures.csv"


@dataclass(frozen=True)
class Sheets:
    """Pictures of P cells, all of one size.

    Attributes:
        rows: (P,) the cells' rows in the store, sheet by sheet.
        files: The sheets.
        width: Of a picture, in pixels.
        height: Of a picture, in pixels.
    """

    rows: NDArray[np.int64]
    files: tuple[Path, ...]
    width: int
    height: int


def packed_sheet(pictures: NDArray[np.uint8]) -> bytes:
    """Up to 256 pictures (P, H, W, 3) as one WebP; places that are left over are black."""
    count, height, width, _ = pictures.shape
    down = -(-count // COLUMNS)
    filled = np.zeros((down * COLUMNS, height, width, 3), np.uint8)
    filled[:count] = pictures
    rows = filled.reshape(down, COLUMNS, height, width, 3).swapaxes(1, 2)
    file = io.BytesIO()
    Image.fromarray(rows.reshape(down * height, COLUMNS * width, 3)).save(file, "webp", quality=QUALITY, method=4)
    return file.getvalue()


def place(number: int, *, width: int, height: int) -> tuple[int, int, int]:
    """Sheet, left and top in pixels of the so many-th picture."""
    sheet, within = divmod(number, PER_SHEET)
    return sheet, within % COLUMNS * width, within // COLUMNS * height


def write_index(folder: Path, rows: NDArray[np.integer], *, width: int, height: int) -> None:
    """Say where the picture of each row lies."""
    places = [place(number, width=width, height=height) for number in range(len(rows))]
    table = pd.DataFrame(places, columns=["sheet", "left", "top"])
    table.insert(0, "row", rows)
    table.assign(width=width, height=height).to_csv(folder / INDEX, index=False)


def sheet_name(number: int) -> str:
    """Name of the so many-th sheet."""
    return f"sheet_{number:02d}.webp"


def read_sheets(folder: Path) -> Sheets:
    """The pictures in a folder."""
    table = pd.read_csv(folder / INDEX)
    files = tuple(folder / sheet_name(number) for number in sorted(table["sheet"].unique()))
    width, height = (int(table[name].max()) if len(table) else 0 for name in ("width", "height"))
    return Sheets(table["row"].to_numpy(dtype=np.int64), files, width, height)
