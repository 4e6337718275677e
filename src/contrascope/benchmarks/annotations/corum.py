"""CORUM's own tables: tab separated, a complex a row, the genes of its subunits separated by semicolons.

Older releases (``allComplexes.txt``, ``coreComplexes.txt``) say ``ComplexName``, ``Organism`` and
``subunits(Gene name)``, newer ones ``complex_name``, ``organism`` and ``subunits_gene_name``. Column names are
compared by their letters alone, so that both are one. CORUM's licence forbids commercial use: bring your own copy.
"""

from __future__ import annotations

from pathlib import Path

from contrascope.benchmarks.annotations.known import Annotations, GeneSets
from contrascope.benchmarks.annotations.text import numbered_lines, unused
from contrascope.errors import BenchmarkError, first_few

HUMAN = "Human"
_NAME, _ORGANISM, _GENES = "complexname", "organism", "subunitsgenename"


def is_corum(line: str) -> bool:
    """Whether a first line is the header of a table of CORUM."""
    return {_NAME, _GENES} <= set(_columns(line))


def read_corum(path: Path, *, organism: str | None = None) -> Annotations:
    """The complexes of one organism.

    Args:
        path: Any of CORUM's tables of complexes, as text.
        organism: As CORUM writes it; Human unless told.

    Raises:
        BenchmarkError: Not such a table, a row cut short, or no complex of that organism.
    """
    lines = numbered_lines(path)
    columns = _columns(next(lines, (0, ""))[1])
    missing = [column for column in (_NAME, _ORGANISM, _GENES) if column not in columns]
    if missing:
        raise BenchmarkError(
            f"{path} is no table of CORUM: its header lacks {first_few(missing)}. Needed are the columns "
            "complex_name, organism, subunits_gene_name (or ComplexName, Organism, subunits(Gene name)), tab separated."
        )
    places = [columns.index(column) for column in (_NAME, _ORGANISM, _GENES)]
    wanted, sets, organisms, bare = organism or HUMAN, GeneSets(), set[str](), 0
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) <= max(places):
            raise BenchmarkError(
                f"Line {number} of {path} is cut short: {len(fields)} fields, where the genes are in field "
                f"{places[2] + 1}. Give the table as CORUM has it."
            )
        name, of, genes = (_unquoted(fields[place].strip()) for place in places)
        organisms.add(of)
        members = frozenset(gene.strip() for gene in genes.split(";")) - {""}
        if of.casefold() == wanted.casefold() and members:
            sets[unused(name, sets)] = members
        bare += of.casefold() == wanted.casefold() and not members
    if not sets:
        raise BenchmarkError(
            f"{path} has no complexes of the organism '{wanted}'. It has {first_few(sorted(organisms))}: give one "
            "of them as organism."
        )
    note = f"Complexes of CORUM without gene names were left out: {bare:,}."
    return Annotations(sets=sets, notes=(note,) if bare else ())


def _columns(header: str) -> list[str]:
    return ["".join(letter for letter in name.casefold() if letter.isalpha()) for name in header.split("\t")]


def _unquoted(field: str) -> str:
    whole = len(field) > 1 and field[0] == field[-1] == '"'
    return field[1:-1].replace('""', '"') if whole else field
