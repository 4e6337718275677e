"""Complexes: are perturbations of genes of one complex alike?

Judged are the genes that share a set with another gene of the screen; similarity is the cosine of their
profiles. Three readings:

- The authors' sweep (Multi-ContrastiveVAE, Figure 2): for p = 80 ... 99 call a pair related when its cosine
  distance is in either tail, <= the (100 - p)th or >= the p-th percentile of the whole distance matrix,
  diagonal included; precision and recall over pairs of different genes. Chance recall is 2(100 - p) %, chance
  precision the share of pairs that are related.
- Average precision of similarity, one tail, beside the mean and 95th percentile under shuffled gene names.
- Average precision of each complex: of all pairs with a gene of the complex, the pairs within it are to come
  first. So complexes of different kinds (novel, shifted) can be compared.

A pair and its mirror image count alike, so ordered and unordered pairs give the same precision and recall;
``n`` counts unordered pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.benchmarks.annotations import GeneSets, gene_sets_from, overlap_note, sets_in_screen
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import CONTROL, PERTURBATION

PERCENTILES = np.arange(80, 100)
HEADLINE_PERCENTILE = 95
SHUFFLES = 200
PRECISION, RECALL, AVERAGE_PRECISION = "precision", "recall", "average precision"
COMPLEX_AP, GROUP_AP = "complex average precision", "mean complex average precision"
EXTRA = ("percentile", "complex", "group", "null_mean", "null_p95")
Matrix = NDArray[np.float64]
Rows = Iterator[dict[str, Any]]


def complexes(
    profiles: AnnData,
    *,
    annotations: Path | str | Mapping[str, Iterable[str]],
    spaces: Sequence[str] | None = None,
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Result:
    """How well similarity of profiles tells which genes share a complex.

    Args:
        profiles: Perturbation profiles; control rows are not judged.
        annotations: A GMT file, or complex -> genes.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        groups: Complex -> group; then the mean of the complexes' average precisions is given for each group.
        seed: Of the shuffled gene names.

    Returns:
        Table: space, metric, percentile, complex, group, null_mean, null_p95, value, chance, n. Metrics:
        precision and recall at each percentile, average precision, complex average precision for each complex
        (n in pairs), mean complex average precision for each group (n in complexes).

    Raises:
        BenchmarkError: Not perturbation profiles, no overlap with the annotations, unusable annotations.
    """
    row_of = _rows_of_genes(profiles)
    annotated = gene_sets_from(annotations)
    truth = _truth(sets_in_screen(annotated, row_of))
    _check_groups(groups, truth)
    chosen = [row_of[gene] for gene in truth.genes]
    rows: list[dict[str, Any]] = []
    for space in chosen_spaces(profiles, spaces):
        similarity = cosine_similarity(embedding(profiles, space)[chosen])
        found = [*_sweep(similarity, truth), *_ranking(similarity, truth, seed)]
        each = list(_each_complex(similarity, truth, groups or {}))
        rows += [{SPACE: space} | row for row in (*found, *each, *_by_group(each))]
    table = tidy(rows, extra=EXTRA)
    return Result("complexes", table, _headline(table), (_scope(truth), overlap_note(annotated, row_of)))


@dataclass(frozen=True)
class _Truth:
    """G genes in alphabetical order, which pairs are related (G, G), and the complexes as positions."""

    genes: list[str]
    related: NDArray[np.bool_]
    members: dict[str, NDArray[np.intp]]

    @cached_property
    def pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Positions of all unordered pairs."""
        return np.triu_indices(len(self.genes), k=1)


def cosine_similarity(vectors: Matrix) -> Matrix:
    """Cosines between the rows of (G, F), as (G, G) in -1 to 1; a row of zeros is like nothing, 0.

    Rounded to 12 digits, so that ties stay ties however the axes lie.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    similarity: Matrix = np.round(unit @ unit.T, 12)
    return similarity


def average_precision(positives: NDArray[np.integer], /) -> float:
    """Mean precision at the positives, from their ranks (1 is best, ties share their last rank).

    The definition of scikit-learn: the sum over thresholds of precision times the step in recall.
    """
    ranks = np.sort(positives)
    return float(np.mean(np.searchsorted(ranks, ranks, side="right") / ranks))


def _rows_of_genes(profiles: AnnData) -> dict[str, int]:
    if PERTURBATION not in profiles.obs:
        raise BenchmarkError(f"The profiles lack obs['{PERTURBATION}']. Give profile(cells, by='perturbation').")
    control = profiles.obs[CONTROL].to_numpy(dtype=bool) if CONTROL in profiles.obs else np.zeros(profiles.n_obs, bool)
    names = [str(name) for name in profiles.obs[PERTURBATION]]
    rows = [row for row in range(profiles.n_obs) if not control[row]]
    row_of = {names[row]: row for row in rows}
    if len(row_of) < len(rows):
        raise BenchmarkError(
            f"complexes takes one profile for each perturbation, but {len(rows):,} rows have {len(row_of):,} "
            "names: these are cells or guide profiles. Give profile(cells, by='perturbation')."
        )
    return row_of


def _truth(sets: GeneSets) -> _Truth:
    genes = sorted(frozenset().union(*sets.values()))
    position = {gene: i for i, gene in enumerate(genes)}
    members = {name: np.array(sorted(position[gene] for gene in genes_)) for name, genes_ in sets.items()}
    related = np.zeros((len(genes), len(genes)), dtype=bool)
    for inside in members.values():
        related[np.ix_(inside, inside)] = True
    np.fill_diagonal(related, False)
    return _Truth(genes, related, members)


def _check_groups(groups: Mapping[str, str] | None, truth: _Truth) -> None:
    if groups and not set(groups) & set(truth.members):
        raise BenchmarkError(
            f"groups names {first_few(groups, 3)}, but the complexes are {first_few(truth.members, 3)}. "
            "Give complex -> group with the names of the annotations."
        )


def _sweep(similarity: Matrix, truth: _Truth) -> Rows:
    """Precision and recall of calling both tails related, percentile by percentile."""
    distance = 1 - similarity
    np.fill_diagonal(distance, 0.0)
    low, high = np.percentile(distance, 100 - PERCENTILES), np.percentile(distance, PERCENTILES)
    every, related = np.sort(distance[truth.pairs]), truth.related[truth.pairs]
    true = np.sort(distance[truth.pairs][related])
    called, hits = _in_tails(every, low, high), _in_tails(true, low, high)
    for percentile, n_called, n_hits in zip(PERCENTILES, called, hits, strict=True):
        shared = {"percentile": float(percentile), N: len(every)}
        yield {METRIC: PRECISION, VALUE: n_hits / n_called, CHANCE: len(true) / len(every)} | shared
        yield {METRIC: RECALL, VALUE: n_hits / len(true), CHANCE: 2 * (100 - percentile) / 100} | shared


def _in_tails(ascending: Matrix, low: Matrix, high: Matrix) -> NDArray[np.intp]:
    """How many values are <= low or >= high, for each pair of thresholds."""
    below = np.searchsorted(ascending, low, side="right")
    above = len(ascending) - np.searchsorted(ascending, high, side="left")
    # Tails that meet hold everything, once.
    return np.minimum(below + above, len(ascending))


def _ranking(similarity: Matrix, truth: _Truth, seed: int) -> Rows:
    """Average precision over all pairs, and what it is when gene names are shuffled."""
    values, related = similarity[truth.pairs], truth.related[truth.pairs]
    rank = np.zeros(similarity.shape, dtype=np.int64)
    rank[truth.pairs] = _rank(values, values)
    rank += rank.T
    first, second = (axis[related] for axis in truth.pairs)
    generator = np.random.default_rng(seed)
    null = []
    for _ in range(SHUFFLES):
        shuffled = generator.permutation(len(truth.genes))
        null.append(average_precision(rank[shuffled[first], shuffled[second]]))
    yield {
        METRIC: AVERAGE_PRECISION,
        VALUE: average_precision(rank[first, second]),
        CHANCE: related.mean(),
        "null_mean": np.mean(null),
        "null_p95": np.percentile(null, 95),
        N: len(values),
    }


def _rank(values: Matrix, among: Matrix) -> NDArray[np.intp]:
    """Rank of each value, largest first, ties sharing the last rank: how many are at least as large."""
    return len(among) - np.searchsorted(np.sort(among), values, side="left")


def _each_complex(similarity: Matrix, truth: _Truth, groups: Mapping[str, str]) -> Rows:
    for name, inside in truth.members.items():
        others = np.setdiff1d(np.arange(len(truth.genes)), inside, assume_unique=True)
        first, second = np.triu_indices(len(inside), k=1)
        within = similarity[inside[first], inside[second]]
        all_pairs = np.concatenate([within, similarity[np.ix_(inside, others)].ravel()])
        yield {
            METRIC: COMPLEX_AP,
            "complex": name,
            "group": groups.get(name),
            VALUE: average_precision(_rank(within, all_pairs)),
            CHANCE: len(within) / len(all_pairs),
            N: len(all_pairs),
        }


def _by_group(each: Sequence[Mapping[str, Any]]) -> Rows:
    for group in sorted({row["group"] for row in each} - {None}):
        inside = [row for row in each if row["group"] == group]
        yield {
            METRIC: GROUP_AP,
            "group": group,
            VALUE: np.mean([row[VALUE] for row in inside]),
            CHANCE: np.mean([row[CHANCE] for row in inside]),
            N: len(inside),
        }


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    """Average precision, both sweeps at p = 95, and the groups if there are any."""
    swept = table["percentile"] == HEADLINE_PERCENTILE
    rows = table[swept | table[METRIC].isin([AVERAGE_PRECISION, GROUP_AP])].copy()
    where = np.where(rows["percentile"].notna(), f" at p{HEADLINE_PERCENTILE}", "")
    group = [f", {name}" if isinstance(name, str) else "" for name in rows["group"]]
    rows[METRIC] = [a + b + c for a, b, c in zip(rows[METRIC], where, group, strict=True)]
    return rows[list(COLUMNS)].reset_index(drop=True)


def _scope(truth: _Truth) -> str:
    related = int(truth.related.sum()) // 2
    return (
        f"Judged {len(truth.genes):,} genes of {len(truth.members):,} complexes with two or more genes in "
        f"the screen; {related:,} of {len(truth.pairs[0]):,} pairs are related."
    )
