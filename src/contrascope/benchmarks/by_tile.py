"""Judged on tiles that were not learned from: what a probe knows of a tile must not pass for an artefact.

Cells of one tile share its light, its focus and its density. When a probe may learn from some cells of a tile and is
judged on the others, it can know the tile instead of what was asked. So here tiles are kept whole: each fold is
judged by a probe that has seen none of its tiles (stratified by class).

Where tiles differ and classes do not, folds held out pull against the rest: .48 is scored on average, and from few
tiles a class anything between .2 and .8 (docs/log.md). Many wells say more than one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from contrascope.benchmarks.probe import Labels, Matrix, auroc, linear_probe

FOLDS = 5
Groups = NDArray[np.intp]


def auroc_by_tile(features: Matrix, labels: Labels, tiles: Groups, *, seed: int) -> tuple[Matrix, int]:
    """AUROC of each fold, (FOLDS,), NaN where there is none; and how many probes did not converge.

    A fold judges the classes that lie on both of its sides; there are as many folds as every class has tiles,
    at most ``FOLDS``.

    Args:
        features: (N, F).
        labels: (N,) classes, 0 ... K - 1.
        tiles: (N,) the tile of each cell.
    """
    areas, unfinished = np.full(FOLDS, np.nan), 0
    folds = min(FOLDS, *(len(np.unique(tiles[labels == c])) for c in range(labels.max() + 1)))
    if folds < 2:
        return areas, unfinished
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (seen, unseen) in enumerate(splitter.split(features, labels, tiles)):
        both = np.intersect1d(labels[seen], labels[unseen])
        if len(both) < 2:
            continue
        seen, unseen = (side[np.isin(labels[side], both)] for side in (seen, unseen))
        known, asked = (np.searchsorted(both, labels[side]) for side in (seen, unseen))
        answers = linear_probe(features[seen], known, features[unseen])
        areas[fold] = auroc(asked, answers.probability)
        unfinished += not answers.converged
    return areas, unfinished


def tile_folds(tiles: Groups, *, seed: int) -> list[tuple[Groups, Groups]]:
    """Rows learned from and rows judged of each fold, where there are no classes; none with fewer than two tiles."""
    folds = min(FOLDS, len(np.unique(tiles)))
    if folds < 2:
        return []
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(tiles, groups=tiles))
