"""Groups of genes and lists of genes as a user keeps them: the one way from what is given to a group's genes.

Groups are a table of two columns, gene and group (``.csv``, ``.tsv``, as they are or gzipped), any file of sets that
``annotations`` reads, or a mapping. A list of genes is a text file with a gene a line, some sets of such a file, or
names in memory. ``annotations`` knows published formats by their first line, which a table that somebody made has
not: so such a table is known by its ending, here. ``groups.py`` puts groups together and cuts them down to a screen.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contrascope.benchmarks.annotations import GeneSets, gene_sets_from
from contrascope.benchmarks.annotations.formats import is_table_of_sets
from contrascope.benchmarks.annotations.text import numbered_lines
from contrascope.errors import BenchmarkError, first_few

SEPARATORS = {".csv": ",", ".tsv": "\t"}
HEADERS = frozenset({"gene", "genes", "gene_name", "gene_symbol", "symbol", "perturbation"})
"""A first line that begins with one of these names the columns; any other is a gene already."""
Groups = Path | str | Mapping[str, Any]
Genes = Path | str | Iterable[str] | Mapping[str, Iterable[str]]


def gene_groups_from(groups: Groups) -> GeneSets:
    """Group -> genes, from a table of two columns, a file of sets, gene -> group, or group -> genes.

    A line of a table without a group is a gene of which none is known. A gene may still stand in several groups.

    Raises:
        BenchmarkError: No such file, or not what its name says (with the number of the line).
    """
    if isinstance(groups, Mapping):
        if not any(isinstance(value, str) for value in groups.values()):
            return gene_sets_from(groups)
        return _gathered(groups.items())
    path = Path(groups)
    separator = SEPARATORS.get(Path(path.name.lower().removesuffix(".gz")).suffix)
    if separator is None or is_table_of_sets(path):
        return gene_sets_from(path)
    return _gathered(_pairs(path, separator))


def one_group_each(sets: GeneSets, genes: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Gene -> group for genes of the screen, and what was left out, in sentences.

    Left out are genes of several groups, and then groups with fewer than two genes.

    Raises:
        BenchmarkError: Fewer than two groups are left.
    """
    screen = frozenset(genes)
    times = Counter(gene for members in sets.values() for gene in members)
    several = sorted(gene for gene in screen if times[gene] > 1)
    left = {name: sorted(members & screen - set(several)) for name, members in sets.items()}
    small = [name for name, members in left.items() if len(members) < 2]
    notes = []
    if several:
        notes.append(f"{len(several):,} gene(s) of more than one group were left out: {first_few(several)}.")
    if small:
        notes.append(
            f"{len(small):,} group(s) with fewer than two genes of the screen were left out: {first_few(small)}."
        )
    if len(left) - len(small) < 2:
        raise BenchmarkError(
            f"{len(left) - len(small)} of {len(left):,} group(s) have two genes or more of the screen that are in no "
            f"other group; two groups were needed. {' '.join(notes)} "
            f"The annotations have {first_few(sorted(times), 3)}; the screen has {first_few(sorted(screen), 3)}."
        )
    return {gene: name for name, members in left.items() if name not in small for gene in members}, notes


def gene_list_from(genes: Genes, *, sets: str | Sequence[str] = ()) -> frozenset[str]:
    """Genes from names in memory, a text file with a gene a line, or a GMT file.

    Args:
        genes: The names or the file; or set -> genes.
        sets: Names of the GMT file's sets that count; by default all.

    Raises:
        BenchmarkError: No such file, no such set, or no gene in it.
    """
    wanted = [sets] if isinstance(sets, str) else list(sets)
    if isinstance(genes, Mapping):
        return _chosen(gene_sets_from(genes), wanted)
    if not isinstance(genes, (str, Path)):
        return frozenset(str(gene) for gene in genes)
    lines = [line.strip() for _, line in numbered_lines(Path(genes))]
    if any("\t" in line for line in lines):
        return _chosen(gene_sets_from(genes), wanted)
    if wanted:
        raise BenchmarkError(f"{genes} has a gene a line and no sets, so {first_few(wanted)} cannot be chosen from it.")
    found = frozenset(lines)
    if not found:
        raise BenchmarkError(f"{genes} is empty. A gene a line was needed, or a GMT file.")
    return found


def _chosen(sets: GeneSets, wanted: Sequence[str]) -> frozenset[str]:
    if unknown := [name for name in wanted if name not in sets]:
        raise BenchmarkError(f"There is no set {first_few(unknown)}. The sets are {first_few(sets, 12)}.")
    return frozenset().union(*(sets[name] for name in wanted or sets))


def _gathered(pairs: Iterable[tuple[str, Any]]) -> GeneSets:
    """Group -> genes from pairs of gene and group, groups in the order they come."""
    groups: dict[str, set[str]] = {}
    for gene, group in pairs:
        if not isinstance(group, str):
            raise BenchmarkError(
                f"The group of {gene} is {group!r}; a text was needed. Give gene -> group or group -> genes, not both."
            )
        groups.setdefault(group, set()).add(str(gene))
    return {name: frozenset(members) for name, members in groups.items()}


def _pairs(path: Path, separator: str) -> list[tuple[str, str]]:
    pairs = []
    for place, (number, line) in enumerate(numbered_lines(path)):
        row = [field.strip() for field in next(csv.reader([line], delimiter=separator))]
        if not any(row) or (place == 0 and row[0].lower() in HEADERS):
            continue
        if len(row) != 2 or not row[0]:
            raise BenchmarkError(
                f"Line {number} of {path} has {len(row)} field(s), '{first_few([','.join(row)[:40]])}'. "
                f"Needed: gene and group, two columns with {'a comma' if separator == ',' else 'a tab'} between."
            )
        if row[1]:
            pairs.append((row[0], row[1]))
    if not pairs:
        raise BenchmarkError(f"{path} says no gene's group. A table of two columns was needed: gene and group.")
    return pairs
