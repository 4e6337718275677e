"""Retrieval: do the replicates of a perturbation find each other before they find controls?

Mean average precision through copairs (Kalinin et al. 2025): every replicate asks in turn, by cosine, for the others of
its perturbation among the controls' replicates. Profiles are seen from the mean of all replicates that take part, a
perturbation's and the controls' alike. Seen from the controls' mean, a perturbation's replicates would share the error
of that mean and so be alike without doing anything.

The null is copairs': rankings at random. Its p-values leave out ties, and with few replicates most rankings tie, so
here they are counted. All replicates of one perturbation take one and the same random ranking, which makes p rather too
large than too small. Random rankings lie in a folder of their own for each call: copairs keeps them in the home folder,
by a name that does not say all that they depend on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrascope.benchmarks.comparisons import Cast
from contrascope.benchmarks.selection import need_column, texts
from contrascope.benchmarks.significance import LEVEL
from contrascope.profiles.aggregate import group_sums
from contrascope.vocabulary import GUIDE, PLATE, WELL

ROWS_A_CALL = 50_000
MIN_REPLICATES = 2
"""Of a perturbation, and of the controls."""
COLUMNS = MAP, CHANCE_MAP, P_MAP, N_REPLICATES, MAP_REACH = "map", "map_chance", "p_map", "n_replicates", "map_reach"
_GROUP, _LABEL, _CONTROL = "group", "label", "control"
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Replicates:
    """Which replicate each cell is in.

    Attributes:
        of_cell: (N,) number of its replicate, in the table's order.
        perturbation: (R,) number of each replicate's perturbation, -1 for controls.
    """

    of_cell: NDArray[np.intp]
    perturbation: NDArray[np.intp]

    def means(self, matrix: Matrix) -> Matrix:
        """(R, F) mean row of each replicate."""
        count = len(self.perturbation)
        means: Matrix = group_sums(matrix, self.of_cell, count) / np.bincount(self.of_cell, minlength=count)[:, None]
        return means


def replicates_of(obs: pd.DataFrame, cast: Cast, column: str) -> Replicates:
    """The replicates that a column tells: guides; or a perturbation's cells in each well of each plate, or whatever.

    Raises:
        BenchmarkError: There is no such column.
    """
    need_column(obs, column, what="replicates")
    # All controls are one perturbation, unless replicates are guides, which have names of their own.
    perturbation = np.where(cast.control, -1, cast.perturbation)
    if column == GUIDE:
        label = cast.guide
    else:
        names = texts(obs[column]).astype(str)
        if column == WELL and PLATE in obs:
            names = np.char.add(np.char.add(texts(obs[PLATE]).astype(str), " "), names)
        label = np.unique(names[cast.order], return_inverse=True)[1]
    pairs, inside = np.unique(np.stack([perturbation, label], axis=1), axis=0, return_inverse=True)
    of_cell = np.empty(len(inside), dtype=np.intp)
    of_cell[cast.order] = inside.ravel()
    return Replicates(of_cell, pairs[:, 0])


def mean_average_precisions(own: dict[str, Matrix], controls: Matrix, *, null_size: int, seed: int) -> pd.DataFrame:
    """Mean average precision of each perturbation's replicates against the controls'.

    Args:
        own: Perturbation -> (k, F) profiles of its replicates; those with fewer than two are left out.
        controls: (G, F) profiles of the controls' replicates; with fewer than two of them nothing can be said.
        null_size: Random rankings for each number of replicates.
        seed: Of the rankings.

    Returns:
        A row a perturbation: map, map_chance (mean over random rankings), p_map, n_replicates, map_reach (``reach``).
    """
    own = {name: profiles for name, profiles in own.items() if len(profiles) >= MIN_REPLICATES}
    rows: dict[str, dict[str, float]] = {}
    if len(controls) >= MIN_REPLICATES:
        nulls: dict[int, Matrix] = {}
        for block in _blocks(own, len(controls)):
            for name, found in _average_precisions(block, controls).items():
                k = len(own[name])
                if k not in nulls:
                    nulls[k] = random_rankings(k, len(controls), null_size, seed)
                null = nulls[k]
                # Rankings are float32.
                p = (1 + int((null >= found - 1e-6).sum())) / (1 + null_size)
                chance = {CHANCE_MAP: float(null.mean()), MAP_REACH: reach(null)}
                rows[name] = {MAP: found, P_MAP: p, N_REPLICATES: k} | chance
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS), dtype=float)


def reach(null: Matrix, *, level: float = LEVEL) -> float:
    """Largest p-value up to the level that a ranking of the null (n,) has; 0 where the best of them tie above it."""
    values = np.sort(null)
    p = (1 + len(values) - np.searchsorted(values, values - 1e-6)) / (1 + len(values))
    return float(p[p <= level + 1e-9].max(initial=0.0))


def random_rankings(replicates: int, controls: int, null_size: int, seed: int) -> Matrix:
    """(null_size,) average precision of one replicate's others among the controls, ranked at random."""
    from copairs.compute import get_null_dists

    shape = np.array([[replicates - 1, replicates - 1 + controls]])
    with TemporaryDirectory() as folder:
        null = get_null_dists(shape, null_size, seed, cache_dir=folder, progress_bar=False)
    result: Matrix = null[0].astype(float)
    return result


def _blocks(own: dict[str, Matrix], n_controls: int) -> Iterator[dict[str, Matrix]]:
    """Perturbations, as many at once as make some ten thousand rows with their controls."""
    names = sorted(own)
    size = max(1, ROWS_A_CALL // (n_controls + 8))
    for start in range(0, len(names), size):
        yield {name: own[name] for name in names[start : start + size]}


def _average_precisions(block: dict[str, Matrix], controls: Matrix) -> dict[str, float]:
    """Mean average precision of each perturbation of a block."""
    from copairs.map import average_precision

    tables, features = [], []
    for name, profiles in block.items():
        both = np.concatenate([profiles, controls])
        both -= both.mean(axis=0)
        if not both.any(axis=1).all():
            # A replicate without direction is like nothing, and its cosine no number.
            continue
        features.append(both)
        # No two controls share a label, so controls have nobody to find.
        label = [0] * len(profiles) + list(range(1, len(controls) + 1))
        tables.append(pd.DataFrame({_GROUP: name, _LABEL: label, _CONTROL: np.array(label) > 0}))
    if not tables:
        return {}
    found = average_precision(
        pd.concat(tables, ignore_index=True),
        np.concatenate(features),
        pos_sameby=[_GROUP, _LABEL],
        pos_diffby=[],
        neg_sameby=[_GROUP],
        neg_diffby=[_CONTROL],
        progress_bar=False,
    )
    asked = found[~found[_CONTROL].astype(bool)]
    means = asked.groupby(_GROUP, sort=True)["average_precision"].mean()
    return {str(name): float(value) for name, value in means.items()}
