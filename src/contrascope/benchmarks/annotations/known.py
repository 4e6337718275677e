"""What is known about genes, whatever file it came from: sets of genes, or pairs where no sets are known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from contrascope.errors import BenchmarkError, first_few

GeneSets = dict[str, frozenset[str]]
"""Complex -> its genes."""

GenePairs = frozenset[tuple[str, str]]
"""Related genes, each pair once and in alphabetical order."""


@dataclass(frozen=True)
class Annotations:
    """Known relations between genes.

    Attributes:
        sets: Sets by name; empty where only pairs are known.
        pairs: Pairs; empty where sets are known.
        notes: What the reader left out, in sentences.
    """

    sets: GeneSets = field(default_factory=dict)
    pairs: GenePairs = frozenset()
    notes: tuple[str, ...] = ()

    @cached_property
    def genes(self) -> frozenset[str]:
        """All genes of the sets or pairs."""
        return frozenset().union(*self.sets.values(), *self.pairs)

    def in_screen(self, genes: Collection[str]) -> Annotations:
        """Cut down to the screen's genes; sets with fewer than two of them and pairs with one fall out.

        Raises:
            BenchmarkError: Nothing is left.
        """
        if self.sets:
            return replace(self, sets=sets_in_screen(self.sets, genes))
        screen = frozenset(genes)
        kept = frozenset(pair for pair in self.pairs if screen.issuperset(pair))
        if not kept:
            raise _no_overlap(f"no pair of {len(self.pairs):,} has both genes in", self.genes, screen)
        return replace(self, pairs=kept)

    def renamed(self, symbols: Mapping[str, str]) -> Annotations:
        """The same with other names of genes; names that are not in ``symbols`` stay."""
        sets = {name: frozenset(symbols.get(gene, gene) for gene in genes) for name, genes in self.sets.items()}
        pairs = pairs_of((symbols.get(a, a), symbols.get(b, b)) for a, b in self.pairs)
        return replace(self, sets=sets, pairs=pairs)


def pairs_of(pairs: Iterable[tuple[str, str]]) -> GenePairs:
    """Pairs in either order and any number, each once; a gene is not related to itself."""
    return frozenset((a, b) if a < b else (b, a) for a, b in pairs if a != b)


def sets_in_screen(sets: Mapping[str, frozenset[str]], genes: Collection[str]) -> GeneSets:
    """The sets cut down to the screen's genes; those with fewer than two genes of the screen fall out.

    Raises:
        BenchmarkError: No set is left.
    """
    screen = frozenset(genes)
    kept = {name: members & screen for name, members in sets.items() if len(members & screen) >= 2}
    if not kept:
        known = frozenset().union(*sets.values())
        raise _no_overlap(f"no set of {len(sets):,} has two genes of", known, screen)
    return kept


def overlap_note(known: Annotations | Mapping[str, frozenset[str]], genes: Collection[str]) -> str:
    """How many annotated genes the screen lacks, and how many of the screen are not annotated, as a sentence."""
    annotations = known if isinstance(known, Annotations) else Annotations(sets=dict(known))
    annotated, screen = annotations.genes, frozenset(genes)
    return (
        f"{len(annotated - screen):,} of {len(annotated):,} annotated genes are unknown to the screen; "
        f"{len(screen - annotated):,} of {len(screen):,} genes of the screen are in no "
        f"{'set' if annotations.sets else 'pair'}."
    )


def _no_overlap(found: str, known: frozenset[str], screen: frozenset[str]) -> BenchmarkError:
    return BenchmarkError(
        f"Annotations and screen do not overlap: {found} the screen. "
        f"The annotations have {first_few(sorted(known), 3)}; the screen has {first_few(sorted(screen), 3)}. "
        "Bring both to the same kind of gene name, in the same case, or give a table of aliases."
    )
