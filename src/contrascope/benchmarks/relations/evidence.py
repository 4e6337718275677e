"""What a space says of each related pair, and the metrics as functions of how often each complex is drawn.

A bootstrap over complexes draws as many as there are, with replacement; a related pair counts as often as the
complex that owns it (see ``truth``) was drawn. Unrelated pairs and thresholds stay: there are so many of them that
their share of the uncertainty is small. Every complex drawn once gives the metrics themselves.

``low`` and ``high`` are the 2.5th and 97.5th percentiles of 1,000 draws. Fewer than two complexes have no interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrascope.benchmarks.relations.ranking import ranks_of
from contrascope.benchmarks.relations.recall import FALSE_POSITIVE_RATE, in_efaar_tails, share_at_rate
from contrascope.benchmarks.relations.similarity import Matrix
from contrascope.benchmarks.relations.sweep import Sweep, area, sweep
from contrascope.benchmarks.relations.truth import Truth

DRAWS = 1000
INTERVAL = (2.5, 97.5)
PRECISION, RECALL, AVERAGE_PRECISION = "precision", "recall", "average precision"
AREA, TPR = "area under the sweep", "TPR at 5 % FPR"
EFAAR = {"EFAAR recall at 5/95": 0.05, "EFAAR recall at 10/90": 0.10}
"""Metric -> share of all pairs in each tail."""
_AT_ONCE = 4_000_000
_Flags = NDArray[np.bool_] | Matrix


@dataclass(frozen=True)
class Evidence:
    """Of one space, of P related pairs.

    Attributes:
        owner: (P,) complex that each pair is drawn with.
        swept: The authors' sweep.
        tails: (P,) by EFAAR's tails, for each metric of EFAAR.
        found: (P,) share of each pair found at the false positive rate.
        similarity: (P,) of the related pairs.
        false_above: (P,) unrelated pairs at least as similar.
        in_tails: Share of all pairs of the screen in those tails, for each: below 10 and 20 % where pairs are few.
        screen_pairs: Pairs that EFAAR's tails are of.
        pairs: Pairs of judged genes.
    """

    owner: NDArray[np.intp]
    swept: Sweep
    tails: dict[str, NDArray[np.bool_]]
    found: Matrix
    similarity: Matrix
    false_above: NDArray[np.intp]
    in_tails: dict[str, float]
    screen_pairs: int
    pairs: int

    def chance(self, metric: str) -> float:
        """What a space that knows nothing reaches, of the metrics with one number."""
        related = len(self.similarity) / self.pairs
        widest = float(np.ptp(self.swept.called)) / self.pairs
        levels = {AVERAGE_PRECISION: related, AREA: related * widest, TPR: FALSE_POSITIVE_RATE if related < 1 else 1.0}
        return levels[metric] if metric in levels else self.in_tails[metric]


def gather(ascending: Matrix, related: Matrix, screen: Matrix, truth: Truth) -> Evidence:
    """Read everything off once.

    Args:
        ascending: Similarities of all pairs of judged genes, sorted.
        related: (P,) those of the related pairs.
        screen: Similarities of all pairs of the screen, sorted.
        truth: Which pairs are related.
    """
    return Evidence(
        owner=truth.owner,
        swept=sweep(ascending, related, genes=len(truth.genes)),
        tails={metric: in_efaar_tails(related, screen, tail=tail) for metric, tail in EFAAR.items()},
        found=share_at_rate(related, ascending),
        similarity=related,
        false_above=ranks_of(related, ascending) - ranks_of(related, np.sort(related)),
        in_tails={m: float(in_efaar_tails(screen, screen, tail=tail).mean()) for m, tail in EFAAR.items()},
        screen_pairs=len(screen),
        pairs=len(ascending),
    )


def once(truth: Truth) -> Matrix:
    """(1, U): every complex drawn once."""
    return np.ones((1, truth.units))


def draws(units: int, *, seed: int) -> Matrix:
    """(1000, U): how often each of U complexes is drawn."""
    drawn = np.random.default_rng([seed, 2]).multinomial(units, np.full(units, 1 / units), size=DRAWS)
    return drawn.astype(np.float64)


def metrics(evidence: Evidence, drawn: Matrix) -> dict[str, Matrix]:
    """Every metric for each draw (D, U): (D,), or (D, 20) of the sweep."""
    hits = _drawn(evidence, drawn, evidence.swept.hits)  # (D, 20)
    size = drawn @ np.bincount(evidence.owner, minlength=drawn.shape[1])  # (D,)
    recall = hits / size[:, None]
    precision = _share(hits, hits + evidence.swept.false)
    return {
        PRECISION: precision,
        RECALL: recall,
        AVERAGE_PRECISION: _average_precision(evidence, drawn),
        AREA: area(precision, recall),
        **{metric: _drawn(evidence, drawn, tail[:, None])[:, 0] / size for metric, tail in evidence.tails.items()},
        TPR: _drawn(evidence, drawn, evidence.found[:, None])[:, 0] / size,
    }


def interval(values: Matrix, units: int) -> tuple[Matrix, Matrix]:
    """Low and high over draws, the first axis; NaN where there is nothing to draw from."""
    low, high = np.percentile(values, INTERVAL, axis=0)
    return (low, high) if units > 1 else (low * np.nan, high * np.nan)


def _drawn(evidence: Evidence, drawn: Matrix, flags: _Flags) -> Matrix:
    """Sums of (P, K) over pairs, each as often as its complex was drawn: (D, K)."""
    columns = [np.bincount(evidence.owner, weights=column, minlength=drawn.shape[1]) for column in flags.T]
    return drawn @ np.stack(columns, axis=1)


def _average_precision(evidence: Evidence, drawn: Matrix) -> Matrix:
    """Mean precision at the related pairs, weighted; as many draws at once as fit."""
    best_first = np.argsort(-evidence.similarity, kind="stable")
    similarity, false = evidence.similarity[best_first], evidence.false_above[best_first]
    # Ties count together: up to the last pair of the same similarity.
    last = np.searchsorted(-similarity, -similarity, side="right") - 1
    step = max(1, _AT_ONCE // len(similarity))
    found = []
    for start in range(0, len(drawn), step):
        weight = drawn[start : start + step][:, evidence.owner[best_first]]  # (d, P)
        true = weight.cumsum(axis=1)[:, last]
        found.append((weight * _share(true, true + false)).sum(axis=1) / weight.sum(axis=1))
    return np.concatenate(found)


def _share(part: Matrix, whole: Matrix) -> Matrix:
    """Part of the whole; none of nothing is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole, dtype=np.float64), where=whole > 0)
