"""Recall of related pairs, two more ways.

EFAAR (Celik et al. 2022): a related pair is found when at most 5 % of all pairs of the screen are as dissimilar as it
is, or at least 95 % less similar; and with 10 and 90 %. All perturbations of the screen make up the null, related or
not, without the diagonal. Chance recall is the share of all pairs in both tails: 10 and 20 %, and
less where pairs are few, of 15 none at 5 % and two at 10 %.

TPR at 5 % FPR (cp-posh, Sivanandan et al. 2023): the ROC curve of similarity, one tail, over pairs of judged genes,
read at a false positive rate of .05, between two steps on the line. Chance is .05.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from contrascope.benchmarks.relations.similarity import Matrix

FALSE_POSITIVE_RATE = 0.05


def in_efaar_tails(related: Matrix, ascending: Matrix, *, tail: float) -> NDArray[np.bool_]:
    """(P,) which related pairs are in either tail of all pairs.

    Args:
        related: (P,) similarities of related pairs.
        ascending: Similarities of all pairs of the screen, sorted.
        tail: .05 for the 5/95 percentiles.
    """
    as_low = np.searchsorted(ascending, related, side="right") / len(ascending)
    lower = np.searchsorted(ascending, related, side="left") / len(ascending)
    return (as_low <= tail) | (lower >= 1 - tail)


def share_at_rate(related: Matrix, ascending: Matrix, *, rate: float = FALSE_POSITIVE_RATE) -> Matrix:
    """(P,) by how much each related pair counts as found at a false positive rate: 1, 0, or between where it ties.

    Their mean is the true positive rate. Without unrelated pairs there is no such rate: all count.

    Args:
        related: (P,) similarities of related pairs.
        ascending: Similarities of all pairs, the related ones among them, sorted.
        rate: Share of the unrelated pairs that may be above.
    """
    of_related = np.sort(related)
    unrelated = len(ascending) - len(related)
    if not unrelated:
        return np.ones(len(related))

    def above(threshold: float, *, side: str) -> int:
        """Unrelated pairs above the threshold; with side left, those that equal it too."""
        every = len(ascending) - np.searchsorted(ascending, threshold, side=side)  # type: ignore[call-overload]
        true = len(of_related) - np.searchsorted(of_related, threshold, side=side)  # type: ignore[call-overload]
        return int(every - true)

    allowed = rate * unrelated
    # The first unrelated pair, from the top, that is one too many.
    rank = bisect_right(range(len(ascending)), allowed, key=lambda k: above(ascending[-1 - k], side="left"))
    threshold = ascending[-1 - rank]
    before, after = above(threshold, side="right"), above(threshold, side="left")
    between = (allowed - before) / (after - before)
    return np.where(related > threshold, 1.0, np.where(related == threshold, between, 0.0))
