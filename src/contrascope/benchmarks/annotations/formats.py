"""Which format a file of annotations has, seen by its first line, and what its reader wants to be told."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from contrascope.benchmarks.annotations.corum import is_corum, read_corum
from contrascope.benchmarks.annotations.efaar import PREFIX, read_efaar
from contrascope.benchmarks.annotations.gmt import is_enrichr, is_gmt, read_enrichr, read_gmt
from contrascope.benchmarks.annotations.known import Annotations, GeneSets
from contrascope.benchmarks.annotations.pairs import is_pairs, read_pairs
from contrascope.benchmarks.annotations.string import is_protein_info, is_string, read_string
from contrascope.benchmarks.annotations.text import first_line
from contrascope.errors import BenchmarkError

Source = Path | str | Mapping[str, Iterable[str]] | Annotations
"""A file, ``efaar:NAME``, sets in memory, or annotations that were read before."""


class Format(NamedTuple):
    """A format by name: whether a first line is of it, and how the file is read."""

    name: str
    recognises: Callable[[str], bool]
    read: Callable[..., Annotations]


# In order: headers are told apart first, any three tab separated fields may be GMT.
FORMATS = (
    Format("CORUM table", is_corum, read_corum),
    Format("STRING links", is_string, read_string),
    Format("pairs", is_pairs, read_pairs),
    Format("Enrichr text", is_enrichr, read_enrichr),
    Format("GMT", is_gmt, read_gmt),
)


def annotations_from(source: Source, **options: Any) -> Annotations:
    """Annotations of any format we know, or given in memory.

    Args:
        source: A file; ``efaar:NAME`` from an installed efaar-benchmarking; set -> genes.
        options: ``organism`` of CORUM's tables; ``min_score`` and ``protein_names`` of STRING's links. None stands
            for "not given".

    Raises:
        BenchmarkError: Of no format we know, not as its format has it, or an option that this format does not take.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(source, Annotations):
        return _without_options(source, given, "annotations in memory")
    if isinstance(source, Mapping):
        sets = {str(name): frozenset(genes) for name, genes in source.items()}
        return _without_options(Annotations(sets=sets), given, "sets in memory")
    if str(source).startswith(PREFIX):
        return _without_options(read_efaar(str(source).removeprefix(PREFIX)), given, "efaar-benchmarking")
    path = Path(source)
    found = _format_of(path)
    _check_options(given, list(inspect.signature(found.read).parameters)[1:], f"{path} ({found.name})")
    return found.read(path, **given)


def gene_sets_from(source: Source, **options: Any) -> GeneSets:
    """Sets by name, for questions that pairs cannot answer.

    Raises:
        BenchmarkError: As of ``annotations_from``, or the annotations are pairs.
    """
    found = annotations_from(source, **options)
    if not found.sets:
        raise BenchmarkError("The annotations are pairs of genes, but sets were needed: give GMT or a table of CORUM.")
    return found.sets


def is_table_of_sets(path: Path) -> bool:
    """Whether a file begins with a header that tells its format, as tables of CORUM do, whatever its name ends in.

    Raises:
        BenchmarkError: As of ``first_line``.
    """
    line = first_line(path)
    return any(known.recognises(line) for known in FORMATS if known.read not in (read_gmt, read_enrichr))


def _format_of(path: Path) -> Format:
    line = first_line(path)
    if is_protein_info(line):
        raise BenchmarkError(
            f"{path} is STRING's list of proteins, not of links. Give protein.links as annotations, and protein.info "
            "as protein_names."
        )
    for known in FORMATS:
        if known.recognises(line):
            return known
    raise BenchmarkError(
        f"{path} is of no kind that can be read: it begins '{line[:40]}'. Needed: GMT or Enrichr text (set, "
        "description, genes, tab separated), a table of CORUM, pairs under entity1,entity2, or STRING's protein.links."
    )


def _without_options(annotations: Annotations, given: Mapping[str, Any], where: str) -> Annotations:
    _check_options(given, (), where)
    return annotations


def _check_options(given: Mapping[str, Any], taken: Iterable[str], where: str) -> None:
    foreign = sorted(set(given) - set(taken))
    if foreign:
        raise BenchmarkError(
            f"The annotations are {where}, which know no {' and no '.join(foreign)}. Leave it out: organism is for "
            "CORUM's tables, min_score and protein_names are for STRING's links."
        )
