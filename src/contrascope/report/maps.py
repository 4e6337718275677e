"""Maps of both spaces that can be moved, coloured and selected in, with the cells' pictures.

The points are those of the UMAP figures, which stand in for the maps without scripts and in print.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, ClassVar

import jinja2
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib import colormaps
from matplotlib.colors import to_hex
from PIL import Image

from contrascope import vocabulary as v
from contrascope.figures.style import CATEGORIES
from contrascope.profiles.maps import mapped_rows
from contrascope.profiles.spaces import embedding
from contrascope.report.packed import packed, packed_column, packed_labels, quantised, script_data
from contrascope.report.report import Picture
from contrascope.report.sheets import COLUMNS, PER_SHEET, Sheets

ROW = "row"
SALIENT_NORM = "salient norm"
_SCALE = 48
"""Colours of cividis, an even scale that those who see no red or no green read as well."""
_STILL_QUALITY = 82


@dataclass(frozen=True)
class Maps:
    """The maps as a block of the page.

    Attributes:
        cells: A row a point: ``row`` in the store, ``cell_id``, ``SPACE 1`` and ``SPACE 2`` for each space,
            ``perturbation``, ``control``, and further columns to colour by.
        spaces: Those mapped.
        stored: Cells in the store.
        sheets: Pictures of some of the cells.
        stills: The maps as figures.
        standing: Perturbations that have a colour until one is chosen.
    """

    cells: pd.DataFrame
    spaces: Sequence[str]
    stored: int
    sheets: Sheets
    stills: Sequence[Picture]
    standing: Sequence[str]

    scripts: ClassVar[tuple[str, ...]] = (
        "pictures.js",
        "discs.js",
        "points.js",
        "colours.js",
        "selection.js",
        "maps.js",
    )

    def html(self) -> str:
        """The figures, and what the scripts make maps of."""
        room = files("contrascope.report").joinpath("static")
        environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string(room.joinpath("maps.html").read_text(encoding="utf-8"))
        data = self.data()
        return template.render(
            style=room.joinpath("maps.css").read_text(encoding="utf-8"),
            pictures=[{"width": p.width, "source": _webp(p), "caption": p.caption} for p in self.stills],
            choices=_choices(data["columns"]),
            perturbations=sorted(self.cells[v.PERTURBATION].astype(str).unique()),
            spaces=self.spaces,
            cells=f"{len(self.cells):,}",
            note=self.note,
            pictured=self.pictured,
            data=script_data(data),
        )

    @property
    def note(self) -> str:
        """Which cells are points."""
        if len(self.cells) == self.stored:
            return f"Each of the {self.stored:,} cells is a point."
        return f"A point is a cell: {len(self.cells):,} of {self.stored:,}, chosen at random."

    @property
    def pictured(self) -> str:
        """How many of them have a picture."""
        pictures = int(np.isin(self.cells[ROW], self.sheets.rows).sum())
        if pictures == len(self.cells):
            return "Pictures of all of them are in this page."
        return f"Pictures of {pictures:,} of {len(self.cells):,} cells are in this page; contrascope view shows all."

    def data(self) -> dict[str, Any]:
        """What the scripts read: see ``packed.py`` for the numbers."""
        index = pd.Index(self.cells[ROW]).get_indexer(pd.Index(self.sheets.rows))
        return {
            "cells": len(self.cells),
            "rows": packed(self.cells[ROW].to_numpy(), "u4"),
            "names": self.cells[v.CELL_ID].astype(str).tolist(),
            "spaces": [
                {"name": space, "x": self._position(f"{space} 1"), "y": self._position(f"{space} 2")}
                for space in self.spaces
            ],
            "columns": self._columns(),
            "control": packed(self.cells[v.CONTROL].to_numpy(), "u1"),
            "standing": list(self.standing),
            "palette": list(CATEGORIES),
            "scale": [to_hex(colormaps["cividis"](share)) for share in np.linspace(0, 1, _SCALE)],
            "pictures": {
                # A picture of no point has the place of cell 4,294,967,295, which there is not.
                "cells": packed(np.where(index < 0, 2**32 - 1, index), "u4"),
                "width": self.sheets.width,
                "height": self.sheets.height,
                "columns": COLUMNS,
                "per_sheet": PER_SHEET,
                "sheets": [base64.b64encode(file.read_bytes()).decode() for file in self.sheets.files],
            },
        }

    def _position(self, column: str) -> str:
        return packed(quantised(self.cells[column].to_numpy(dtype=np.float64)), "u2")

    def _columns(self) -> list[dict[str, Any]]:
        """Perturbation, which there always is, then all that have something to say."""
        codes, names = pd.factorize(self.cells[v.PERTURBATION].astype(str), sort=True)
        drawn = {v.PERTURBATION, v.CELL_ID, ROW, *(f"{space} {axis}" for space in self.spaces for axis in (1, 2))}
        others = [packed_column(str(name), values) for name, values in self.cells.items() if name not in drawn]
        return [packed_labels(v.PERTURBATION, codes, names.tolist()), *(column for column in others if column)]


def mapped_cells(maps: pd.DataFrame, cells: AnnData, spaces: Sequence[str]) -> pd.DataFrame:
    """The cells of a map with all that is known of them: the table that ``Maps`` takes.

    Args:
        maps: As ``umap_maps`` gives it, of these cells.
        cells: N cells embedded, in the order of the store.
        spaces: Those mapped.

    Returns:
        A row a point: ``row``, the positions, every column of ``obs``, and how far the cell lies from 0 in the
        salient space.
    """
    rows = mapped_rows(cells.n_obs, len(maps))
    known = cells.obs.iloc[rows].reset_index(drop=True)
    assert maps[v.CELL_ID].astype(str).tolist() == cells.obs_names[rows].tolist(), "maps of other cells"
    positions = maps[[f"{space} {axis}" for space in spaces for axis in (1, 2)]].reset_index(drop=True)
    table = pd.concat([pd.DataFrame({ROW: rows, v.CELL_ID: cells.obs_names[rows]}), positions], axis=1)
    table = pd.concat([table, known.drop(columns=v.CELL_ID, errors="ignore")], axis=1)
    if v.SALIENT in cells.obsm:
        table[SALIENT_NORM] = np.linalg.norm(embedding(cells, v.SALIENT)[rows], axis=1)
    return table


def _choices(columns: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Names of the columns that are labels, and of those that are numbers."""
    labels = [column["name"] for column in columns if "codes" in column]
    numbers = [column["name"] for column in columns if "values" in column]
    return [("labels", labels), ("numbers", numbers)] if numbers else [("labels", labels)]


def _webp(picture: Picture) -> str:
    """A figure in a fifth of its bytes, as a data URI."""
    file = io.BytesIO()
    with Image.open(picture.path) as image:
        image.convert("RGB").save(file, "webp", quality=_STILL_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
