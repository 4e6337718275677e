"""What a benchmark found: a tidy table, a headline, notes, and a figure of them.

Every row of a table is one number: ``space``, ``metric``, ``value``, the ``chance`` level of that metric
beside it, and ``n``, the number of things it was computed on; further columns say which curve, target or
dose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from contrascope.addresses import local_path
from contrascope.errors import BenchmarkError
from contrascope.registry import Registry
from contrascope.shown import html_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPACE, METRIC, VALUE, CHANCE, N = "space", "metric", "value", "chance", "n"
COLUMNS = (SPACE, METRIC, VALUE, CHANCE, N)
"""Columns that every table and every headline has."""
TEXTS = (
    SPACE, METRIC, "complex", "feature", "gene", "gloss", "group", "perturbation", "predicted", "role", "score",
    "target", "truth", "unit",
)  # fmt: skip
"""Columns of names, whatever they look like."""

# Named, not imported: figures stand a floor above benchmarks.
FIGURES = Registry(
    "figures",
    {
        "complexes": "contrascope.figures.complexes:precision_recall",
        "artifacts": "contrascope.figures.artifacts:artifact_bars",
        "dose": "contrascope.figures.dose:dose_response",
        "functions": "contrascope.figures.functions:gene_functions",
        "stages": "contrascope.figures.stages:stage_bars",
        "mitosis": "contrascope.figures.mitosis:mitosis_curves",
        "explained": "contrascope.figures.explained:explained_curves",
        "novelty": "contrascope.figures.novelty:novelty_map",
        "hits": "contrascope.figures.hits:ranked_hits",
    },
)
"""Benchmark -> function from its table to a matplotlib Figure."""


@dataclass(frozen=True, eq=False)
class Result:
    """The outcome of one benchmark.

    Attributes:
        name: The benchmark's name.
        table: One number a row, with at least the columns space, metric, value, chance, n.
        headline: The few rows to read first, with exactly these columns.
        notes: What was left out and why, in sentences.
    """

    name: str
    table: pd.DataFrame
    headline: pd.DataFrame
    notes: tuple[str, ...] = ()

    def plot(self) -> Figure:
        """The figure of this benchmark.

        Raises:
            SettingsError: A benchmark from outside registered no figure under ``contrascope.figures``.
        """
        figure: Figure = FIGURES[self.name](self.table)
        return figure

    def save(self, folder: Path | str) -> list[Path]:
        """Write NAME.csv, NAME_headline.csv, NAME_notes.json and, where there is a figure, NAME.png and NAME.svg.

        Equal results give equal files.

        Returns:
            The paths written.
        """
        folder = local_path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        table, headline = folder / f"{self.name}.csv", folder / f"{self.name}_headline.csv"
        notes = folder / f"{self.name}_notes.json"
        self.table.to_csv(table, index=False)
        self.headline.to_csv(headline, index=False)
        notes.write_text(json.dumps(list(self.notes), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        drawn = save_figure(self.plot(), folder / self.name) if self.name in FIGURES else []
        return [table, headline, notes, *drawn]

    def __repr__(self) -> str:
        wide = self.headline.to_string(index=False, float_format=lambda value: f"{value:.3f}")
        notes = "".join(f"\n  note: {note}" for note in self.notes)
        return f"Result '{self.name}', {len(self.table):,} rows\n{wide}{notes}"

    def _repr_html_(self) -> str:
        return html_of(self, "result")


def read_result(path: Path | str) -> Result:
    """A result that was saved, as it was.

    Args:
        path: Its table, NAME.csv; beside it NAME_headline.csv, and NAME_notes.json where there are notes.

    Raises:
        BenchmarkError: No such table, or one that is none.
    """
    path = local_path(path)
    headline, notes = (path.with_name(f"{path.stem}_{part}") for part in ("headline.csv", "notes.json"))
    table, first = _table_of(path), _table_of(headline)
    said = json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else ()
    return Result(path.stem, table, first, tuple(said))


def _table_of(path: Path) -> pd.DataFrame:
    """A table with its texts as texts, also where a gene is called NA or a group 1, and its numbers to the last bit."""
    try:
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(TEXTS, object),
            float_precision="round_trip",
            keep_default_na=False,
            na_values=[""],
        )
    except (OSError, ValueError) as error:
        raise BenchmarkError(
            f"{path} cannot be read as a result: {error}. Give the CSV that it was saved to."
        ) from None
    if lacking := [name for name in COLUMNS if name not in table]:
        raise BenchmarkError(f"{path} is no table of a result: it lacks {', '.join(lacking)}. Give one that was saved.")
    return table


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write PATH.png and PATH.svg; equal figures give equal files."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    png, svg = path.with_name(f"{path.name}.png"), path.with_name(f"{path.name}.svg")
    figure.savefig(png)
    with rc_context({"svg.hashsalt": "contrascope", "svg.fonttype": "none"}):
        figure.savefig(svg, metadata={"Date": None})
    return [png, svg]


def tidy(rows: Sequence[Mapping[str, Any]], *, extra: Sequence[str] = ()) -> pd.DataFrame:
    """Rows as a table: space, metric, the extra columns, value, chance, n; all extra columns always there."""
    return pd.DataFrame(rows, columns=[SPACE, METRIC, *extra, VALUE, CHANCE, N])
