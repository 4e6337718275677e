"""What `hits` and `novelty` say of perturbations that do nothing, in simulated cells: the share with p up to .05.

    python examples/calibration.py

.05 is right, less is cautious. Where it is more, the benchmark notes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData

import contrascope as cs
from contrascope.features.reduce import reduce_features
from contrascope.profiles import corrected

SEEDS, LEVEL = range(6), 0.05
Share = Callable[[int, int], float]
"""Of a size and a seed."""


def main() -> None:
    """Print two lines for each setting."""
    for how in ("none", "standardise-batch", "reduce_features", "reduce_features, robust"):
        told(
            f"hits by cells, 64 features, 40 batches, {how}", "controls a batch", (15, 30, 60, 98), partial(cells, how)
        )
    told("novelty against 120 control guides of 30 cells that differ by .3", "cells a guide", (15, 30, 60, 120), guides)
    for statistic in ("energy", "auc"):
        share = partial(small_guides, statistic)
        told(f"hits by guides, {statistic}, others have 50 cells a guide", "cells a guide", (8, 25, 50), share)


def told(setting: str, unit: str, sizes: Sequence[int], share: Share) -> None:
    """One setting at each size, the mean over seeds."""
    found = [f"{size}: {np.mean([share(size, seed) for seed in SEEDS]):.3f}" for size in sizes]
    print(f"{setting}\n    by {unit}   {'   '.join(found)}", flush=True)


def cells(how: str, controls: int, seed: int) -> float:
    """30 perturbations of two guides of 60 cells, after a correction on so many controls of each of 40 batches."""
    data = simulated([60] * 60, [4 * controls] * 10, features=64, batches=40, seed=seed)
    if how.startswith("reduce_features"):
        data = AnnData(obs=data.obs, obsm={"features": data.obsm["salient"]})
        data = reduce_features(data, robust="robust" in how)
    elif how != "none":
        data = corrected(data, how)
    return small(cs.benchmark(data, "hits", permutations=199, seed=seed).table, "p_cells")


def guides(n: int, seed: int) -> float:
    """60 perturbations of two guides of n cells, all guides apart from each other by .3 of a cell's deviation."""
    data = simulated([n] * 120, [30] * 120, features=8, seed=seed, apart=0.3)
    table = cs.benchmark(data, "novelty", draws=300, seed=seed).table
    return small(table[table["metric"] == "effect norm"], "p")


def small_guides(statistic: str, n: int, seed: int) -> float:
    """20 perturbations of two guides of n cells among 40 of 50."""
    data = simulated([n] * 40 + [50] * 80, [50] * 20, features=8, seed=seed)
    table = cs.benchmark(data, "hits", statistic=statistic, permutations=199, seed=seed).table
    return small(table[table["perturbation"].isin([f"P{i:03d}" for i in range(20)])], "p_guides")


def simulated(
    own: Sequence[int], controls: Sequence[int], *, features: int, seed: int, batches: int = 1, apart: float = 0.0
) -> AnnData:
    """Normal cells of guides of so many cells each, two guides a perturbation; batches have means of their own."""
    random = np.random.default_rng(seed)
    guide = np.repeat(np.arange(len(own) + len(controls)), [*own, *controls])
    control = guide >= len(own)
    names = np.where(control, "control", [f"P{g // 2:03d}" for g in guide])
    batch = np.empty(len(guide), dtype=int)
    for these in (control, ~control):  # as many controls in each
        batch[these] = random.permutation(np.arange(these.sum()) % batches)
    x = random.normal(size=(len(guide), features)) + random.normal(size=(batches, features))[batch]
    x += apart * random.normal(size=(len(own) + len(controls), features))[guide]
    obs = {"guide": [f"g{g:03d}" for g in guide], "perturbation": names, "control": control}
    index = pd.Index([f"c{i:06d}" for i in range(len(guide))])
    return AnnData(obs=pd.DataFrame(obs | {"batch": [f"b{b:02d}" for b in batch]}, index=index), obsm={"salient": x})


def small(table: pd.DataFrame, column: str) -> float:
    """The share of perturbations whose p is small; the table has control guides too."""
    return float((table.loc[table["perturbation"].str.startswith("P"), column] <= LEVEL).mean())


if __name__ == "__main__":
    main()
