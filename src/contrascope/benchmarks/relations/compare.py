"""Several embeddings on the very same pairs: the difference between each two, and how sure it is.

The same complexes are drawn for all of them (see ``evidence``), so what makes a complex hard for every space cancels
out; intervals of the spaces by themselves may overlap where the difference is clear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.benchmarks.annotations import Aliases, Source
from contrascope.benchmarks.relations.evidence import PRECISION, RECALL, draws, interval, metrics, once
from contrascope.benchmarks.relations.judged import judge, look_at, rows_of_genes
from contrascope.benchmarks.relations.similarity import Matrix
from contrascope.benchmarks.relations.sweep import PERCENTILES
from contrascope.benchmarks.relations.truth import Truth
from contrascope.benchmarks.result import CHANCE, METRIC, SPACE, VALUE, N, tidy
from contrascope.errors import BenchmarkError
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import PERTURBATION

EXTRA = ("other", "percentile", "first", "second", "low", "high")
_Drawn = dict[str, Matrix]


def compare_relations(
    profiles: AnnData | Mapping[str, AnnData],
    *,
    annotations: Source,
    spaces: Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
    aliases: Aliases | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Differences between each two embeddings, in every metric of pairs.

    Args:
        profiles: Perturbation profiles; or name -> profiles of several sources, which are then compared on the
            perturbations that all of them have, as ``name: space``.
        annotations: As of ``complexes``.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        options: Of the annotations' format: organism, min_score, protein_names.
        aliases: Other names of genes.
        seed: Of the bootstrap.

    Returns:
        A row for each two embeddings and metric: space, metric, other, percentile, first and second (what each of
        the two has), low, high, value (first minus second), chance (0) and n (pairs). ``low`` and ``high``
        hold the difference in 95 % of draws of the complexes; it is clear where they do not hold 0.

    Raises:
        BenchmarkError: Fewer than two embeddings, no perturbation that all have, or as of ``complexes``.
    """
    sources = {"": profiles} if isinstance(profiles, AnnData) else _on_common_genes(profiles)
    drawn: dict[str, tuple[_Drawn, _Drawn]] = {}
    truth = None
    for name, source in sources.items():
        judged = judge(source, annotations, options, aliases)
        truth = judged.truth
        for space in chosen_spaces(source, spaces):
            evidence = look_at(embedding(source, space), judged).evidence
            resampled = metrics(evidence, draws(truth.units, seed=seed))
            drawn[f"{name}: {space}" if name else space] = metrics(evidence, once(truth)), resampled
    if truth is None or len(drawn) < 2:
        raise BenchmarkError(f"Two embeddings or more were needed to compare; there is {', '.join(drawn) or 'none'}.")
    rows = [row for two in combinations(drawn, 2) for row in _differences(two, drawn, truth)]
    return tidy(rows, extra=EXTRA)


def _on_common_genes(sources: Mapping[str, AnnData]) -> dict[str, AnnData]:
    """Each source cut to the perturbations that all have, in alphabetical order."""
    rows = {name: rows_of_genes(source) for name, source in sources.items()}
    common = sorted(set.intersection(*(set(row_of) for row_of in rows.values()))) if rows else []
    if rows and not common:
        raise BenchmarkError(
            f"{' and '.join(rows)} have no {PERTURBATION} in common. Bring both to the same names of genes."
        )
    return {name: source[[rows[name][gene] for gene in common]] for name, source in sources.items()}


def _differences(
    two: tuple[str, str], drawn: Mapping[str, tuple[_Drawn, _Drawn]], truth: Truth
) -> Iterator[dict[str, Any]]:
    (first, of_first), (second, of_second) = drawn[two[0]], drawn[two[1]]
    for metric in first:
        low, high = interval(of_first[metric] - of_second[metric], truth.units)
        a, b, low, high = (np.atleast_1d(values) for values in (first[metric][0], second[metric][0], low, high))
        percentiles = PERCENTILES.astype(float) if metric in (PRECISION, RECALL) else [None]
        for number, percentile in enumerate(percentiles):
            yield {
                SPACE: two[0],
                METRIC: metric,
                "other": two[1],
                "percentile": percentile,
                "first": a[number],
                "second": b[number],
                "low": low[number],
                "high": high[number],
                VALUE: a[number] - b[number],
                CHANCE: 0.0,
                N: truth.pairs,
            }
