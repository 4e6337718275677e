"""Maps by UMAP: what they hold, and that drawing one changes nothing of what is computed after it."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.profiles.maps import umap_maps

DRAWN_THEN_COUNTED = """
import numpy as np, torch
from anndata import AnnData
from contrascope.profiles.maps import umap_maps
before = torch.get_num_threads()
cells = AnnData(obsm={"salient": np.random.default_rng(0).normal(size=(60, 4))})
umap_maps(cells, spaces=["salient"], columns=[])
print(before, torch.get_num_threads())
"""


def cells(n: int = 40) -> AnnData:
    """Two clouds, far apart."""
    side = np.arange(n) % 2
    values = np.random.default_rng(0).normal(size=(n, 5)) + 50 * side[:, None]
    return AnnData(obs=pd.DataFrame({"side": side}, index=[f"c{i}" for i in range(n)]), obsm={"salient": values})


def test_clouds_that_lie_apart_lie_apart_on_the_map() -> None:
    table = umap_maps(cells(), spaces=["salient"], columns=["side"])
    place = table[["salient 1", "salient 2"]].to_numpy()
    one, other = (place[table["side"] == side] for side in (0, 1))
    between = np.linalg.norm(one.mean(0) - other.mean(0))
    assert between > np.linalg.norm(one - one.mean(0), axis=1).max()


def test_equal_seeds_give_equal_maps_of_at_most_so_many_cells() -> None:
    one, other = (umap_maps(cells(), spaces=["salient"], columns=[], max_cells=30) for _ in range(2))
    assert one.equals(other)
    assert len(one) == 30


def test_a_map_leaves_the_number_of_threads_as_it_was() -> None:
    """numba sets OpenMP's number for all who use it: a training after the map would round otherwise than before."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DRAWN_THEN_COUNTED], env=environment, capture_output=True, text=True
    )
    assert said.stdout.split() == ["1", "1"], said.stderr
