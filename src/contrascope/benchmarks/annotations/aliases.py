"""Other names of genes: old symbols and synonyms are brought to one symbol, on both sides of a comparison.

A name is changed where the table knows it as the alias of exactly one symbol and as no symbol itself; where two
genes of the screen would then have one name, both keep their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from contrascope.benchmarks.annotations.known import Annotations
from contrascope.benchmarks.annotations.text import numbered_lines
from contrascope.errors import BenchmarkError, first_few

Aliases = Path | str | Mapping[str, str]
"""A table with the columns alias and symbol (comma or tab separated), or alias -> symbol."""


class Renaming(NamedTuple):
    """Annotations and the screen's genes under one set of names.

    Attributes:
        annotations: Under their new names.
        screen: Name in the screen -> new name, for all genes of the screen.
        note: What was changed and what was left, as a sentence.
    """

    annotations: Annotations
    screen: dict[str, str]
    note: str


def with_symbols(annotations: Annotations, genes: Iterable[str], aliases: Aliases) -> Renaming:
    """Bring both sides to the symbols of a table of aliases.

    Raises:
        BenchmarkError: The table cannot be read as one.
    """
    screen = list(genes)
    symbols = _symbols_of(aliases)
    certain = {alias: next(iter(found)) for alias, found in symbols.items() if len(found) == 1}
    target = {gene: certain.get(gene, gene) for gene in screen}
    crowd = Counter(target.values())
    named = {gene: new if crowd[new] == 1 else gene for gene, new in target.items()}
    changed = {gene for gene in annotations.genes if gene in certain}
    moved = sum(gene != new for gene, new in named.items())
    note = (
        f"Aliases changed {len(changed):,} of {len(annotations.genes):,} annotated names and {moved:,} of "
        f"{len(screen):,} names of the screen to their symbols."
    )
    present = annotations.genes | set(screen)
    doubtful = [
        f"{alias} ({' or '.join(sorted(symbols[alias]))})"
        for alias in sorted(present & symbols.keys())
        if len(symbols[alias]) > 1
    ]
    if doubtful:
        note += f" Ambiguous aliases kept their names: {first_few(doubtful)}."
    clash = sorted(gene for gene, new in target.items() if gene != new and crowd[new] > 1)
    if clash:
        note += f" Genes of the screen that would share a symbol kept their names: {first_few(clash)}."
    return Renaming(annotations.renamed(certain), named, note)


def _symbols_of(aliases: Aliases) -> dict[str, set[str]]:
    """Alias -> the symbols it may stand for; a name that is a symbol itself is no alias."""
    pairs = list(aliases.items()) if isinstance(aliases, Mapping) else _read(Path(aliases))
    symbols = {symbol for _, symbol in pairs}
    found: dict[str, set[str]] = {}
    for alias, symbol in pairs:
        if alias not in symbols:
            found.setdefault(alias, set()).add(symbol)
    return found


def _read(path: Path) -> list[tuple[str, str]]:
    lines = numbered_lines(path)
    header = next(lines, (0, ""))[1]
    separator = "\t" if "\t" in header else ","
    columns = [name.strip().strip('"').casefold() for name in header.split(separator)]
    if not {"alias", "symbol"} <= set(columns):
        raise BenchmarkError(
            f"{path} is no table of aliases: its header is '{header[:40]}'. The columns alias and symbol were needed, "
            "comma or tab separated."
        )
    alias, symbol = columns.index("alias"), columns.index("symbol")
    pairs = []
    for number, line in lines:
        fields = [field.strip().strip('"') for field in line.split(separator)]
        if len(fields) <= max(alias, symbol) or not fields[alias] or not fields[symbol]:
            raise BenchmarkError(f"Line {number} of {path} lacks an alias or a symbol: '{line[:40]}'.")
        pairs.append((fields[alias], fields[symbol]))
    return pairs
