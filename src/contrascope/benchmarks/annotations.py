"""What is known about genes: sets of genes (complexes, pathways) from GMT files.

A GMT line is tab separated: the set's name, a description, then its genes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from contrascope.errors import BenchmarkError, first_few

GeneSets = dict[str, frozenset[str]]


def read_gene_sets(path: Path | str) -> GeneSets:
    """The sets of a GMT file, by name, in the file's order.

    A name that occurs again is given a number, ``name (2)``: CORUM has distinct complexes of one name.

    Raises:
        BenchmarkError: No such file, or not GMT (with the number of the line).
    """
    sets: GeneSets = {}
    for number, line in enumerate(_lines(Path(path)), start=1):
        if not line.strip():
            continue
        name, genes = _set_in(line, where=f"Line {number} of {path}")
        sets[_unused(name, sets)] = genes
    if not sets:
        raise BenchmarkError(f"{path} is empty. A GMT file was needed: set, description, genes, tab separated.")
    return sets


def gene_sets_from(annotations: Path | str | Mapping[str, Iterable[str]]) -> GeneSets:
    """Sets given in memory, or read from a GMT file."""
    if isinstance(annotations, Mapping):
        return {str(name): frozenset(genes) for name, genes in annotations.items()}
    return read_gene_sets(annotations)


def sets_in_screen(sets: Mapping[str, frozenset[str]], genes: Collection[str]) -> GeneSets:
    """The sets cut down to the screen's genes; those with fewer than two genes of the screen fall out.

    Raises:
        BenchmarkError: No set is left.
    """
    screen = frozenset(genes)
    kept = {name: members & screen for name, members in sets.items() if len(members & screen) >= 2}
    if not kept:
        known = frozenset().union(*sets.values())
        raise BenchmarkError(
            f"Annotations and screen do not overlap: no set of {len(sets):,} has two genes of the screen. "
            f"The sets have {first_few(sorted(known), 3)}; the screen has {first_few(sorted(screen), 3)}. "
            "Bring both to the same kind of gene name, in the same case."
        )
    return kept


def overlap_note(sets: Mapping[str, frozenset[str]], genes: Collection[str]) -> str:
    """How many genes of the sets the screen lacks, and how many of the screen no set has, as a sentence."""
    known, screen = frozenset().union(*sets.values()), frozenset(genes)
    return (
        f"{len(known - screen):,} of {len(known):,} annotated genes are unknown to the screen; "
        f"{len(screen - known):,} of {len(screen):,} genes of the screen are in no set."
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise BenchmarkError(f"There is no file {path}. Give the path of a GMT file of gene sets.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path} cannot be read as text ({error}). Give a GMT file, not compressed.") from None


def _set_in(line: str, *, where: str) -> tuple[str, frozenset[str]]:
    name, *rest = (field.strip() for field in line.split("\t"))
    genes = frozenset(rest[1:]) - {""}
    if not name or not genes:
        raise BenchmarkError(
            f"{where} is not GMT: {len(rest) + 1} tab separated field(s), '{first_few([line[:40]])}'. "
            "Needed: set, description, at least one gene."
        )
    return name, genes


def _unused(name: str, taken: Collection[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name} ({number})"
    return candidate
