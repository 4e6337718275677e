"""The genes of a screen that annotations can judge, and how a space sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from anndata import AnnData

from contrascope.benchmarks.annotations import Aliases, Source, annotations_from, overlap_note, with_symbols
from contrascope.benchmarks.relations.evidence import Evidence, gather
from contrascope.benchmarks.relations.similarity import Matrix, Positions, pair_similarity, unit_vectors
from contrascope.benchmarks.relations.truth import Truth, truth_of
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import flags
from contrascope.vocabulary import CONTROL, PERTURBATION


class Judged(NamedTuple):
    """What is judged in a table of profiles.

    Attributes:
        truth: G genes and which of their pairs are related.
        rows: (G,) the profile of each gene.
        screen: Rows of all perturbations, judged or not.
        notes: What the annotations and the screen lack of each other, in sentences.
    """

    truth: Truth
    rows: Positions
    screen: Positions
    notes: tuple[str, ...]


class Space(NamedTuple):
    """How a space sees the judged genes.

    Attributes:
        unit: (G, F) unit vectors.
        similarity: Of all unordered pairs.
        ascending: The same, sorted.
        evidence: What it says of each related pair.
    """

    unit: Matrix
    similarity: Matrix
    ascending: Matrix
    evidence: Evidence


def judge(
    profiles: AnnData, annotations: Source, options: Mapping[str, Any] | None = None, aliases: Aliases | None = None
) -> Judged:
    """Read annotations and cut them to the screen.

    Args:
        profiles: Perturbation profiles.
        annotations: As ``annotations_from`` takes them.
        options: Of the annotations' format.
        aliases: Other names of genes.

    Raises:
        BenchmarkError: Not perturbation profiles, no overlap with the annotations, unusable annotations.
    """
    row_of = rows_of_genes(profiles)
    known = annotations_from(annotations, **(options or {}))
    notes = known.notes
    if aliases is not None:
        known, named, said = with_symbols(known, row_of, aliases)
        row_of, notes = {named[gene]: row for gene, row in row_of.items()}, (*notes, said)
    truth = truth_of(known.in_screen(row_of))
    if len(truth.related) == truth.pairs:
        raise BenchmarkError(
            f"All {len(truth.genes):,} genes that are judged ({first_few(truth.genes)}) are in one complex, so that no "
            "pair is unrelated. Two complexes of different genes or more were needed."
        )
    rows = np.array([row_of[gene] for gene in truth.genes], dtype=np.intp)
    screen = np.array(sorted(row_of.values()), dtype=np.intp)
    return Judged(truth, rows, screen, (overlap_note(known, row_of), *notes))


def look_at(vectors: Matrix, judged: Judged) -> Space:
    """How a space (rows of the profiles, F) sees the judged genes, and what it says of the related pairs."""
    truth = judged.truth
    similarity = pair_similarity(vectors[judged.rows])
    ascending = np.sort(similarity)
    everything = len(judged.rows) == len(judged.screen)
    screen = ascending if everything else np.sort(pair_similarity(vectors[judged.screen]))
    evidence = gather(ascending, similarity[truth.related], screen, truth)
    return Space(unit_vectors(vectors[judged.rows]), similarity, ascending, evidence)


def rows_of_genes(profiles: AnnData) -> dict[str, int]:
    """Gene -> row, without the controls.

    Raises:
        BenchmarkError: These are not profiles of perturbations, one for each.
    """
    if PERTURBATION not in profiles.obs:
        raise BenchmarkError(f"The profiles lack obs['{PERTURBATION}']. Give profile(cells, by='perturbation').")
    control = flags(profiles.obs[CONTROL]) if CONTROL in profiles.obs else np.zeros(profiles.n_obs, bool)
    names = [str(name) for name in profiles.obs[PERTURBATION]]
    rows = [row for row in range(profiles.n_obs) if not control[row]]
    row_of = {names[row]: row for row in rows}
    if len(row_of) < len(rows):
        raise BenchmarkError(
            f"complexes takes one profile for each perturbation, but {len(rows):,} rows have {len(row_of):,} "
            "names: these are cells or guide profiles. Give profile(cells, by='perturbation')."
        )
    return row_of
