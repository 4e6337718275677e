"""Which pairs of the judged genes are related, and whose each pair is when complexes are resampled.

Complexes overlap, so a bootstrap has to say where a shared pair goes: to the largest complex that holds it. So
near copies of one complex, of which CORUM has many, are drawn as one. Where only pairs are known, a pair goes with
whichever of its two genes has more partners: that knows nothing of complexes, and intervals come out narrower
(a third as wide with EFAAR's pairs of CORUM as with its sets). Give sets where there are any.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrascope.benchmarks.annotations import Annotations, GenePairs, GeneSets
from contrascope.benchmarks.relations.similarity import Positions, pair_positions


@dataclass(frozen=True)
class Truth:
    """G judged genes and P related pairs of them.

    Attributes:
        genes: In alphabetical order.
        members: Complex -> positions of its genes; empty where only pairs are known.
        first: (P,) position of one gene of each related pair, below ``second``.
        second: (P,) position of the other.
        owner: (P,) which complex, 0 ... U - 1, a pair is drawn with.
    """

    genes: list[str]
    members: dict[str, Positions]
    first: Positions
    second: Positions
    owner: Positions

    @property
    def pairs(self) -> int:
        """How many unordered pairs the genes have."""
        return len(self.genes) * (len(self.genes) - 1) // 2

    @property
    def related(self) -> Positions:
        """(P,) where the related pairs stand among all pairs, ascending."""
        return pair_positions(self.first, self.second, genes=len(self.genes))

    @property
    def units(self) -> int:
        """How many complexes (or hubs) own pairs."""
        return int(self.owner.max()) + 1


def truth_of(annotations: Annotations) -> Truth:
    """Genes that share a set, or a pair, with another gene; the annotations are already cut to the screen."""
    genes = sorted(annotations.genes)
    place = {gene: position for position, gene in enumerate(genes)}
    if annotations.sets:
        members = _members(annotations.sets, place)
        return _truth(genes, members, *_pairs_within(members))
    return _truth(genes, {}, *_pairs_of(annotations.pairs, place))


def _members(sets: GeneSets, place: dict[str, int]) -> dict[str, Positions]:
    return {name: np.array(sorted(place[gene] for gene in genes), dtype=np.intp) for name, genes in sets.items()}


def _pairs_within(members: dict[str, Positions]) -> tuple[Positions, Positions, Positions]:
    """All pairs within complexes, the largest complex first: first and second gene, and number of the complex."""
    largest_first = sorted(members, key=lambda name: (-len(members[name]), name))
    first, second, owner = [], [], []
    for number, name in enumerate(largest_first):
        inside = members[name]
        a, b = np.triu_indices(len(inside), k=1)
        first.append(inside[a])
        second.append(inside[b])
        owner.append(np.full(len(a), number, dtype=np.intp))
    return np.concatenate(first), np.concatenate(second), np.concatenate(owner)


def _pairs_of(pairs: GenePairs, place: dict[str, int]) -> tuple[Positions, Positions, Positions]:
    """Pairs as first and second gene, and the one of the two that has more partners."""
    ends = np.array([(place[a], place[b]) for a, b in sorted(pairs)], dtype=np.intp)
    partners = np.bincount(ends.ravel(), minlength=len(place))
    more = partners[ends].argmax(axis=1)
    return ends[:, 0], ends[:, 1], ends[np.arange(len(ends)), more]


def _truth(
    genes: list[str], members: dict[str, Positions], first: Positions, second: Positions, owner: Positions
) -> Truth:
    """Each pair once, with its first owner; owners numbered without gaps."""
    _, once = np.unique(pair_positions(first, second, genes=len(genes)), return_index=True)
    _, numbered = np.unique(owner[once], return_inverse=True)
    return Truth(genes, members, first[once], second[once], numbered.astype(np.intp))
