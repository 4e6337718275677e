"""Speed of benchmarks on finished profiles, on one core; that of profiles themselves is in ``profiles.py``.

    python perf/benchmarks.py                         all
    python perf/benchmarks.py relations [GENES]       the authors' sweep over GENES genes (5,000) and 20 percentiles

The sweep runs from profiles to a table of precision and recall: pairs of the annotations, similarity of all pairs,
thresholds, counts. The baseline is the sweep as it is commonly written: for each percentile, for each gene, for every
other gene, a look-up in a graph whether the two are related and a comparison of their distance with two thresholds.
It runs over all genes at three percentiles, and its time for these is scaled to twenty; precision and recall at
the three are to be equal to ours, to the last bit. Times are core-seconds.
"""

from __future__ import annotations

import os

# One core: before the libraries that would take more are loaded.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import sys
import time
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from scipy.spatial import distance

from contrascope.benchmarks.annotations import Annotations
from contrascope.benchmarks.relations.similarity import DIGITS, pair_similarity
from contrascope.benchmarks.relations.sweep import PERCENTILES, sweep
from contrascope.benchmarks.relations.truth import truth_of

FEATURES, TURNS, FEW = 64, 5, (80, 95, 99)


def relations(genes: int = 5000) -> None:
    """The authors' sweep."""
    vectors, known = embedding(genes)
    turns = [timed(lambda: swept(vectors, known)) for _ in range(TURNS)]
    table, seconds = turns[0][0], np.median([spent for _, spent in turns])
    slow = looped(vectors, known, table)
    print(
        f"sweep, {genes:,} genes, {len(truth_of(known).first):,} related pairs, {len(PERCENTILES)} percentiles: "
        f"{seconds:.2f} core-seconds (median of {TURNS})\n"
        f"  loop over genes with graph look-ups: {slow:,.0f} core-seconds, scaled from {len(FEW)} percentiles: "
        f"{slow / seconds:,.0f} times as long, and the same numbers"
    )


def embedding(genes: int) -> tuple[np.ndarray, Annotations]:
    """Profiles in the order of their names, and overlapping complexes of 2 to 40 that lie together a little."""
    random = np.random.default_rng(0)
    names = np.array([f"G{i:05d}" for i in range(genes)])
    vectors, sets = random.normal(size=(genes, FEATURES)), {}
    for number in range(genes // 2):
        inside = random.choice(genes, min(2 + int(random.exponential(5)), 40), replace=False)
        vectors[inside] += 0.4 * random.normal(size=FEATURES)
        sets[f"complex {number}"] = frozenset(names[inside].tolist())
    missing = names[~np.isin(names, list(frozenset().union(*sets.values())))]
    sets["the rest"] = frozenset(missing.tolist())
    return vectors, Annotations(sets=sets)


def swept(vectors: np.ndarray, known: Annotations) -> pd.DataFrame:
    """From profiles to the table of precision and recall."""
    truth = truth_of(known)
    similarity = pair_similarity(vectors)
    found = sweep(np.sort(similarity), similarity[truth.related], genes=len(vectors))
    hits = found.hits.sum(axis=0)
    shares = {"precision": hits / found.called, "recall": hits / len(truth.first)}
    return pd.DataFrame(shares, index=PERCENTILES)


def looped(vectors: np.ndarray, known: Annotations, ours: pd.DataFrame) -> float:
    """Core-seconds of the loop at all percentiles, from a few; raise unless it says what ours does."""
    truth = truth_of(known)
    graph = nx.Graph()
    graph.add_nodes_from(range(len(vectors)))
    graph.add_edges_from(zip(truth.first.tolist(), truth.second.tolist(), strict=True))
    distances, once = timed(lambda: distance.cdist(vectors, vectors, "cosine"))
    # Rounded as ours are, so that equal distances are equal; this is not timed.
    distances = 1 - np.round(1 - distances, DIGITS)
    np.fill_diagonal(distances, 0.0)
    spent = 0.0
    for percentile in FEW:
        (precision, recall), seconds = timed(lambda p=percentile: by_gene(graph, distances, p))
        spent += seconds
        assert (precision, recall) == tuple(ours.loc[percentile])
    return once + spent / len(FEW) * len(PERCENTILES)


def by_gene(graph: nx.Graph, distances: np.ndarray, percentile: int) -> tuple[float, float]:
    """Precision and recall over all genes and their partners."""
    flat = distances.flatten()
    low, high = np.percentile(flat, 100 - percentile), np.percentile(flat, percentile)
    nodes = list(graph.nodes)
    related = called = hits = 0
    for gene in graph:
        labels = [1 if graph.has_edge(gene, node) else 0 for node in nodes]
        calls = [1 if value <= low or value >= high else 0 for value in distances[gene]]
        labels.pop(gene)
        calls.pop(gene)
        related, called = related + sum(labels), called + sum(calls)
        hits += sum(1 for label, call in zip(labels, calls, strict=True) if label and call)
    return hits / called, hits / related


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the core-seconds it took."""
    began = time.process_time()
    outcome = work()
    return outcome, time.process_time() - began


SECTIONS: dict[str, Callable[..., None]] = {"relations": relations}
"""What is timed, by the name that asks for it."""


if __name__ == "__main__":
    match sys.argv[1:]:
        case [section, *sizes] if section in SECTIONS:
            SECTIONS[section](*map(int, sizes))
        case []:
            for section in SECTIONS.values():
                section()
        case _:
            sys.exit(f"Sections are {', '.join(SECTIONS)}, each followed by its size if you like.")
