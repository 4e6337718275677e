"""Complexes: are perturbations of genes of one complex alike?

Judged are the genes that share a set with another gene of the screen (or are in a pair, where only pairs are known);
similarity is the cosine of their profiles. The readings, each beside its chance level:

- The authors' sweep (Multi-ContrastiveVAE, Figure 2): for p = 80 ... 99 call a pair related when its cosine
  distance is in either tail, <= the (100 - p)th or >= the p-th percentile of the whole distance matrix,
  diagonal included; precision and recall over pairs of different genes. Chance precision is the share of pairs
  that are related, chance recall the share that is called: 2(100 - p) % of many genes, less of few, of which the
  diagonal fills the lower tail. And the area under it, between p = 99 and p = 80.
- EFAAR recall: related pairs beyond the 5/95 and 10/90 percentiles of all pairs of the screen, no diagonal.
- TPR at 5 % FPR, as in cp-posh: the ROC curve of similarity, one tail.
- Average precision of similarity, one tail, beside the mean and 95th percentile under shuffled gene names.
- Average precision of each complex: of all pairs with a gene of the complex, the pairs within it are to come
  first. So complexes of different kinds (novel, shifted) can be compared. Chance is that of random genes.
- The Kolmogorov-Smirnov statistic of mean similarity within sets against random sets of their size.

The files of ``relations`` have the definitions. A pair and its mirror image count alike, so ordered and unordered
pairs give the same precision and recall; ``n`` counts unordered pairs. ``low`` and ``high`` are a bootstrap interval
over complexes, 95 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.benchmarks.annotations import Aliases, Source
from contrascope.benchmarks.relations.evidence import (
    AREA,
    AVERAGE_PRECISION,
    EFAAR,
    PRECISION,
    RECALL,
    TPR,
    Evidence,
    draws,
    interval,
    metrics,
    once,
)
from contrascope.benchmarks.relations.judged import Judged, Space, judge, look_at
from contrascope.benchmarks.relations.ranking import average_precision, each_complex, shuffled_precision
from contrascope.benchmarks.relations.similarity import cosine_similarity
from contrascope.benchmarks.relations.sweep import PERCENTILES
from contrascope.benchmarks.relations.truth import Truth
from contrascope.benchmarks.relations.within import within_sets
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.spaces import chosen_spaces, constant_note, embedding

__all__ = ["average_precision", "complexes", "cosine_similarity"]

HEADLINE_PERCENTILE = 95
COMPLEX_AP, GROUP_AP = "complex average precision", "mean complex average precision"
WITHIN = "KS of similarity within sets"
LOW, HIGH = "low", "high"
EXTRA = ("percentile", "complex", "group", "null_mean", "null_p95", "p_value", LOW, HIGH)
_SUMMARIES = (AVERAGE_PRECISION, AREA, *EFAAR, TPR)
Rows = Iterator[dict[str, Any]]
Values = NDArray[np.float64]


def complexes(
    profiles: AnnData,
    *,
    annotations: Source,
    spaces: Sequence[str] | None = None,
    groups: Mapping[str, str] | None = None,
    organism: str | None = None,
    min_score: float | None = None,
    protein_names: Path | str | None = None,
    aliases: Aliases | None = None,
    seed: int = 0,
) -> Result:
    """How well similarity of profiles tells which genes share a complex.

    Args:
        profiles: Perturbation profiles; control rows are not judged.
        annotations: A file (GMT, Enrichr text, a table of CORUM, pairs, STRING's links), ``efaar:NAME`` from an
            installed efaar-benchmarking, or complex -> genes.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        groups: Complex -> group; then the mean of the complexes' average precisions is given for each group.
        organism: Of CORUM's complexes, Human unless told.
        min_score: Of STRING's links, 0 to 1000, 950 unless told.
        protein_names: STRING's ``protein.info``, where its links do not name genes.
        aliases: A table with the columns alias and symbol, or alias -> symbol: other names of genes.
        seed: Of shuffled gene names, random complexes and the bootstrap.

    Returns:
        Table: space, metric, percentile, complex, group, null_mean, null_p95, p_value, low, high, value, chance, n.
        Metrics: precision and recall at each percentile, average precision, area under the sweep, EFAAR recall
        at 5/95 and at 10/90, TPR at 5 % FPR, KS of similarity within sets (n in sets), complex average precision
        for each complex (n in pairs), mean complex average precision for each group (n in complexes). Where only
        pairs are known, those of sets are left out.

    Raises:
        BenchmarkError: Not perturbation profiles, no overlap with the annotations, unusable annotations.
    """
    options = {"organism": organism, "min_score": min_score, "protein_names": protein_names}
    judged = judge(profiles, annotations, options, aliases)
    _check_groups(groups, judged.truth)
    rows: list[dict[str, Any]] = []
    notes = [_scope(judged.truth), *judged.notes, *_full_tail(judged)]
    for space in chosen_spaces(profiles, spaces):
        vectors = embedding(profiles, space)
        notes += constant_note(vectors[judged.rows], space)
        seen = look_at(vectors, judged)
        found = [*_pair_metrics(seen, judged.truth, seed), *_set_metrics(seen, judged.truth, groups or {}, seed)]
        rows += [{SPACE: space} | row for row in found]
    table = tidy(rows, extra=EXTRA)
    return Result("complexes", table, _headline(table), tuple(notes))


def _full_tail(judged: Judged) -> list[str]:
    """A note where the diagonal leaves no place in the lower tail of the sweep for pairs of different genes."""
    genes = len(judged.rows)
    if genes * (100 - HEADLINE_PERCENTILE) > 100:
        return []
    return [
        f"The sweep takes percentiles of all distances, those of {genes} genes to themselves among them, which fill "
        f"the lower tail at p{HEADLINE_PERCENTILE}: no two genes can be called alike there, in any space. Read average "
        f"precision instead."
    ]


def _check_groups(groups: Mapping[str, str] | None, truth: Truth) -> None:
    if groups and not truth.members:
        raise BenchmarkError("groups sorts complexes, but these annotations are pairs. Leave it out, or give sets.")
    if groups and not set(groups) & set(truth.members):
        raise BenchmarkError(
            f"groups names {first_few(groups, 3)}, but the complexes are {first_few(truth.members, 3)}. "
            "Give complex -> group with the names of the annotations."
        )


def _pair_metrics(seen: Space, truth: Truth, seed: int) -> Rows:
    """All that pairs alone can tell: the sweep, then a row for each summary."""
    value, drawn = metrics(seen.evidence, once(truth)), metrics(seen.evidence, draws(truth.units, seed=seed))
    between = {metric: interval(of_draws, truth.units) for metric, of_draws in drawn.items()}
    yield from _sweep(value, between, seen.evidence)
    shuffled = _measured(shuffled_precision(seen.similarity, seen.ascending, truth, seed=seed))
    for metric in _SUMMARIES:
        yield {
            METRIC: metric,
            VALUE: value[metric][0],
            **(shuffled if metric == AVERAGE_PRECISION else {CHANCE: seen.evidence.chance(metric)}),
            LOW: between[metric][0],
            HIGH: between[metric][1],
            N: seen.evidence.screen_pairs if metric in EFAAR else truth.pairs,
        }


def _measured(null: Values) -> dict[str, float]:
    """A chance level that was measured, and how far chance goes."""
    return {CHANCE: null.mean(), "null_mean": null.mean(), "null_p95": np.percentile(null, 95)}


def _sweep(value: Mapping[str, Any], between: Mapping[str, Any], evidence: Evidence) -> Rows:
    """Precision and recall of calling both tails related, percentile by percentile."""
    related, called = len(evidence.similarity) / evidence.pairs, evidence.swept.called / evidence.pairs
    for number, percentile in enumerate(PERCENTILES):
        for metric, chance in ((PRECISION, related), (RECALL, called[number])):
            low, high = between[metric]
            yield {
                METRIC: metric,
                "percentile": float(percentile),
                VALUE: value[metric][0, number],
                CHANCE: chance,
                LOW: low[number],
                HIGH: high[number],
                N: evidence.pairs,
            }


def _set_metrics(seen: Space, truth: Truth, groups: Mapping[str, str], seed: int) -> Rows:
    """What takes sets: similarity within them, each complex, and groups of complexes."""
    if not truth.members:
        return
    found = within_sets(seen.unit, truth, seed=seed)
    yield {
        METRIC: WITHIN,
        VALUE: found.statistic,
        **_measured(found.null),
        "p_value": found.p_value,
        N: len(truth.members),
    }
    each = [
        {METRIC: COMPLEX_AP, "complex": name, "group": groups.get(name), VALUE: value, CHANCE: chance, N: pairs}
        for name, value, chance, pairs in each_complex(seen.unit, truth, seed=seed)
    ]
    yield from each
    yield from _by_group(each, seed)


def _by_group(each: Sequence[Mapping[str, Any]], seed: int) -> Rows:
    for group in sorted({row["group"] for row in each} - {None}):
        inside = [row for row in each if row["group"] == group]
        values = np.array([row[VALUE] for row in inside])
        low, high = interval(draws(len(inside), seed=seed) @ values / len(inside), len(inside))
        yield {
            METRIC: GROUP_AP,
            "group": group,
            VALUE: values.mean(),
            CHANCE: np.mean([row[CHANCE] for row in inside]),
            LOW: low,
            HIGH: high,
            N: len(inside),
        }


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    """Both sweeps at p = 95, what is one number for a space, and the groups if there are any."""
    swept = table["percentile"] == HEADLINE_PERCENTILE
    rows = table[swept | table[METRIC].isin([*_SUMMARIES, WITHIN, GROUP_AP])].copy()
    where = np.where(rows["percentile"].notna(), f" at p{HEADLINE_PERCENTILE}", "")
    group = [f", {name}" if isinstance(name, str) else "" for name in rows["group"]]
    rows[METRIC] = [a + b + c for a, b, c in zip(rows[METRIC], where, group, strict=True)]
    return rows[list(COLUMNS)].reset_index(drop=True)


def _scope(truth: Truth) -> str:
    related = f"{len(truth.first):,} of {truth.pairs:,} pairs are related."
    if truth.members:
        return (
            f"Judged {len(truth.genes):,} genes of {len(truth.members):,} complexes with two or more genes in "
            f"the screen; {related}"
        )
    return (
        f"Judged {len(truth.genes):,} genes that are in annotated pairs; {related} The annotations are pairs and not "
        "sets: average precision of each complex and similarity within sets are left out, and intervals are narrower "
        "than with sets, as pairs of one complex are drawn apart."
    )
