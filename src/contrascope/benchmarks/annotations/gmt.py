"""GMT files and Enrichr's text libraries: a set a line, tab separated.

A GMT line has the set's name, a description, then its genes. Enrichr leaves the description empty, and may write
a weight after a gene: ``GENE,1.0``.
"""

from __future__ import annotations

import re
from pathlib import Path

from contrascope.benchmarks.annotations.known import Annotations, GeneSets
from contrascope.benchmarks.annotations.text import numbered_lines, unused
from contrascope.errors import BenchmarkError, first_few

_WEIGHT = re.compile(r",[-+0-9.eE]+$")


def read_gmt(path: Path) -> Annotations:
    """The sets of a GMT file."""
    return Annotations(sets=read_gene_sets(path))


def read_enrichr(path: Path) -> Annotations:
    """The sets of one of Enrichr's text libraries, without the weights."""
    sets = read_gene_sets(path)
    return Annotations(sets={name: frozenset(_WEIGHT.sub("", gene) for gene in sets[name]) for name in sets})


def read_gene_sets(path: Path | str) -> GeneSets:
    """The sets of a GMT file, by name, in the file's order.

    A name that occurs again is given a number, ``name (2)``: CORUM has distinct complexes of one name.

    Raises:
        BenchmarkError: No such file, or not GMT (with the number of the line).
    """
    sets: GeneSets = {}
    for number, line in numbered_lines(Path(path)):
        name, genes = _set_in(line, where=f"Line {number} of {path}")
        sets[unused(name, sets)] = genes
    if not sets:
        raise BenchmarkError(f"{path} is empty. A GMT file was needed: set, description, genes, tab separated.")
    return sets


def is_enrichr(line: str) -> bool:
    """Whether a first line has a set's name, nothing, then genes."""
    fields = line.split("\t")
    return len(fields) >= 3 and not fields[1].strip()


def is_gmt(line: str) -> bool:
    """Whether a first line has three tab separated fields or more."""
    return line.count("\t") >= 2


def _set_in(line: str, *, where: str) -> tuple[str, frozenset[str]]:
    name, *rest = (field.strip() for field in line.split("\t"))
    genes = frozenset(rest[1:]) - {""}
    if not name or not genes:
        raise BenchmarkError(
            f"{where} is not GMT: {len(rest) + 1} tab separated field(s), '{first_few([line[:40]])}'. "
            "Needed: set, description, at least one gene."
        )
    return name, genes
