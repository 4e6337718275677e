"""All questions at once: each benchmark that the data allow, on the cells or on profiles of them, as it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
from anndata import AnnData

from contrascope.benchmarks import Result, benchmark
from contrascope.benchmarks.result import CHANCE, METRIC, SPACE, VALUE
from contrascope.benchmarks.rows import taken_by
from contrascope.errors import BenchmarkError, ContrascopeError, SettingsError
from contrascope.profiles import profile
from contrascope.profiles.aggregate import N_CELLS
from contrascope.registry import BENCHMARKS
from contrascope.vocabulary import CONTROL, GUIDE, PERTURBATION

Options = Mapping[str, Mapping[str, Any]]
"""Benchmark -> its options."""


@dataclass(frozen=True)
class Judged:
    """Cells as every benchmark takes them; profiles are made when they are first asked for.

    Attributes:
        data: Cells, or profiles that a user has made.
        made: Profiles of the cells that are there already, by guide and by perturbation.
    """

    data: AnnData
    made: Mapping[str, AnnData] = field(default_factory=dict)

    def for_(self, name: str) -> AnnData:
        """The data for a benchmark: profiles of the cells where it takes profiles."""
        takes = taken_by(name)
        if not _are_cells(self.data):
            return self.data
        return {"guides": lambda: self.guides, "profiles": lambda: self.profiles}.get(takes, lambda: self.data)()

    @cached_property
    def guides(self) -> AnnData:
        """Profiles of guides."""
        return self.made[GUIDE] if GUIDE in self.made else profile(self.data, by="guide")

    @cached_property
    def profiles(self) -> AnnData:
        """Profiles of perturbations."""
        return self.made[PERTURBATION] if PERTURBATION in self.made else profile(self.data)


def needed_by(name: str) -> list[str]:
    """Options that a benchmark cannot do without."""
    _, *parameters = inspect.signature(BENCHMARKS[name]).parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty]


def ask_all(
    data: AnnData | Judged,
    *,
    options: Options | None = None,
    spaces: Sequence[str] | None = None,
    asked: Callable[[str], None] = lambda name: None,
) -> tuple[dict[str, Result], dict[str, str]]:
    """Put every question to the data that they allow.

    Args:
        data: Cells.
        options: Benchmark -> its options.
        spaces: As of ``benchmark``.
        asked: Told the name of each benchmark before its work.

    Returns:
        Benchmark -> its result; and, of those that could not be computed, why.

    Raises:
        ContrascopeError: A benchmark that ``options`` names cannot be computed; or none can.
    """
    judged, options = data if isinstance(data, Judged) else Judged(data), options or {}
    if unknown := sorted(set(options) - set(BENCHMARKS)):
        raise SettingsError(f"There is no benchmark '{unknown[0]}'. Choose among: {', '.join(BENCHMARKS)}.")
    results: dict[str, Result] = {}
    left_out: dict[str, str] = {}
    for name in BENCHMARKS:
        asked(name)
        try:
            results[name] = benchmark(judged.for_(name), name, spaces=spaces, **options.get(name, {}))
        except ContrascopeError as error:
            if name in options:
                raise
            left_out[name] = str(error)
    if not results:
        raise BenchmarkError(f"None of the benchmarks can be computed. {' '.join(said(left_out))}")
    return results, left_out


def comparison(results: Mapping[str, Result]) -> pd.DataFrame:
    """The headlines of all results: a row a benchmark and metric, a column a space, and chance."""
    return pd.concat([_named(result) for result in results.values()], ignore_index=True)


def side_by_side(headline: pd.DataFrame) -> pd.DataFrame:
    """A headline as a row a metric, a column a space, chance last."""
    wide = headline.pivot_table(index=METRIC, columns=SPACE, values=VALUE, sort=False, observed=True)
    spaces = list(dict.fromkeys(headline[SPACE]))
    chance = headline.groupby(METRIC, sort=False, observed=True)[CHANCE].agg(_level)
    return wide[spaces].assign(**{CHANCE: chance}).reset_index().rename_axis(columns=None)


def _level(levels: pd.Series) -> str:
    """The chance level of a metric; from the lowest to the highest where spaces differ."""
    low, high = f"{levels.min():.3f}", f"{levels.max():.3f}"
    return low if low == high else f"{low} to {high}"


def _named(result: Result) -> pd.DataFrame:
    table = side_by_side(result.headline)
    table.insert(0, "benchmark", result.name)
    return table


def _are_cells(data: AnnData) -> bool:
    """Whether rows are cells: profiles say of how many cells they are, or have one row a perturbation."""
    if N_CELLS in data.obs or not {GUIDE, PERTURBATION, CONTROL} <= set(data.obs):
        return False
    return bool(data.obs[PERTURBATION].duplicated().any())


def notes_of(results: Mapping[str, Result]) -> Iterator[str]:
    """A paragraph for each benchmark, of what it notes; what several note stands once, under all their names."""
    by_note: dict[str, dict[str, None]] = {}
    for result in results.values():
        for note in result.notes:
            by_note.setdefault(note, {})[result.name] = None
    by_names: dict[tuple[str, ...], list[str]] = {}
    for note, names in by_note.items():
        by_names.setdefault(tuple(names), []).append(note)
    for names_, notes in by_names.items():
        yield f"{', '.join(names_)}: {' '.join(notes)}"


def said(left_out: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each benchmark that was left out."""
    for name, why in left_out.items():
        yield f"{name} was left out: {why}"
