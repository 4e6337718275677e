"""Annotations inside an installed ``efaar-benchmarking``: found as files, the package itself is not imported.

Its tables of pairs are CORUM, HuMAP, Reactome, SIGNOR and StringDB; ``CORUM_clusters`` has CORUM's sets, a name and
genes separated by blanks. Install it with ``pip install --no-deps efaar-benchmarking``: only its files are read.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from contrascope.benchmarks.annotations.known import Annotations, GeneSets
from contrascope.benchmarks.annotations.pairs import read_pairs
from contrascope.benchmarks.annotations.text import numbered_lines, unused
from contrascope.errors import BenchmarkError, first_few

PREFIX = "efaar:"
_PACKAGE, _FOLDER = "efaar_benchmarking", "benchmark_annotations"


def read_efaar(name: str) -> Annotations:
    """The annotations of that name, without the prefix: ``CORUM``.

    Raises:
        BenchmarkError: The package is not installed, or has no annotations of that name.
    """
    folder = _folder()
    tables = {path.stem: path for path in sorted(folder.glob("*.txt"))}
    clusters = {path.stem: path for path in sorted(folder.glob("*_clusters.tsv"))}
    if name in tables:
        return read_pairs(tables[name])
    if name in clusters:
        return _read_clusters(clusters[name])
    raise BenchmarkError(
        f"efaar-benchmarking has no annotations '{name}'. It has {first_few(sorted([*tables, *clusters]), 10)}."
    )


def _folder() -> Path:
    """Where the installed package keeps its annotations."""
    found = find_spec(_PACKAGE)
    places = [Path(place) / _FOLDER for place in (found.submodule_search_locations or [])] if found else []
    for place in places:
        if place.is_dir():
            return place
    raise BenchmarkError(
        f"Annotations '{PREFIX}...' are those of the package efaar-benchmarking, which is not installed here. Install "
        "it with `pip install --no-deps efaar-benchmarking`, or give the path of a file of annotations."
    )


def _read_clusters(path: Path) -> Annotations:
    sets: GeneSets = {}
    for number, line in numbered_lines(path):
        name, tab, genes = line.partition("\t")
        if not tab or not genes.split():
            raise BenchmarkError(f"Line {number} of {path} is no set: a name, a tab and genes were needed.")
        sets[unused(name.strip(), sets)] = frozenset(genes.split())
    return Annotations(sets=sets)
