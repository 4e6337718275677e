"""Which benchmarks a screen is put to, and what came of each, in one folder.

Asked are the benchmarks that the screen file names, those it has annotations for, and those that need no option. One
that the data do not allow is left out, and ``NAME_notes.json`` says why; where the screen file names it, that is an
error once all else is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anndata import AnnData

from contrascope.benchmarks import Result, benchmark
from contrascope.benchmarks.options import check_options
from contrascope.benchmarks.result import read_result
from contrascope.benchmarks.suite import needed_by
from contrascope.config import ScreenSettings
from contrascope.errors import BenchmarkError, SettingsError
from contrascope.figures.style import same_colours
from contrascope.registry import BENCHMARKS
from contrascope.store.files import read_json, sha256, write_json

FIRST = ("complexes", "hits", "novelty", "explained", "functions", "artifacts")
"""The order in which a reader meets them; the others follow."""
_FILES = (".gmt", ".csv", ".tsv", ".txt", ".json")
"""Endings of what options name files by."""


def questions(settings: ScreenSettings) -> dict[str, dict[str, Any]]:
    """Benchmark -> its options."""
    named = {name: dict(options) for name, options in settings.benchmarks.items()}
    for name, file in settings.annotations.by_benchmark.items():
        named[name] = {"annotations": str(file)} | named.get(name, {})
    free = {name: dict[str, Any]() for name in BENCHMARKS if not needed_by(name)}
    asked = free | named
    return {name: asked[name] for name in sorted(asked, key=lambda name: (*(name != one for one in FIRST), name))}


def unasked(settings: ScreenSettings) -> dict[str, str]:
    """Benchmark that the screen file does not ask for -> what it would have to give."""
    asked = questions(settings)
    return {
        name: f"The screen file does not give what it needs: {', '.join(needed_by(name))}."
        for name in BENCHMARKS
        if name not in asked
    }


def is_named(name: str, settings: ScreenSettings) -> bool:
    """Whether the screen file asks this question, so that it must be computable."""
    return name in settings.benchmarks or name in settings.annotations.by_benchmark


def told_apart(options: Any) -> Any:
    """Options with what their files hold in place of where they lie: another content is another question."""
    if isinstance(options, Mapping):
        return {name: told_apart(value) for name, value in options.items()}
    if isinstance(options, str | Path) and Path(options).is_file():
        return sha256(Path(options))
    return options


def refuse_misput(settings: ScreenSettings) -> None:
    """Make sure, before the work, that there are the benchmarks that the screen file names, their options and files.

    Raises:
        SettingsError: No such benchmark, an option that it does not take, or a file that is not there.
    """
    for name, options in questions(settings).items():
        check_options(name, BENCHMARKS[name], options)
        for option, value in options.items():
            if isinstance(value, str) and _is_lost(value, settings.annotations.by_benchmark.get(name)):
                raise SettingsError(
                    f"The benchmark '{name}' cannot take {option}: there is no file {value}. Correct the path; it is "
                    f"taken from the screen file's folder."
                )


def _is_lost(value: str, annotations: Path | None) -> bool:
    """Whether a text names a file that is not there."""
    named = annotations is not None and value == str(annotations) and not value.startswith("efaar:")
    looks_it = Path(value).name.lower().removesuffix(".gz").endswith(_FILES)
    return (named or looks_it) and not Path(value).exists()


def answer(name: str, data: AnnData, options: Mapping[str, Any], folder: Path) -> Result | None:
    """Put a question, and write the answer.

    Args:
        name: The benchmark.
        data: What it takes.
        options: Its own.
        folder: For its files.

    Returns:
        The result; None where the data do not allow the question.
    """
    try:
        result = benchmark(data, name, **options)
    except BenchmarkError as error:
        for file in [*folder.glob(f"{name}.*"), folder / f"{name}_headline.csv"]:
            file.unlink(missing_ok=True)
        write_json(folder / f"{name}_notes.json", [str(error)])
        return None
    with same_colours(data.obsm):
        result.save(folder)
    return result


def answered(name: str, folder: Path) -> Result | None:
    """The answer that was written; None where the data did not allow the question."""
    if not (folder / f"{name}.csv").exists():
        return None
    return read_result(folder / f"{name}.csv")


def why_not(name: str, folder: Path) -> str:
    """Why a question that the data did not allow was left out."""
    return " ".join(read_json(folder / f"{name}_notes.json"))
