"""What is known about genes, one file format a file.

| file | read as | known by |
|---|---|---|
| GMT | sets | three tab separated fields or more |
| Enrichr text library | sets | an empty second field; genes may have weights |
| CORUM's tables, old and new | sets of one organism | the columns of complexes and gene names |
| pairs, as EFAAR's | pairs | the columns entity1 and entity2 |
| STRING's protein.links | pairs above a score | the columns protein1 and protein2 |
| ``efaar:NAME`` | pairs (or sets) | an installed efaar-benchmarking |

Text may be gzipped. A table of aliases brings names on both sides to one symbol.
"""

from contrascope.benchmarks.annotations.aliases import Aliases, Renaming, with_symbols
from contrascope.benchmarks.annotations.formats import Source, annotations_from, gene_sets_from
from contrascope.benchmarks.annotations.gmt import read_gene_sets
from contrascope.benchmarks.annotations.known import (
    Annotations,
    GenePairs,
    GeneSets,
    overlap_note,
    pairs_of,
    sets_in_screen,
)

__all__ = [
    "Aliases",
    "Annotations",
    "GenePairs",
    "GeneSets",
    "Renaming",
    "Source",
    "annotations_from",
    "gene_sets_from",
    "overlap_note",
    "pairs_of",
    "read_gene_sets",
    "sets_in_screen",
    "with_symbols",
]
