"""What the stage ``cards`` left in its folder, as tables; a perturbation named ``NA`` or ``7`` keeps its name."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

_TEXTS = ("perturbation", "guide", "neighbour", "kind", "view", "file", "rows", "feature", "gloss", "space", "metric")
_TABLES = ("cells", "pictures", "neighbours", "guides", "agreement", "altered")


@dataclass(frozen=True)
class Gathered:
    """Tables of cards, of which some may be empty.

    Attributes:
        folder: Where the pictures lie.
        tables: cells, pictures, neighbours, guides, agreement, altered; columns as ``contrascope/cards.py`` says.
        facts: space, channels, bar_um, no_agreement.
    """

    folder: Path
    tables: Mapping[str, pd.DataFrame]
    facts: Mapping[str, Any]

    def by_name(self, table: str) -> dict[str, pd.DataFrame]:
        """The rows of each perturbation."""
        rows = self.tables[table]
        return {str(name): own for name, own in rows.groupby("perturbation", sort=False)} if len(rows) else {}

    def source(self, file: str) -> str:
        """A picture as a data URI."""
        return f"data:image/webp;base64,{base64.b64encode((self.folder / file).read_bytes()).decode()}"


def read_gathered(folder: Path) -> Gathered:
    """Everything that the cards show."""
    tables = {name: _read(folder / f"{name}.csv") for name in _TABLES}
    return Gathered(folder, tables, json.loads((folder / "facts.json").read_text(encoding="utf-8")))


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame()
    header = pd.read_csv(path, nrows=0).columns
    texts = {name: str for name in header if name in _TEXTS}
    missing = {name: [""] for name in header if name not in _TEXTS}
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=missing)
